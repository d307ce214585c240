"""Distillation losses: cross entropy on the teacher's answer, the last assistant turn of a row."""

from typing import Any

import torch
from torch.nn import functional

from azdistill.training.batches import IGNORE_INDEX


def answer_loss(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Mean cross entropy, in nats, over the target tokens of a batch.

    `outputs.logits` has shape (rows, kept, vocabulary), where `kept` are the last positions;
    `labels` has shape (rows, length). `num_items_in_batch` counts the target tokens of all
    batches of an optimizer step, so that gradient accumulation weighs tokens and not batches.
    """
    logits = outputs.logits[:, :-1].float()
    targets = labels[:, labels.shape[1] - logits.shape[1] :]
    total = functional.cross_entropy(
        logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
    )
    return total / (num_target_tokens(labels) if num_items_in_batch is None else num_items_in_batch)


def num_target_tokens(labels: torch.Tensor) -> torch.Tensor:
    return (labels != IGNORE_INDEX).sum()
