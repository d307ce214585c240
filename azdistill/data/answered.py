"""Training rows from data that already has answers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Message, Reject, TrainRow, gold_texts, prompt_id
from azdistill.data.cases import SourcedCase
from azdistill.data.prepare import read_data


def answered_rows(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[TrainRow], list[Reject]]:
    """Training rows whose target turn is the first reference answer, and the rejected rows of a file or list.

    Raises DataError when too many rows are bad, or a row has no answer.
    """
    cases, rejects = read_data(data, config, task_file)
    return [_train_row(case) for case in cases], rejects


def _train_row(sourced: SourcedCase) -> TrainRow:
    messages = sourced.case.messages
    if not (golds := gold_texts(sourced.case.gold)):
        raise DataError(
            "the row has no answer to train on",
            code="missing_answer",
            subject=sourced.source,
            fix="end the row with an assistant turn, or ask a teacher",
        )
    answer = Message(role="assistant", content=golds[0])
    return TrainRow(id=prompt_id(messages), messages=(*messages, answer), weight=sourced.case.weight)
