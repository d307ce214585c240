"""Batches of rows of similar length, each within a token budget."""

import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Sampler

from azdistill.contracts.logprobs import NO_TOKEN
from azdistill.students.template import TokenizedRow

# Label of a position without a target, the default `ignore_index` of torch's cross entropy.
IGNORE_INDEX = -100


class TokenBudgetSampler(Sampler[list[int]]):
    """Batch sampler with a maximum number of tokens per batch, which shuffles anew in each epoch.

    A batch has rows of similar length, whose padded size (its rows times its longest row) is within the token budget;
    with `packing`, rows of any length whose sum is. The budget is `batch_size` times the average row length, divided
    into `accumulation_steps` batches. A longer row is a separate batch. Rows of equal length are shuffled before
    batches are formed, so that a batch holds other rows in each epoch. The second step of the first epoch has the
    largest batch, when the optimizer has its state: a training that does not fit the GPU fails there, not after hours.
    Process `rank` of `world_size` yields every `world_size`-th batch; where the number of batches isn't a multiple of
    `world_size`, the first batches are repeated.
    """

    def __init__(
        self,
        lengths: npt.ArrayLike,
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        accumulation_steps: int = 1,
        packing: bool = False,
    ) -> None:
        self.lengths, self.seed, self.epoch = np.asarray(lengths), seed, 0
        self.rank, self.world_size = rank, world_size
        self.token_budget = max(math.ceil(batch_size * self.lengths.mean() / accumulation_steps), 1)
        # Batches are formed by length alone, so every epoch has the same number. `_batches` are positions in the
        # order of the lengths: the rows at these positions change with the epoch.
        ascending = np.sort(self.lengths).tolist()
        self._batches: Sequence[slice | list[int]] = (pack if packing else group)(ascending, self.token_budget)
        self._num_batches = math.ceil(len(self._batches) / world_size)
        sizes = [_padded_size(ascending, batch, packing) for batch in self._batches]
        self._largest, self._second_step = sizes.index(max(sizes)), accumulation_steps * world_size

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next iteration. Trainer calls this, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self._num_batches

    def __iter__(self) -> Iterator[list[int]]:
        rng = np.random.default_rng([self.seed, self.epoch])
        shuffled = rng.permutation(len(self.lengths))
        by_length = shuffled[np.argsort(self.lengths[shuffled], kind="stable")]
        order = rng.permutation(len(self._batches))
        if self.epoch == 0:
            others = order[order != self._largest]
            order = np.insert(others, min(self._second_step, len(others)), self._largest)
        for number in range(self.rank, self._num_batches * self.world_size, self.world_size):
            yield by_length[self._batches[order[number % len(order)]]].tolist()


def group(lengths: Sequence[int], token_budget: int) -> list[slice]:
    """Cut ascending lengths into batches of neighbours, whose number times the longest is within the budget."""
    starts = [0]
    for index, length in enumerate(lengths):
        if index > starts[-1] and (index - starts[-1] + 1) * length > token_budget:
            starts.append(index)
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(lengths)], strict=True)]


def pack(lengths: Sequence[int], token_budget: int) -> list[list[int]]:
    """Fill batches up to the budget: each row, the longest first, goes to the fullest batch that has space for it."""
    batches: list[list[int]] = []
    with_space: list[tuple[int, int]] = []  # of each batch that is not full, ascending: free tokens, and its index
    for index in range(len(lengths) - 1, -1, -1):
        length = lengths[index]
        best = bisect_left(with_space, (length, -1))
        if best < len(with_space):
            free, batch = with_space.pop(best)
        else:
            free, batch = max(token_budget, length), len(batches)
            batches.append([])
        batches[batch].append(index)
        if free > length:
            insort(with_space, (free - length, batch))
    return batches


def _padded_size(lengths: Sequence[int], batch: slice | list[int], packing: bool) -> int:
    """Number of tokens of a batch, with padding."""
    rows = lengths[batch] if isinstance(batch, slice) else [lengths[index] for index in batch]
    return sum(rows) if packing else len(rows) * max(rows)


class TokenBudgetDataLoader(DataLoader[TokenizedRow]):
    """A data loader for Trainer, which calls `set_epoch`.

    accelerate's own loader can't divide batches of varying size among processes.
    """

    def __init__(self, rows: Sequence[TokenizedRow], sampler: TokenBudgetSampler, **options: Any) -> None:
        # A separate generator: iterating over the validation rows must not change the random numbers of training.
        super().__init__(rows, batch_sampler=sampler, generator=torch.Generator(), **options)  # type: ignore[arg-type]
        self.sampler_of_batches = sampler

    def set_epoch(self, epoch: int) -> None:
        self.sampler_of_batches.set_epoch(epoch)


