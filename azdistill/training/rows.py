"""Training rows as token ids, the overlong ones kept aside."""

from collections.abc import Sequence
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.template import Encoded, encode_rows


def encode(rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig) -> list[Encoded]:
    """The rows that fit `max_length`. Raises DataError when too many don't, or none is left."""
    found = encode_rows(tokenizer, [row.messages for row in rows])
    fitting = [row for row in found if len(row.ids) <= config.max_length]
    overlong = len(found) - len(fitting)
    if overlong > config.max_overlong_ratio * len(found):
        longest = max(len(row.ids) for row in found)
        raise DataError(
            f"training: {overlong} of {len(found)} rows are longer than train.max_length={config.max_length} tokens "
            f"(the longest has {longest}); raise it, shorten the rows, or raise train.max_overlong_ratio"
        )
    return fitting


def encode_training(rows: Sequence[TrainRow], tokenizer: Any, config: TrainConfig) -> list[Encoded]:
    """As `encode`, for rows that there have to be."""
    fitting = encode(rows, tokenizer, config)
    if not fitting:
        raise DataError("training: train.jsonl holds no row to learn from; look at drops.jsonl of curate")
    return fitting
