"""The training loss inside a causal language model: of target positions only, and in chunks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import functional

from azdistill.contracts.errors import InputError
from azdistill.training.agreement import agreement_sums
from azdistill.training.architecture import has_known_logits, logit_transform, without_adapters
from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.layer_terms import NO_LAYERS, LayerTerms, target_weights
from azdistill.training.objective import TEXT_ONLY, Targets, TrainingObjective
from azdistill.training.self_teacher import SelfTeacher
from azdistill.training.white_box import WhiteBoxTeacher, check_logits

Forward = Callable[..., Any]
Batch = Mapping[str, Tensor]

# Tensors of a batch that the loss needs, and their names in Targets.
FIELDS = {
    "labels": "ids",
    "loss_weights": "weights",
    "top_ids": "top_ids",
    "top_logprobs": "top_logprobs",
    "on_policy": "on_policy",
}

# Tensors of a batch that the student as its own teacher reads.
PRIVILEGED = ("privileged_ids", "privileged_targets")


class LossSums(NamedTuple):
    """Terms of the loss of a batch, as sums over target tokens, and what `agreement_sums` says of the sampled ones."""

    terms: dict[str, Tensor]
    agreement: dict[str, Tensor]


# The loss from the inputs of the model, and the tensors of FIELDS and PRIVILEGED.
BatchLoss = Callable[[Batch, Batch], LossSums]


@contextmanager
def loss_in_forward(
    model: Any,
    objective: TrainingObjective = TEXT_ONLY,
    teachers: Sequence[WhiteBoxTeacher] = (),
    layers: LayerTerms = NO_LAYERS,
    self_teacher: SelfTeacher | None = None,
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
    same tokens, without gradients; `layers` compares their layers with the student's; `self_teacher` scores sampled
    tokens by `privileged_ids`.
    """
    causal_lm = without_adapters(model)
    is_known = has_known_logits(causal_lm)
    if not is_known and objective.has_distributions:
        raise InputError(
            "this student's logits are not those of its output layer, so they can only learn from text",
            code="unknown_logits",
            field=("train", "losses"),
            fix="remove the other terms than text",
        )
    if objective.reads_teacher_logits:
        check_logits(teachers)
    loss: BatchLoss = partial(_text_loss_of_logits, causal_lm.forward)
    text_loss = loss
    if is_known:
        loss, text_loss = _LossOfHead(causal_lm, objective, teachers, layers, self_teacher), _LossOfHead(causal_lm)
    with _terms_in_head(causal_lm) if is_known else nullcontext():
        # No method: accelerate would bind its function to the model.
        causal_lm.forward = partial(_forward_with_loss, causal_lm.forward, loss, text_loss)
        try:
            yield
        finally:
            del causal_lm.forward


def num_target_tokens(labels: Tensor) -> Tensor:
    """Number of positions with a target, but for the first of a row, which nothing predicts."""
    return (labels[:, 1:] != IGNORE_INDEX).sum()


def _forward_with_loss(
    forward: Forward,
    loss: BatchLoss,
    text_loss: BatchLoss,
    *arguments: Any,
    num_items_in_batch: Tensor | int | None = None,
    text_only: bool = False,
    **inputs: Any,
) -> Any:
    """The forward pass inside `loss_in_forward`. Inputs without labels go to the model's own `forward`."""
    batch = {name: value for name in (*FIELDS, *PRIVILEGED) if (value := inputs.pop(name, None)) is not None}
    if not batch:
        return forward(*arguments, **inputs)
    used = {name: value for name, value in inputs.items() if value is not None}
    sums = (text_loss if text_only else loss)(used, batch)
    count = num_target_tokens(batch["labels"]) if num_items_in_batch is None else num_items_in_batch
    terms = {name: total / count for name, total in sums.terms.items()}
    detached = {name: term.detach() for name, term in terms.items()}
    return {"loss": sum(terms.values()), "terms": detached, "agreement": sums.agreement}


