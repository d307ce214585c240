"""A user's file as cases of a task, and the rows of it that aren't."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.contracts.rows import Reject
from azdistill.data.chat import chat_case
from azdistill.data.lines import read_lines, read_object
from azdistill.tasks.task import BadRow, Case, Task

Fingerprint = tuple[tuple[str, str], ...]
"""What two conversations share that are the same but for case and white space."""


@dataclass(frozen=True)
class SourcedCase:
    """A case, and the `file:line` it came from."""

    case: Case
    source: str

    @property
    def fingerprint(self) -> Fingerprint:
        return tuple((turn.role, " ".join(turn.content.casefold().split())) for turn in self.case.messages)


def read_cases(path: Path, task: Task, rows: int = 0) -> tuple[list[SourcedCase], list[Reject]]:
    """The cases of a JSONL file and what was kept aside, of its first `rows` rows; 0 for all.

    Raises DataError for a file that isn't there, holds no row, or isn't UTF-8.
    """
    lines = islice(read_lines(path), rows or None)
    return cases_of(((f"{path.name}:{number}", text) for number, text in lines), task)


def cases_of(rows: Iterable[tuple[str, str | Mapping[str, Any]]], task: Task) -> tuple[list[SourcedCase], list[Reject]]:
    """The cases of rows, each with its source and as a line of JSON or a mapping, and what was kept aside."""
    cases: list[SourcedCase] = []
    rejects: list[Reject] = []
    for source, row in rows:
        try:
            cases.append(SourcedCase(_case(read_object(row) if isinstance(row, str) else row, task), source))
        except BadRow as problem:
            rejects.append(Reject(source=source, reason=problem.reason, detail=problem.detail))
    return cases, rejects


def _case(record: Mapping[str, Any], task: Task) -> Case:
    case = chat_case(record) if "messages" in record else task.case(record)
    if case.gold is not None and task.answer(case.gold) is None:
        raise BadRow("gold_unparseable", f"the reference answer {shorten(case.gold)!r} says nothing in this task")
    return case


def shorten(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
