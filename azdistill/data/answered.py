"""Rows that come with their answer, as rows to learn from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Message, Reject, TrainRow, prompt_id
from azdistill.data.cases import SourcedCase
from azdistill.data.prepare import read_data


def answered_rows(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[TrainRow], list[Reject]]:
    """The rows of a file or list, each with its reference answer as the turn to learn, and what was kept aside.

    Raises DataError when too many rows are bad, or one has no answer.
    """
    cases, rejects = read_data(data, config, task_file)
    return [_learned(case) for case in cases], rejects


def _learned(sourced: SourcedCase) -> TrainRow:
    messages, gold = sourced.case.messages, sourced.case.gold
    if gold is None:
        raise DataError(f"{sourced.source}: no answer to learn; end the row with an assistant turn, or ask a teacher")
    return TrainRow(id=prompt_id(messages), messages=(*messages, Message(role="assistant", content=gold)))
