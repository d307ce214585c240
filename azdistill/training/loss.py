"""Cross entropy inside a causal language model: of target positions only, and in chunks."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from azdistill.contracts.errors import InputError
from azdistill.training.agreement import agreement_sums
from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.layer_terms import NO_LAYERS, LayerTerms, target_weights
from azdistill.training.losses.chunks import LogitTransform
from azdistill.training.objective import TEXT_ONLY, Targets, TeacherStates, TrainingObjective
from azdistill.training.white_box import WhiteBoxTeacher

# Tokens of the row on which a model's logits are compared with those computed here.
COMPARED_TOKENS = 8

Forward = Callable[..., Any]
Terms = dict[str, Tensor]

# Tensors of a batch that the loss needs, and their names in Targets.
FIELDS = {
    "labels": "ids",
    "loss_weights": "weights",
    "top_ids": "top_ids",
    "top_logprobs": "top_logprobs",
    "on_policy": "on_policy",
}


def logit_transform(config: Any) -> LogitTransform:
    """The transform of an architecture, from its config: Granite and Cohere scale the logits, Gemma 2 caps them."""
    divisor = getattr(config, "logits_scaling", None) or 1.0
    factor = getattr(config, "logit_scale", None) or 1.0
    return LogitTransform(float(factor) / float(divisor), getattr(config, "final_logit_softcapping", None))


@contextmanager
def loss_in_forward(
    model: Any,
    objective: TrainingObjective = TEXT_ONLY,
    teachers: Sequence[WhiteBoxTeacher] = (),
    layers: LayerTerms = NO_LAYERS,
) -> Iterator[None]:
    """Let `model(input_ids, labels=..., num_items_in_batch=...)` return {"loss": ..., "terms": {...}} inside the block.

    The loss is the sum of the terms, those of `objective`: sums over target tokens, in nats, divided by
    `num_items_in_batch`, or by the number of target tokens. With `text_only` it is the cross entropy alone. `labels`
    has the shape (rows, length) of `input_ids`, and is IGNORE_INDEX where a token is no target; `loss_weights`, of the
    same shape, multiplies the loss of each target; `top_ids` and `top_logprobs`, of shape (rows, length, K), are a
    teacher's likely tokens; `on_policy` is true in rows that the student has sampled, and adds "agreement" to the
    result (see `agreement_sums`). `model` is a causal language model, or a PeftModel of one. The output layer is called
    as a module, so that FSDP and ZeRO-3 gather its weights. A model whose logits are not those of its output layer, as
    its config says, gets the cross entropy from all its logits, and has no other terms: InputError. `teachers` read the
    same tokens, without gradients; `layers` compares their layers with the student's.
    """
    causal_lm = model.get_base_model() if hasattr(model, "get_base_model") else model
    forward: Forward = causal_lm.forward
    head = causal_lm.get_output_embeddings()
    is_known = _computes_the_logits_of(causal_lm, head)
    if not is_known and objective.has_distributions:
        raise InputError(
            "this student's logits are not those of its output layer, so they can only learn from text",
            code="unknown_logits",
            field=("train", "losses"),
            fix="remove the other terms than text",
        )
    for teacher in teachers if objective.reads_teacher_logits else ():
        _check_logits(teacher)
    if is_known:
        plain_head: Forward = head.forward
        transform = logit_transform(causal_lm.config)

        def head_forward(hidden: Tensor, targets: Targets | None = None, terms: TrainingObjective = TEXT_ONLY) -> Any:
            return plain_head(hidden) if targets is None else terms(hidden, head, targets, transform)

        head.forward = head_forward

    def results_of(inputs: dict[str, Any], batch: dict[str, Tensor], text_only: bool) -> tuple[Terms, Terms]:
        """The terms of the loss, and the agreement with the teacher."""
        is_target = batch["labels"][:, 1:] != IGNORE_INDEX
        at_targets = {FIELDS[name]: value[:, 1:][is_target] for name, value in batch.items()}
        targets = Targets(at_targets.pop("ids"), **at_targets)  # type: ignore[arg-type]
        if not is_known:
            return {"text": _plain_sum(forward(**inputs).logits[:, :-1][is_target], targets)}, {}
        if text_only:
            states = causal_lm.base_model(**inputs, use_cache=False)[0]
            return head(states[:, :-1][is_target], targets, TEXT_ONLY), {}
        sampled = batch["on_policy"].any(1) if "on_policy" in batch else None
        outputs = causal_lm.base_model(**inputs, use_cache=False, **layers.options)
        of_teachers: list[Any] = []
        if objective.config.loss_weights.needs_white_box:
            of_teachers = [teacher.read(inputs, layers.options) for teacher in teachers]
        elif sampled is not None:
            of_teachers = [_read_rows(teacher, inputs, sampled) for teacher in teachers]
        read = zip(teachers, of_teachers, strict=bool(of_teachers))
        targets = targets._replace(teachers=tuple(_states(teacher, states[0], is_target) for teacher, states in read))
        hidden = outputs[0][:, :-1][is_target]
        terms: Terms = head(hidden, targets, objective)
        weights = target_weights(batch["labels"], batch.get("loss_weights"))
        if sampled is None:
            return terms | layers(outputs, of_teachers, weights), {}
        weights = weights * ~sampled[:, None]
        return terms | layers(outputs, of_teachers, weights), agreement_sums(hidden, head, targets, transform)

    def forward_with_loss(
        *arguments: Any, num_items_in_batch: Tensor | int | None = None, text_only: bool = False, **inputs: Any
    ) -> Any:
        batch = {name: value for name in FIELDS if (value := inputs.pop(name, None)) is not None}
        if not batch:
            return forward(*arguments, **inputs)
        used = {name: value for name, value in inputs.items() if value is not None}
        count = num_target_tokens(batch["labels"]) if num_items_in_batch is None else num_items_in_batch
        totals, agreement = results_of(used, batch, text_only)
        terms = {name: total / count for name, total in totals.items()}
        detached = {name: term.detach() for name, term in terms.items()}
        return {"loss": sum(terms.values()), "terms": detached, "agreement": agreement}

    causal_lm.forward = forward_with_loss
    try:
        yield
    finally:
        del causal_lm.forward
        if is_known:
            del head.forward


def _states(teacher: WhiteBoxTeacher, states: Tensor, is_target: Tensor) -> TeacherStates:
    """The states of a teacher at the positions before the target tokens."""
    transform, head = logit_transform(teacher.model.config), teacher.model.get_output_embeddings()
    return TeacherStates(states[:, :-1][is_target], head, transform, teacher.vocabulary, teacher.weight)


@torch.no_grad()
def _read_rows(teacher: WhiteBoxTeacher, inputs: dict[str, Any], rows: Tensor) -> tuple[Tensor]:
    """The final hidden states of a teacher for some of the rows, and 0 for the others."""
    states = teacher.read({name: value[rows] for name, value in inputs.items()}, {})[0]
    of_all = states.new_zeros(*inputs["input_ids"].shape, states.shape[-1])
    of_all[rows] = states
    return (of_all,)


def _check_logits(teacher: WhiteBoxTeacher) -> None:
    if not _computes_the_logits_of(teacher.model, teacher.model.get_output_embeddings()):
        raise InputError(
            f"the logits of {type(teacher.model).__name__} are not those of its output layer",
            subject="white-box teacher",
            code="unknown_logits",
            field=("train", "losses", "logits"),
            fix="choose another teacher, or remove logits",
        )


def num_target_tokens(labels: Tensor) -> Tensor:
    """Number of positions with a target, but for the first of a row, which nothing predicts."""
    return (labels[:, 1:] != IGNORE_INDEX).sum()


def _plain_sum(logits: Tensor, targets: Targets) -> Tensor:
    losses = functional.cross_entropy(logits.float(), targets.ids, reduction="none")
    return losses.sum() if targets.weights is None else losses @ targets.weights


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
