"""Batches of rows of like length, each of about the same number of tokens."""

import math
import random
from collections.abc import Iterator, Sequence

import torch
from torch.utils.data import Sampler

from azdistill.students.template import Encoded

IGNORED = -100
"""The label of a position that is not learned, as torch's cross entropy has it."""


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of indices, longest rows apart from shortest, in an order that each epoch draws anew.

    A batch's padded size (rows times its longest row) stays within `batch_size` times the
    average row; a single longer row is a batch by itself. Which rows share a batch also changes
    from epoch to epoch: rows of the same length are shuffled before they are cut.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths, self.seed, self.epoch = lengths, seed, 0
        self.budget = max(math.ceil(batch_size * sum(lengths) / len(lengths)), 1)
        self._count = len(self._cut(sorted(range(len(lengths)), key=self.lengths.__getitem__)))

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next iteration draws; Trainer says it, also when it resumes."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[list[int]]:
        luck = random.Random(f"{self.seed} {self.epoch}")
        order = list(range(len(self.lengths)))
        luck.shuffle(order)
        order.sort(key=self.lengths.__getitem__)
        batches = self._cut(order)
        luck.shuffle(batches)
        return iter(batches)

    def _cut(self, order: Sequence[int]) -> list[list[int]]:
        """Cuts depend on lengths alone, so that every epoch has as many batches."""
        batches: list[list[int]] = []
        room = 0
        for index in order:
            if not batches or (len(batches[-1]) + 1) * self.lengths[index] > max(room, self.lengths[index]):
                batches.append([])
                room = self.budget
            batches[-1].append(index)
        return batches


def collate(rows: Sequence[Encoded], pad: int) -> dict[str, torch.Tensor | int]:
    """Tensors of shape (rows, longest), padded on the left so that answers end side by side.

    `logits_to_keep` then covers every learned position and the one before it: a model
    that knows the argument computes no logits for the prompt, which for a vocabulary of
    200,000 is most of the memory.
    """
    longest = max(len(row.ids) for row in rows)
    padding = [longest - len(row.ids) for row in rows]
    ids = torch.tensor([[pad] * left + row.ids for left, row in zip(padding, rows, strict=True)])
    mask = torch.tensor([[0] * left + [1] * len(row.ids) for left, row in zip(padding, rows, strict=True)])
    labels = torch.tensor([[IGNORED] * (longest - row.learned) + row.ids[-row.learned :] for row in rows])
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "position_ids": (mask.cumsum(-1) - 1).clamp(min=0),
        "labels": labels,
        "logits_to_keep": min(max(row.learned for row in rows) + 1, longest),
    }
