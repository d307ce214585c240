"""Batches of rows of like length, each of about the same number of tokens."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from azdistill.students.template import Encoded

IGNORED = -100
"""The label of a position that is not learned, as torch's cross entropy has it."""


class TokenBudgetSampler(Sampler[list[int]]):
    """Batches of indices, longest rows apart from shortest, in an order that each epoch draws anew.

    A batch's padded size (rows times its longest row) stays within `batch_size` times the
    average row; a single longer row is a batch by itself. Which rows share a batch also changes
    from epoch to epoch: rows of the same length are shuffled before they are cut.
    Of `world` processes each takes every `world`-th batch; the first ones come again where that doesn't come out even.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.lengths, self.seed, self.epoch, self.rank, self.world = lengths, seed, 0, rank, world
        self.budget = max(math.ceil(batch_size * sum(lengths) / len(lengths)), 1)
        self._count = math.ceil(len(self._cut(sorted(range(len(lengths)), key=self.lengths.__getitem__))) / world)

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
        return (batches[number % len(batches)] for number in range(self.rank, self._count * self.world, self.world))

    def _cut(self, order: Sequence[int]) -> list[list[int]]:
        """Cuts depend on lengths alone, so that every epoch has as many batches."""
        batches: list[list[int]] = []
        for index in order:
            if not batches or (len(batches[-1]) + 1) * self.lengths[index] > self.budget:
                batches.append([])
            batches[-1].append(index)
        return batches


class TokenBudgetLoader(DataLoader[Encoded]):
    """A loader that Trainer takes as it is: accelerate's own can't divide batches of varying size among processes."""

    def __init__(self, rows: Sequence[Encoded], sampler: TokenBudgetSampler, **options: Any) -> None:
        # A generator of its own: how often a student is validated doesn't move the random numbers of its training.
        super().__init__(rows, batch_sampler=sampler, generator=torch.Generator(), **options)  # type: ignore[arg-type]
        self.sampler_of_epochs = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler_of_epochs.set_epoch(epoch)


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
