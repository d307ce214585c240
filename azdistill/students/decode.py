"""Decoding in a batch that finished rows leave and waiting rows join: greedy, or sampled."""

import inspect
import sys
import time
from collections import deque
from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import DynamicCache, GenerationMixin

from azdistill.students.cache import RowCache, cache_layers
from azdistill.students.loading import Student, max_positions

# Prompts that are computed together have at least this fraction of the length of the longest one: the rest is padding.
LEAST_FILLED = 0.75

# Models whose own `prepare_inputs_for_generation` only handles prompts that cross the limit of `short_positions`.
SWITCHING_ROPE = ("Phi3ForCausalLM", "PhimoeForCausalLM")


@dataclass(frozen=True)
class GenerationRequest:
    """A tokenized prompt, and the most tokens of its answer.

    With `draws`, `max_new_tokens` numbers of [0, 1), each token is sampled at `temperature` by its draw, so that an
    answer does not depend on the other rows of its batch; without them, it is the most likely one. All requests of a
    batch have draws, or none.
    """

    prompt: Sequence[int]
    max_new_tokens: int
    draws: Sequence[float] | None = None
    temperature: float = 1.0


@dataclass
class DecodedAnswer:
    """The answer to request `index`: token ids without the end token.

    `started` is the time when its prompt was taken from the queue, `times` are those at which its tokens were known,
    the end token included (`time.perf_counter`). `end` is the end token.
    """

    index: int
    started: float
    token_ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    truncated: bool = False
    end: int | None = None


@dataclass
class _Row:
    """A row of the batch: its answer so far, its tokens in the cache, and the token that is not there yet."""

    answer: DecodedAnswer
    request: GenerationRequest
    cached: int
    token: int


def can_drop_rows(model: Any) -> bool:
    """True if `decode` gives the answers of the model's own `generate`.

    It does not where rows can't leave the cache, and where the model prepares the inputs of each step itself.
    """
    prepares_inputs = type(model).prepare_inputs_for_generation is not GenerationMixin.prepare_inputs_for_generation
    return cache_layers(model) is not None and (not prepares_inputs or type(model).__name__ in SWITCHING_ROPE)


def short_positions(model: Any) -> int | None:
    """Number of positions up to which a model of SWITCHING_ROPE uses its short factors; None for other models.

    The longest row decides about all rows of a batch, and the cache is computed anew when it crosses the limit.
    """
    if type(model).__name__ not in SWITCHING_ROPE:
        return None
    positions: int | None = getattr(model.config, "original_max_position_embeddings", None)
    return positions


def context_of(model: Any) -> int:
    """The largest number of tokens of a row that a model reads with the same positions as shorter ones."""
    return min(limit(model) or sys.maxsize for limit in (max_positions, short_positions))


@torch.inference_mode()
def decode(
    student: Student,
    requests: Sequence[GenerationRequest],
    batch_size: int,
    join_at: int = 1,
    watch: Callable[[Sequence[DecodedAnswer]], None] = lambda unfinished: None,
) -> Iterator[DecodedAnswer]:
    """Answers in the order in which they are finished. Requests start in their order.

    Waiting rows join the batch when `join_at` rows have left it: prompts that are computed together cost less. `watch`
    gets the unfinished answers after each token.
    """
    batch, waiting = Batch(student, min(batch_size, len(requests))), deque(enumerate(requests))
    while waiting or batch.answers:
        if waiting and batch.free >= min(join_at, len(waiting)):
            yield from batch.join([waiting.popleft() for _ in range(min(batch.free, len(waiting)))])
        yield from batch.step()
        watch(batch.answers)


