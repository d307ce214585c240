"""Tokenize training rows and drop those that are too long."""

import itertools
import logging
import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from azdistill.contracts.errors import DataError
from azdistill.contracts.logprobs import NO_TOKEN
from azdistill.contracts.reasoning import THINK
from azdistill.contracts.rows import Message, TrainRow, canonical
from azdistill.contracts.train import TrainConfig
from azdistill.students.chat_template import REJECTED_BY_TEMPLATE
from azdistill.students.template import TokenizedRow, TopK, TrainOn, target_turns, tokenize_rows
from azdistill.training.alignment import Aligner
from azdistill.training.dataset import TokenizedRows, is_intact, record_batch, table_of, writing
from azdistill.training.privileged import PrivilegedPrompts

logger = logging.getLogger("azdistill.training")

# Rows that are tokenized at a time.
CHUNK = 1000

# Worker processes take some seconds to start: the first rows are tokenized without them.
ROWS_BEFORE_WORKERS = 20_000

NamedRows = list[tuple[str, TokenizedRow]]


class Tokenization(NamedTuple):
    """Which turns of a conversation are targets, and the privileged prompts of its rows, None for no prompts."""

    train_on: TrainOn = "last"
    privileged: PrivilegedPrompts | None = None


class Chunk(NamedTuple):
    """Conversations with their names, weights, and the keys of the completions that end them."""

    names: list[str]
    conversations: list[tuple[Message, ...]]
    weights: list[float]
    keys: list[str | None]


def contain_thoughts(rows: Iterable[TrainRow]) -> bool:
    """True if an answer begins with the teacher's reasoning, as `teacher.trace: keep` writes it."""
    return any(row.messages[-1].content.lstrip().startswith(THINK) for row in rows)


def tokenize_training_rows(
    rows: Iterable[TrainRow],
    tokenizer: Any,
    config: TrainConfig,
    positions: int | None = None,
    path: Path | None = None,
    workers: int = 0,
    aligner: Aligner | None = None,
    privileged: PrivilegedPrompts | None = None,
    *,
    may_be_empty: bool = False,
) -> TokenizedRows:
    """Rows of at most `max_length` tokens, and at most `positions`, which the model has.

    With `aligner`, they have the teacher's likely tokens, with `privileged` these prompts. With `path` they are written
    there and mapped into memory; an undamaged file that is there is used. `workers` is the number of processes that
    tokenize a large number of rows. They import `__main__`, as those of multiprocessing do. Raises DataError when too
    many rows are longer, or none is left and they may not be empty.
    """
    named = _tokenized(rows, tokenizer, Tokenization(config.train_on, privileged), workers, aligner)
    batches = (record_batch(chunk) for chunk in _fitting(named, config, positions))
    if path is None:
        tokenized = TokenizedRows(table_of(batches))
    else:
        if not is_intact(path):
            with writing(path) as writer:
                for batch in batches:
                    writer.write_batch(batch)
        tokenized = TokenizedRows.open(path)
    if not (tokenized or may_be_empty):
        raise _no_rows(rows, config.train_on)
    return tokenized


