"""Properties of a causal language model that the loss depends on, measured with a short row."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from azdistill.training.losses.chunks import LogitTransform

# Tokens of the row on which logits are compared.
COMPARED_TOKENS = 8


def without_adapters(model: Any) -> Any:
    """The causal language model inside of a PeftModel; any other model is returned as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def logit_transform(config: Any) -> LogitTransform:
    """The transform of an architecture, from its config: Granite and Cohere scale the logits, Gemma 2 caps them."""
    divisor = getattr(config, "logits_scaling", None) or 1.0
    factor = getattr(config, "logit_scale", None) or 1.0
    return LogitTransform(float(factor) / float(divisor), getattr(config, "final_logit_softcapping", None))


def has_known_logits(causal_lm: Any) -> bool:
    """True if the logits of `causal_lm` are those of its output layer, transformed as its config says."""
    head = causal_lm.get_output_embeddings()
    if not isinstance(head, nn.Linear) or causal_lm.base_model is causal_lm:
        return False
    ids = _first_ids(causal_lm)
    with evaluated(causal_lm):
        logits = causal_lm(input_ids=ids, use_cache=False).logits
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False)[0]
        return _are_close(logits, logit_transform(causal_lm.config)(head(hidden).float()))


def separates_packed_rows(model: Any) -> bool:
    """True if the model sees by `position_ids` where a row starts. State-space and convolution layers do not."""
    first, second = _first_ids(model), _first_ids(model).flip(-1)
    packed = torch.cat([first, second], dim=-1)
    positions = torch.arange(COMPARED_TOKENS, device=packed.device).repeat(2).unsqueeze(0)
    with evaluated(model):
        alone = model(input_ids=second, use_cache=False).logits
        together = model(input_ids=packed, position_ids=positions, use_cache=False).logits[:, COMPARED_TOKENS:]
    return _are_close(alone, together)


def _first_ids(model: Any) -> Tensor:
    vocabulary = model.get_input_embeddings().weight.shape[0]
    return torch.arange(COMPARED_TOKENS, device=model.device).remainder(vocabulary).unsqueeze(0)


def _are_close(logits: Tensor, others: Tensor) -> bool:
    tolerance = 1e-3 if logits.dtype == torch.float32 else 5e-2
    return torch.allclose(logits.float(), others.float(), rtol=tolerance, atol=tolerance)


@contextmanager
def evaluated(model: Any) -> Iterator[None]:
    """Without dropout and gradients inside the block."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