@dataclass(frozen=True)
class _LossOfHead:
    """The terms of a batch from the final hidden states, whose logits exist for a few positions at a time."""

    causal_lm: Any
    objective: TrainingObjective = TEXT_ONLY
    teachers: Sequence[WhiteBoxTeacher] = ()
    layers: LayerTerms = NO_LAYERS
    self_teacher: SelfTeacher | None = None

    def __call__(self, inputs: Batch, batch: Batch) -> LossSums:
        is_target = batch["labels"][:, 1:] != IGNORE_INDEX
        outputs = self.causal_lm.base_model(**inputs, use_cache=False, **self.layers.options)
        of_teachers = self._read_teachers(inputs, batch)
        read = zip(self.teachers, of_teachers, strict=bool(of_teachers))
        states = tuple(teacher.states_of(layers[0][:, :-1][is_target]) for teacher, layers in read)
        targets = _targets(batch, is_target)._replace(teachers=states)
        if self.self_teacher and targets.on_policy is not None:
            targets = targets._replace(self_teacher=self.self_teacher.read(batch))
        hidden, head = outputs[0][:, :-1][is_target], self.causal_lm.get_output_embeddings()
        terms = head(hidden, targets, self.objective) | self.layers(outputs, of_teachers, _stored_weights(batch))
        if targets.on_policy is None:
            return LossSums(terms, {})
        transform, scored = logit_transform(self.causal_lm.config), self.objective.config.has_scorer
        return LossSums(terms, agreement_sums(hidden, head, targets, transform, of_likely_tokens=scored))

    def _read_teachers(self, inputs: Batch, batch: Batch) -> list[Any]:
        """The outputs of each teacher's layers: for all rows where a term of stored text needs them, else for those
        that the student has sampled."""
        if self.objective.config.loss_weights.needs_white_box:
            return [teacher.read(inputs, self.layers.options) for teacher in self.teachers]
        if "on_policy" in batch and self.objective.config.scores_by_white_box:
            return [teacher.read_rows(inputs, batch["on_policy"].any(1)) for teacher in self.teachers]
        return []


def _text_loss_of_logits(forward: Forward, inputs: Batch, batch: Batch) -> LossSums:
    """The cross entropy from all logits, for a model whose logits are not those of its output layer."""
    is_target = batch["labels"][:, 1:] != IGNORE_INDEX
    targets = _targets(batch, is_target)
    logits = forward(**inputs).logits[:, :-1][is_target]
    losses = functional.cross_entropy(logits.float(), targets.ids, reduction="none")
    total = losses.sum() if targets.weights is None else losses @ targets.weights
    return LossSums({"text": total}, {})


@contextmanager
def _terms_in_head(causal_lm: Any) -> Iterator[None]:
    """Let `head(hidden, targets, objective)` return the terms of the loss inside the block, where `head` is the output
    layer."""
    head, transform = causal_lm.get_output_embeddings(), logit_transform(causal_lm.config)
    plain: Forward = head.forward

    def forward(hidden: Tensor, targets: Targets | None = None, objective: TrainingObjective = TEXT_ONLY) -> Any:
        return plain(hidden) if targets is None else objective(hidden, head, targets, transform)

    head.forward = forward
    try:
        yield
    finally:
        del head.forward


def _targets(batch: Batch, is_target: Tensor) -> Targets:
    """The targets of a batch, where `is_target` has shape (rows, length - 1)."""
    at_targets = {FIELDS[name]: value[:, 1:][is_target] for name, value in batch.items() if name in FIELDS}
    return Targets(at_targets.pop("ids"), **at_targets)  # type: ignore[arg-type]


def _stored_weights(batch: Batch) -> Tensor:
    """Weights of the positions that predict a target of a stored row, and 0 elsewhere: see `target_weights`."""
    weights = target_weights(batch["labels"], batch.get("loss_weights"))
    return weights * ~batch["on_policy"] if "on_policy" in batch else weights