def _tokenized(
    rows: Iterable[TrainRow], tokenizer: Any, tokenization: Tokenization, workers: int, aligner: Aligner | None
) -> Iterator[NamedRows]:
    chunks = _chunks(rows, repeated_turns=set() if tokenization.train_on == "all" else None)
    for chunk in itertools.islice(chunks, ROWS_BEFORE_WORKERS // CHUNK if workers else None):
        yield _aligned(_tokenize(tokenizer, tokenization, chunk), chunk, aligner)
    following = next(chunks, None)
    if following is None:
        return
    remaining, chunks = itertools.tee(itertools.chain([following], chunks))
    tokenized = _tokenized_by_workers(chunks, tokenizer, tokenization, workers)
    for named_rows, chunk in zip(tokenized, remaining, strict=True):
        yield _aligned(named_rows, chunk, aligner)


def _aligned(rows: NamedRows, chunk: Chunk, aligner: Aligner | None) -> NamedRows:
    """The rows with the likely tokens of the answers that end their conversations."""
    if aligner is None:
        return rows
    last = {row.conversation: index for index, (_, row) in enumerate(rows)}
    return [
        (name, _with_top_k(row, chunk.keys[row.conversation], aligner) if last[row.conversation] == index else row)
        for index, (name, row) in enumerate(rows)
    ]


def _with_top_k(row: TokenizedRow, key: str | None, aligner: Aligner) -> TokenizedRow:
    start, end = row.targets[-1]
    top_k = aligner.align(key, row.input_ids[start:end])
    if top_k is None:
        return row
    earlier = row.num_target_tokens - (end - start)
    ids = np.pad(top_k.ids, ((earlier, 0), (0, 0)), constant_values=NO_TOKEN)
    logprobs = np.pad(top_k.logprobs, ((earlier, 0), (0, 0)), constant_values=-np.inf)
    return replace(row, top_k=TopK(ids, logprobs))


def _chunks(rows: Iterable[TrainRow], repeated_turns: set[int] | None) -> Iterator[Chunk]:
    """Rows in chunks. With `repeated_turns`, assistant turns that an earlier row has are not trained again."""
    numbered = enumerate(rows, 1)
    while part := list(itertools.islice(numbered, CHUNK)):
        conversations = [row.messages for _, row in part]
        if repeated_turns is not None:
            conversations = [without_repeated_turns(turns, repeated_turns) for turns in conversations]
        yield Chunk(
            [f"row {number} ({row.id})" for number, row in part],
            conversations,
            [row.weight for _, row in part],
            [row.key if turns[-1].weight else None for (_, row), turns in zip(part, conversations, strict=True)],
        )


def _tokenize(tokenizer: Any, tokenization: Tokenization, chunk: Chunk) -> NamedRows:
    train_on, privileged = tokenization
    try:
        tokenized = tokenize_rows(tokenizer, chunk.conversations, train_on, chunk.weights)
    except DataError:
        for name, turns in zip(chunk.names, chunk.conversations, strict=True):
            with _named(name):
                tokenize_rows(tokenizer, [turns], train_on)
        raise
    if privileged:
        tokenized = privileged.added(tokenizer, tokenized, chunk.conversations)
    return [(chunk.names[row.conversation], row) for row in tokenized]


@contextmanager
def _named(row: str) -> Iterator[None]:
    """Add the name of a row to the problem of a template that rejects it."""
    try:
        yield
    except DataError as error:
        (problem,) = error.problems
        if problem.code != REJECTED_BY_TEMPLATE:
            raise
        raise DataError(problems=[replace(problem, message=f"{problem.message} of {row}")]) from None


def _tokenized_by_workers(
    chunks: Iterator[Chunk], tokenizer: Any, tokenization: Tokenization, workers: int
) -> Iterator[NamedRows]:
    """In the order of the chunks, of which few are in memory."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _set_tokenizer, (tokenizer, tokenization)) as pool:
        pending: deque[Future[NamedRows]] = deque()
        for chunk in chunks:
            pending.append(pool.submit(_tokenize_in_worker, chunk))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


_worker: tuple[Any, Tokenization]


def _set_tokenizer(tokenizer: Any, tokenization: Tokenization) -> None:
    """Keep the tokenizer in a worker process, so that it is sent once."""
    global _worker
    _worker = tokenizer, tokenization


def _tokenize_in_worker(chunk: Chunk) -> NamedRows:
    return _tokenize(*_worker, chunk)


def _fitting(chunks: Iterable[NamedRows], config: TrainConfig, positions: int | None) -> Iterator[NamedRows]:
    """The rows that are not too long. Raises DataError after the last one if too many are."""
    limit = min(config.max_length, positions or config.max_length)
    count = too_long = longest = 0
    for chunk in chunks:
        fitting = [(name, row) for name, row in chunk if len(row.input_ids) <= limit]
        count, too_long = count + len(chunk), too_long + len(chunk) - len(fitting)
        longest = max(longest, *(len(row.input_ids) for _, row in chunk), 0)
        yield fitting
    if too_long:
        logger.warning("train: %d of %d rows are longer than %d tokens and not trained", too_long, count, limit)
    if too_long > config.max_overlong_ratio * count:
        message = f"{too_long} of {count} rows are longer (the longest has {longest} tokens)"
        raise _rows_too_long(message, config, positions)


def without_repeated_turns(turns: tuple[Message, ...], seen: set[int]) -> tuple[Message, ...]:
    """Give weight 0 to an assistant turn that an earlier conversation has after the same turns.

    Several answers to one prompt, and the rows of its traces, share the turns before. `seen` are hashes of the turns of
    earlier conversations; those of this one are added.
    """
    return tuple(
        _untrained(turn) if _is_repeated(turns[: index + 1], seen) else turn for index, turn in enumerate(turns)
    )


def _is_repeated(turns: tuple[Message, ...], seen: set[int]) -> bool:
    if turns[-1].role != "assistant" or not turns[-1].weight:
        return False
    key = hash(canonical(turns))
    repeated = key in seen
    seen.add(key)
    return repeated


def _no_rows(rows: Iterable[TrainRow], train_on: TrainOn) -> DataError:
    """The error for rows of which none is trained: no rows, no targets, or all too long."""
    without_target = [not target_turns(row.messages, train_on) for row in rows]
    if not without_target or not all(without_target):
        return DataError("no usable training row", code="no_rows", fix="see drops.jsonl of the curate step")
    turns = "the last assistant turn of each row has" if train_on == "last" else "all assistant turns have"
    message = f"{turns} weight 0, so there is nothing to train on"
    fix = "set weights to 1" + (", or train_on to all" if train_on == "last" else "")
    return DataError(message, code="no_targets", field=("train", "train_on"), value=train_on, fix=fix)


def _untrained(turn: Message) -> Message:
    return turn.model_copy(update={"weight": 0})


def _rows_too_long(message: str, config: TrainConfig, positions: int | None) -> DataError:
    if positions is not None and positions < config.max_length:
        return DataError(
            f"{message} than max_position_embeddings={positions} in its config.json",
            subject="student",
            code="rows_too_long",
            fix="shorten the rows, choose a student with a longer context, or raise train.max_overlong_ratio",
        )
    return DataError(
        message,
        field=("train", "max_length"),
        value=config.max_length,
        code="rows_too_long",
        fix="raise it, shorten the rows, or raise train.max_overlong_ratio",
    )