class Batch:
    """Rows that are decoded together; row `n` of the cache belongs to `_rows[n]`."""

    def __init__(self, student: Student, size: int) -> None:
        self._model, self._device, self._size = student.model, student.device, size
        settings = student.model.generation_config
        self._pad, self._ends = settings.pad_token_id, frozenset(settings.eos_token_id)
        accepted = inspect.signature(type(student.model).forward).parameters  # training replaces that of the instance
        self._accepts_positions = "position_ids" in accepted
        self._last_logits = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        layers = cache_layers(student.model)
        assert layers is not None
        self._cache = RowCache(layers, size)
        self._rows: list[_Row] = []

    @property
    def free(self) -> int:
        """Number of rows that can join."""
        return self._size - len(self._rows)

    @property
    def answers(self) -> list[DecodedAnswer]:
        """The unfinished answers. Their tokens are appended in place."""
        return [row.answer for row in self._rows]

    def join(self, joining: Sequence[tuple[int, GenerationRequest]]) -> Iterator[DecodedAnswer]:
        """Compute prompts, in groups of similar length, and the first token of their answers.

        Yields the answers that are finished by it.
        """
        started = time.perf_counter()
        for group in _groups(joining):
            cache = DynamicCache()
            lengths = [len(request.prompt) for _, request in group]
            longest = max(lengths)
            ids = [[self._pad] * (longest - len(request.prompt)) + list(request.prompt) for _, request in group]
            logits = self._forward(ids, [longest - length for length in lengths], longest, cache)
            self._cache.add(cache)
            self._rows += [
                _Row(DecodedAnswer(index, started), request, len(request.prompt), 0) for index, request in group
            ]
            yield from self._take(logits, first=len(self._rows) - len(group))

    def step(self) -> Iterator[DecodedAnswer]:
        """Compute the next token of each row. Yields the answers that are finished by it."""
        if not self._rows:
            return
        self._cache.reserve_column()
        length = self._cache.length
        logits = self._forward(
            [[row.token] for row in self._rows], [length - row.cached for row in self._rows], length + 1, self._cache
        )
        self._cache.advance()
        for row in self._rows:
            row.cached += 1
        yield from self._take(logits, first=0)

    def discard(self, indices: Container[int]) -> None:
        """Remove the rows of unfinished answers, by the index of their request."""
        self._remove([number for number, row in enumerate(self._rows) if row.answer.index in indices])

    def _forward(self, ids: list[list[int]], padding: list[int], length: int, cache: Any) -> torch.Tensor:
        """Logits of the next token of each row, whose first `padding` of `length` columns are not its own."""
        columns, unused = torch.arange(length, device=self._device), torch.tensor(padding, device=self._device)[:, None]
        input_ids = torch.tensor(ids, device=self._device)
        positions = (columns[-input_ids.shape[1] :] - unused).clamp(min=0)
        logits: torch.Tensor = self._model(
            input_ids=input_ids,
            attention_mask=(columns >= unused).long(),
            past_key_values=cache,
            use_cache=True,
            **({"position_ids": positions} if self._accepts_positions else {}),
            **self._last_logits,
        ).logits
        return logits[:, -1]

    def _take(self, logits: torch.Tensor, first: int) -> Iterator[DecodedAnswer]:
        """Append the next token to the answers of the rows from `first` on. Finished rows leave the batch."""
        tokens = _next_tokens(logits, self._rows[first:])
        now = time.perf_counter()
        finished = []
        for number, token in enumerate(tokens, first):
            row = self._rows[number]
            row.token = token
            row.answer.times.append(now)
            if token in self._ends:
                row.answer.end = token
                finished.append(number)
                continue
            row.answer.token_ids.append(token)
            if len(row.answer.token_ids) == row.request.max_new_tokens:
                row.answer.truncated = True
                finished.append(number)
        answers = [self._rows[number].answer for number in finished]
        self._remove(finished)
        yield from answers

    def _remove(self, numbers: Sequence[int]) -> None:
        """Remove rows, by their ascending numbers. The last row takes the place of each."""
        for number in reversed(numbers):
            self._cache.remove(number)
            last = self._rows.pop()
            if number < len(self._rows):
                self._rows[number] = last
        if numbers:
            self._cache.trim(max((row.cached for row in self._rows), default=0))


def _next_tokens(logits: torch.Tensor, rows: Sequence[_Row]) -> list[int]:
    """The most likely token of each row; with draws, the one at which the cumulative distribution passes the draw."""
    if rows[0].request.draws is None:
        most_likely: list[int] = logits.argmax(-1).tolist()
        return most_likely
    draws = [row.request.draws[len(row.answer.token_ids)] for row in rows if row.request.draws]
    temperatures = logits.new_tensor([row.request.temperature for row in rows], dtype=torch.float64)
    cumulative = (logits / temperatures[:, None]).softmax(-1).cumsum(-1)
    limits = logits.new_tensor(draws, dtype=torch.float64)[:, None] * cumulative[:, -1:]
    tokens = torch.searchsorted(cumulative, limits, right=True)[:, 0].clamp(max=logits.shape[-1] - 1)
    sampled: list[int] = tokens.tolist()
    return sampled


def _groups(joining: Sequence[tuple[int, GenerationRequest]]) -> Iterator[list[tuple[int, GenerationRequest]]]:
    """Requests, longest first, in groups of at least LEAST_FILLED of the longest prompt."""
    group: list[tuple[int, GenerationRequest]] = []
    for one in sorted(joining, key=lambda item: -len(item[1].prompt)):
        if group and len(one[1].prompt) < LEAST_FILLED * len(group[0][1].prompt):
            yield group
            group = []
        group.append(one)
    if group:
        yield group
