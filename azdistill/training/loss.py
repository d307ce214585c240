"""Cross entropy inside a causal language model: of target positions only, and in chunks."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.losses.chunks import LogitTransform
from azdistill.training.losses.cross_entropy import cross_entropy_sum

# Tokens of the row on which a model's logits are compared with those computed here.
COMPARED_TOKENS = 8

Forward = Callable[..., Any]


def logit_transform(config: Any) -> LogitTransform:
    """The transform of an architecture, from its config: Granite and Cohere scale the logits, Gemma 2 caps them."""
    divisor = getattr(config, "logits_scaling", None) or 1.0
    factor = getattr(config, "logit_scale", None) or 1.0
    return LogitTransform(float(factor) / float(divisor), getattr(config, "final_logit_softcapping", None))


@contextmanager
def loss_in_forward(model: Any) -> Iterator[None]:
    """Let `model(input_ids, labels=..., num_items_in_batch=...)` return {"loss": ...} inside the block.

    The loss is the sum of the cross entropies, in nats, of the target tokens divided by `num_items_in_batch`, or by
    their number. `labels` has the shape (rows, length) of `input_ids`, and is IGNORE_INDEX where a token is no target;
    `loss_weights`, of the same shape, multiplies the cross entropy of each target. `model` is a causal language model,
    or a PeftModel of one. The output layer is called as a module, so that FSDP and ZeRO-3 gather its weights. A model
    whose logits are not those of its output layer, as its config says, gets the loss from all its logits.
    """
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    forward: Forward = causal_lm.forward
    head = causal_lm.get_output_embeddings()
    is_known = _computes_the_logits_of(causal_lm, head)
    if is_known:
        plain_head: Forward = head.forward
        transform = logit_transform(causal_lm.config)

        def head_forward(hidden: Tensor, targets: Tensor | None = None, weights: Tensor | None = None) -> Tensor:
            if targets is None:
                logits: Tensor = plain_head(hidden)
                return logits
            return cross_entropy_sum(hidden, head, targets, weights, transform)

        head.forward = head_forward

    def loss_sum(inputs: dict[str, Any], labels: Tensor, loss_weights: Tensor | None) -> Tensor:
        states = causal_lm.base_model(**inputs, use_cache=False)[0] if is_known else forward(**inputs).logits
        is_target = labels[:, 1:] != IGNORE_INDEX
        states, targets = states[:, :-1][is_target], labels[:, 1:][is_target]
        weights = None if loss_weights is None else loss_weights[:, 1:][is_target]
        result: Tensor = head(states, targets, weights) if is_known else _plain_sum(states, targets, weights)
        return result

    def forward_with_loss(
        *arguments: Any,
        labels: Tensor | None = None,
        loss_weights: Tensor | None = None,
        num_items_in_batch: Tensor | int | None = None,
        **inputs: Any,
    ) -> Any:
        if labels is None:
            return forward(*arguments, **inputs)
        used = {name: value for name, value in inputs.items() if value is not None}
        count = num_target_tokens(labels) if num_items_in_batch is None else num_items_in_batch
        return {"loss": loss_sum(used, labels, loss_weights) / count}

    causal_lm.forward = forward_with_loss
    try:
        yield
    finally:
        del causal_lm.forward
        if is_known:
            del head.forward


def num_target_tokens(labels: Tensor) -> Tensor:
    """Number of positions with a target, but for the first of a row, which nothing predicts."""
    return (labels[:, 1:] != IGNORE_INDEX).sum()


def _plain_sum(logits: Tensor, targets: Tensor, weights: Tensor | None) -> Tensor:
    losses = functional.cross_entropy(logits.float(), targets, reduction="none")
    return losses.sum() if weights is None else losses @ weights


def separates_packed_rows(model: Any) -> bool:
    """True if the model sees by `position_ids` where a row starts. State-space and convolution layers do not."""
    first, second = _first_ids(model), _first_ids(model).flip(-1)
    packed = torch.cat([first, second], dim=-1)
    positions = torch.arange(COMPARED_TOKENS, device=packed.device).repeat(2).unsqueeze(0)
    with _evaluated(model):
        alone = model(input_ids=second, use_cache=False).logits
        together = model(input_ids=packed, position_ids=positions, use_cache=False).logits[:, COMPARED_TOKENS:]
    return _are_close(alone, together)


def _computes_the_logits_of(causal_lm: Any, head: Any) -> bool:
    """True if the logits of `causal_lm` are those of its output layer, transformed as its config says."""
    if not isinstance(head, nn.Linear) or causal_lm.base_model is causal_lm:
        return False
    ids = _first_ids(causal_lm)
    with _evaluated(causal_lm):
        logits = causal_lm(input_ids=ids, use_cache=False).logits
        hidden = causal_lm.base_model(input_ids=ids, use_cache=False)[0]
        return _are_close(logits, logit_transform(causal_lm.config)(head(hidden).float()))


def _first_ids(model: Any) -> Tensor:
    vocabulary = model.get_input_embeddings().weight.shape[0]
    return torch.arange(COMPARED_TOKENS, device=model.device).remainder(vocabulary).unsqueeze(0)


def _are_close(logits: Tensor, others: Tensor) -> bool:
    tolerance = 1e-3 if logits.dtype == torch.float32 else 5e-2
    return torch.allclose(logits.float(), others.float(), rtol=tolerance, atol=tolerance)


@contextmanager
def _evaluated(model: Any) -> Iterator[None]:
    """Without dropout and gradients inside the block."""
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(training)
