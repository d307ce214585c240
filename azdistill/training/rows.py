"""Tokenize training rows and drop those that are too long."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message, TrainRow, canonical
from azdistill.contracts.train import TrainConfig
from azdistill.students.chat_template import THINK
from azdistill.students.template import TokenizedRow, tokenize_rows


def contain_thoughts(rows: Sequence[TrainRow]) -> bool:
    """True if an answer begins with the teacher's reasoning, as `teacher.trace: keep` writes it."""
    return any(row.messages[-1].content.lstrip().startswith(THINK) for row in rows)


def tokenize_training_rows(
    rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig, positions: int | None = None
) -> list[TokenizedRow]:
    """Rows of at most `max_length` tokens, and at most `positions`, which the model has.

    Raises DataError when too many are longer, or none is left.
    """
    tokenized = tokenize_validation_rows(rows, tokenizer, config, positions)
    if not tokenized:
        raise DataError("no usable training row", code="no_rows", fix="see drops.jsonl of the curate step")
    return tokenized


def tokenize_validation_rows(
    rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig, positions: int | None = None
) -> list[TokenizedRow]:
    """Like `tokenize_training_rows`, but there may be no rows."""
    conversations = [row.messages for row in rows]
    if config.train_on == "all":
        conversations = without_repeated_turns(conversations)
    tokenized = tokenize_rows(tokenizer, conversations, config.train_on, [row.weight for row in rows])
    limit = min(config.max_length, positions or config.max_length)
    fitting = [row for row in tokenized if len(row.input_ids) <= limit]
    if len(tokenized) - len(fitting) > config.max_overlong_ratio * len(tokenized):
        raise _too_long(tokenized, fitting, config, positions)
    return normalize_weights(fitting)


def normalize_weights(rows: Sequence[TokenizedRow]) -> list[TokenizedRow]:
    """Scale the weights so that their mean over target tokens is 1: then mean losses and learning rates keep their
    meaning, and only the ratios of the weights count."""
    tokens = sum(row.num_target_tokens for row in rows)
    weighted = sum(row.weight * row.num_target_tokens for row in rows)
    if weighted == tokens:
        return list(rows)
    return [replace(row, weight=row.weight * tokens / weighted) for row in rows]


def without_repeated_turns(conversations: Sequence[tuple[Message, ...]]) -> list[tuple[Message, ...]]:
    """Give weight 0 to an assistant turn that an earlier conversation has after the same turns.

    Several answers to one prompt, and the rows of its traces, share the turns before.
    """
    seen: set[int] = set()
    return [
        tuple(_untrained(turn) if _is_repeated(turns[: index + 1], seen) else turn for index, turn in enumerate(turns))
        for turns in conversations
    ]


def _is_repeated(turns: tuple[Message, ...], seen: set[int]) -> bool:
    if turns[-1].role != "assistant" or not turns[-1].weight:
        return False
    key = hash(canonical(turns))
    repeated = key in seen
    seen.add(key)
    return repeated


def _untrained(turn: Message) -> Message:
    return turn.model_copy(update={"weight": 0})


def _too_long(
    rows: Sequence[TokenizedRow], fitting: Sequence[TokenizedRow], config: TrainConfig, positions: int | None
) -> DataError:
    longest = max(len(row.input_ids) for row in rows)
    message = f"{len(rows) - len(fitting)} of {len(rows)} rows are longer (the longest has {longest} tokens)"
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
