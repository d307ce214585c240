"""Batches of rows of similar length, each within a token budget."""

import math
import random
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Sampler

from azdistill.students.template import TokenizedRow

# Label of a position without a target, the default `ignore_index` of torch's cross entropy.
IGNORE_INDEX = -100


class TokenBudgetSampler(Sampler[list[int]]):
    """Batch sampler that groups rows of similar length and shuffles anew in each epoch.

    The padded size of a batch (its rows times its longest row) is at most `batch_size` times the average row length; a
    longer row is a separate batch. Rows of equal length are shuffled before batches are formed, so that a batch holds
    other rows in each epoch. Process `rank` of `world_size` yields every `world_size`-th batch; where the number of
    batches isn't a multiple of `world_size`, the first batches are repeated.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int, rank: int = 0, world_size: int = 1) -> None:
        self.lengths, self.seed, self.epoch = lengths, seed, 0
        self.rank, self.world_size = rank, world_size
        self.token_budget = max(math.ceil(batch_size * sum(lengths) / len(lengths)), 1)
        # Batches depend on lengths alone, so every epoch has the same number.
        by_length = sorted(range(len(lengths)), key=lengths.__getitem__)
        self._num_batches = math.ceil(len(self._group(by_length)) / world_size)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration. Trainer calls this, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = random.Random(f"{self.seed} {self.epoch}")
        indices = list(range(len(self.lengths)))
        rng.shuffle(indices)
        indices.sort(key=self.lengths.__getitem__)
        batches = self._group(indices)
        rng.shuffle(batches)
        for number in range(self.rank, self._num_batches * self.world_size, self.world_size):
            yield batches[number % len(batches)]

    def _group(self, indices: Sequence[int]) -> list[list[int]]:
        """Cut indices, sorted by length, into batches within the token budget."""
        batches: list[list[int]] = []
        for index in indices:
            if not batches or (len(batches[-1]) + 1) * self.lengths[index] > self.token_budget:
                batches.append([])
            batches[-1].append(index)
        return batches


class TokenBudgetDataLoader(DataLoader[TokenizedRow]):
    """A data loader for Trainer, which calls `set_epoch`.

    accelerate's own loader can't divide batches of varying size among processes.
    """

    def __init__(self, rows: Sequence[TokenizedRow], sampler: TokenBudgetSampler, **options: Any) -> None:
        # A separate generator: iterating over the validation rows must not change the random numbers of training.
        super().__init__(rows, batch_sampler=sampler, generator=torch.Generator(), **options)  # type: ignore[arg-type]
        self._sampler = sampler

    def set_epoch(self, epoch: int) -> None:
        self._sampler.set_epoch(epoch)


def collate(rows: Sequence[TokenizedRow], pad_token_id: int) -> dict[str, torch.Tensor | int]:
    """Tensors of shape (rows, longest row), padded on the left so that all answers end at the same position.

    `logits_to_keep` covers every target position and the one before it: a model that supports the argument computes no
    logits for the prompt, which for a vocabulary of 200,000 is most of the memory.
    """
    longest = max(len(row.input_ids) for row in rows)
    padding = [longest - len(row.input_ids) for row in rows]
    padded = list(zip(padding, rows, strict=True))
    attention_mask = torch.tensor([[0] * left + [1] * len(row.input_ids) for left, row in padded])
    return {
        "input_ids": torch.tensor([[pad_token_id] * left + row.input_ids for left, row in padded]),
        "attention_mask": attention_mask,
        "position_ids": (attention_mask.cumsum(-1) - 1).clamp(min=0),
        "labels": torch.tensor([[IGNORE_INDEX] * left + _labels(row) for left, row in padded]),
        "logits_to_keep": min(max(len(row.input_ids) - row.targets[0][0] for row in rows) + 1, longest),
    }


def _labels(row: TokenizedRow) -> list[int]:
    """The ids at target positions, IGNORE_INDEX elsewhere."""
    labels = [IGNORE_INDEX] * len(row.input_ids)
    for start, end in row.targets:
        labels[start:end] = row.input_ids[start:end]
    return labels
