"""Likelihood of reference answers under a model: their negative log-likelihood, from which perplexity is computed."""

import inspect
import sys
from collections.abc import Iterator, Sequence

import torch
from torch.nn.functional import cross_entropy

from azdistill.contracts.progress import Progress
from azdistill.students.loading import Student, max_positions
from azdistill.students.template import TokenizedRow

# Limits of a batch: its tokens, padding included, and the bytes of its logits in float32.
BATCH_TOKENS, LOGITS_BYTES = 8192, 2**28


def negative_log_likelihoods(student: Student, rows: Sequence[TokenizedRow]) -> list[float | None]:
    """Sum over the target tokens of each row, in nats. None for a row that is longer than the model's positions."""
    positions = max_positions(student.model) or sys.maxsize
    fitting = [index for index, row in enumerate(rows) if len(row.input_ids) <= positions]
    sums: list[float | None] = [None] * len(rows)
    progress = Progress("predict: likelihood of references", len(fitting))
    for batch in _batches(rows, fitting, student.model.get_output_embeddings().weight.shape[0]):
        for index, value in zip(batch, _sums(student, [rows[index] for index in batch]), strict=True):
            sums[index] = value
        progress.advance(len(batch))
    return sums


def _batches(rows: Sequence[TokenizedRow], indices: Sequence[int], vocabulary: int) -> Iterator[list[int]]:
    """Rows of similar length together, longest first."""
    batch: list[int] = []
    longest = most_targets = 0
    for index in sorted(indices, key=lambda index: -len(rows[index].input_ids)):
        targets = max(most_targets, _first_target_from_end(rows[index]))
        size = len(batch) + 1
        if batch and (size * longest > BATCH_TOKENS or 4 * size * targets * vocabulary > LOGITS_BYTES):
            yield batch
            batch, longest, targets = [], 0, _first_target_from_end(rows[index])
        batch.append(index)
        longest, most_targets = max(longest, len(rows[index].input_ids)), targets
    if batch:
        yield batch


def _first_target_from_end(row: TokenizedRow) -> int:
    """Number of tokens from the first target to the end of the row."""
    return len(row.input_ids) - row.targets[0][0]


@torch.inference_mode()
def _sums(student: Student, rows: Sequence[TokenizedRow]) -> list[float]:
    """Rows end at the same column, so that only the logits of the last columns are computed."""
    accepted = inspect.signature(student.model.forward).parameters
    longest = max(len(row.input_ids) for row in rows)
    last = max(map(_first_target_from_end, rows)) + 1  # a logit predicts the token of the next column
    pad = student.model.generation_config.pad_token_id
    padding = [longest - len(row.input_ids) for row in rows]
    ids = torch.tensor(
        [[pad] * left + row.input_ids for left, row in zip(padding, rows, strict=True)], device=student.device
    )
    columns = torch.arange(longest, device=student.device)
    positions = columns - torch.tensor(padding, device=student.device)[:, None]
    logits = student.model(
        input_ids=ids,
        attention_mask=(positions >= 0).long(),
        use_cache=False,
        **({"position_ids": positions.clamp(min=0)} if "position_ids" in accepted else {}),
        **({"logits_to_keep": last} if "logits_to_keep" in accepted else {}),
    ).logits[:, -last:-1]
    losses = cross_entropy(logits.float().transpose(1, 2), ids[:, 1 - last :], reduction="none")
    is_target = torch.zeros_like(ids, dtype=torch.bool)
    for number, row in enumerate(rows):
        for start, end in row.targets:
            is_target[number, padding[number] + start : padding[number] + end] = True
    sums: list[float] = (losses * is_target[:, 1 - last :]).sum(dim=1, dtype=torch.float64).tolist()
    return sums