def collate(rows: Sequence[TokenizedRow], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Tensors of shape (rows, longest row), padded on the right.

    There is no attention mask: in a causal model no token sees the padding after it. Masks, and rows without a token to
    attend to, give NaN in some CUDA kernels. `loss_weights` is there if a row has another weight than 1; `top_ids` and
    `top_logprobs`, of shape (rows, longest row, K), if a row has a teacher's likely tokens.
    """
    longest = max(len(row.input_ids) for row in rows)
    padding = [longest - len(row.input_ids) for row in rows]
    padded = list(zip(rows, padding, strict=True))
    batch = {
        "input_ids": torch.tensor([row.input_ids + [pad_token_id] * right for row, right in padded]),
        "labels": torch.tensor([_labels(row) + [IGNORE_INDEX] * right for row, right in padded]),
    }
    if any(row.weight != 1.0 for row in rows):
        batch["loss_weights"] = torch.tensor([[row.weight] * longest for row in rows])
    return batch | _likely_tokens(rows, [(number, 0) for number in range(len(rows))], (len(rows), longest))


def privileged_inputs(rows: Sequence[TokenizedRow], pad_token_id: int) -> dict[str, torch.Tensor]:
    """Privileged prompts with the answers of rows, of shape (rows, longest), padded on the right.

    `privileged_targets` is true at the tokens of the last target of each row.
    """
    answers = [row.input_ids[slice(*row.targets[-1])] for row in rows]
    privileged = [
        TokenizedRow(prompt + answer, ((len(prompt), len(prompt) + len(answer)),))
        for prompt, answer in zip((row.privileged_ids or [] for row in rows), answers, strict=True)
    ]
    batch = collate(privileged, pad_token_id)
    return {"privileged_ids": batch["input_ids"], "privileged_targets": batch["labels"] != IGNORE_INDEX}


def collate_packed(rows: Sequence[TokenizedRow]) -> dict[str, torch.Tensor]:
    """Tensors of shape (1, all tokens): the rows one after another.

    `position_ids` start again with each row. Models in transformers see by this where a row starts, and attend to
    tokens of the same row only.
    """
    batch = {
        "input_ids": torch.tensor([[token for row in rows for token in row.input_ids]]),
        "position_ids": torch.cat([torch.arange(len(row.input_ids)) for row in rows]).unsqueeze(0),
        "labels": torch.tensor([[label for row in rows for label in (IGNORE_INDEX, *_labels(row)[1:])]]),
    }
    if any(row.weight != 1.0 for row in rows):
        batch["loss_weights"] = torch.tensor([[row.weight for row in rows for _ in row.input_ids]])
    begins = np.cumsum([0, *(len(row.input_ids) for row in rows)]).tolist()
    return batch | _likely_tokens(rows, [(0, begin) for begin in begins[:-1]], (1, begins[-1]))


def _likely_tokens(
    rows: Sequence[TokenizedRow], begins: Sequence[tuple[int, int]], shape: tuple[int, int]
) -> dict[str, torch.Tensor]:
    """`top_ids` and `top_logprobs` of a batch of this shape, in which the rows begin at `begins`; empty if no row has
    them."""
    top = max((row.top_k.ids.shape[1] for row in rows if row.top_k), default=0)
    if not top:
        return {}
    ids = np.full((*shape, top), NO_TOKEN, np.int32)
    logprobs = np.full((*shape, top), -np.inf, np.float32)
    for row, (number, begin) in zip(rows, begins, strict=True):
        if row.top_k:
            positions = begin + np.concatenate([np.arange(start, end) for start, end in row.targets])
            ids[number, positions], logprobs[number, positions] = row.top_k.ids, row.top_k.logprobs
    return {"top_ids": torch.from_numpy(ids), "top_logprobs": torch.from_numpy(logprobs)}


def _labels(row: TokenizedRow) -> list[int]:
    """The ids at target positions, IGNORE_INDEX elsewhere."""
    labels = [IGNORE_INDEX] * len(row.input_ids)
    for start, end in row.targets:
        labels[start:end] = row.input_ids[start:end]
    return labels
