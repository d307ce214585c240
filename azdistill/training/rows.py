"""Tokenize training rows and drop those that are too long."""

from collections.abc import Sequence
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.template import TokenizedRow, tokenize_rows


def tokenize_training_rows(rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig) -> list[TokenizedRow]:
    """Rows of at most `max_length` tokens. Raises DataError when too many are longer, or none is left."""
    tokenized = tokenize_validation_rows(rows, tokenizer, config)
    if not tokenized:
        raise DataError("no usable training row", code="no_rows", fix="see drops.jsonl of the curate step")
    return tokenized


def tokenize_validation_rows(rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig) -> list[TokenizedRow]:
    """Like `tokenize_training_rows`, but there may be no rows."""
    tokenized = tokenize_rows(tokenizer, [row.messages for row in rows])
    fitting = [row for row in tokenized if len(row.input_ids) <= config.max_length]
    too_long = len(tokenized) - len(fitting)
    if too_long > config.max_overlong_ratio * len(tokenized):
        longest = max(len(row.input_ids) for row in tokenized)
        raise DataError(
            f"{too_long} of {len(tokenized)} rows are longer (the longest has {longest} tokens)",
            field=("train", "max_length"),
            value=config.max_length,
            code="rows_too_long",
            fix="raise it, shorten the rows, or raise train.max_overlong_ratio",
        )
    return fitting
