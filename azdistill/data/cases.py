"""Read the rows of a user's file as cases of a task, and reject those that are none."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.contracts.rows import Message, Prompt, Reject, Split, gold_texts, prompt_id
from azdistill.tasks.chat import chat_case
from azdistill.tasks.chat_shapes import turns_of
from azdistill.tasks.conversation import case as conversation_case
from azdistill.tasks.fields import as_text, json_type
from azdistill.tasks.logs import request_of
from azdistill.tasks.records import Record, read_records
from azdistill.tasks.task import BadRow, Case, Task

# Roles and texts of a conversation without case and white space: equal for duplicates.
Fingerprint = tuple[tuple[str, str], ...]


# Fields with a complete prompt, whatever the task.
GENERAL_PROMPTS = frozenset({"prompt", "instruction"})


@dataclass(frozen=True)
class SourcedCase:
    """A case, and the `file:line` that it comes from."""

    case: Case
    source: str
    columns: Mapping[str, str] = field(default_factory=dict)


def fingerprint(messages: tuple[Message, ...]) -> Fingerprint:
    return tuple((turn.role, _plain(turn.content)) for turn in messages)


def _plain(text: str) -> str:
    """The text in lower case, with single spaces as its only white space."""
    # All white space but the space is not printable. Splitting a text takes five times as long as this test.
    has_single_spaces = text.isprintable() and "  " not in text
    return text.casefold().strip() if has_single_spaces else " ".join(text.casefold().split())


# Columns of a user's rows by the names of the fields that a task reads.
Renames = Mapping[str, str]
NO_RENAMES: Renames = {}


def read_cases(
    path: Path, task: Task, rows: int = 0, columns: Sequence[str] = (), renames: Renames = NO_RENAMES
) -> tuple[list[SourcedCase], list[Reject]]:
    """Cases and rejected rows of a file or folder: of its first `rows` rows, 0 for all. The cases keep the `columns`.

    Raises DataError as `read_records` does.
    """
    return cases_of(islice(read_records(path), rows or None), task, columns, renames)


def cases_of(
    rows: Iterable[tuple[str, Record]], task: Task, columns: Sequence[str] = (), renames: Renames = NO_RENAMES
) -> tuple[list[SourcedCase], list[Reject]]:
    """Cases and rejected rows. Each of `rows` is a source and its content."""
    cases: list[SourcedCase] = []
    rejects: list[Reject] = []
    for row in convert(rows, task, columns, renames):
        if isinstance(row, Reject):
            rejects.append(row)
        else:
            cases.append(row)
    return cases, rejects


def convert(
    rows: Iterable[tuple[str, Record]],
    task: Task,
    columns: Sequence[str] = (),
    renames: Renames = NO_RENAMES,
    names: set[str] | None = None,
) -> Iterator[SourcedCase | Reject]:
    """Each of `rows`, a source and its content, as a case or a rejected row. `names` gets those of their columns."""
    for source, record in rows:
        try:
            if isinstance(record, BadRow):
                raise record
            row = request_of(record)
            if names is not None:
                names.update(row)
            case = case_of(renamed(row, renames), task)
            yield SourcedCase(case, source, columns_of(row, columns))
        except BadRow as error:
            yield Reject(source=source, reason=error.reason, detail=error.detail)


def renamed(record: Mapping[str, Any], renames: Renames) -> Mapping[str, Any]:
    """The row with the columns of `renames` under the names of fields. A field of that name is replaced.

    Raises BadRow for a row that has none of the columns.
    """
    if not renames:
        return record
    present = {field: record[column] for field, column in renames.items() if column in record}
    if not present:
        columns = ", ".join(map(repr, renames.values()))
        raise BadRow("missing_column", f"has none of the columns {columns} of data.columns")
    others = {name: value for name, value in record.items() if name not in renames.values()}
    return {**others, **present}


def case_of(record: Mapping[str, Any], task: Task) -> Case:
    """A row as a case of a task. Raises BadRow."""
    try:
        case = _case(record, task)
    except RecursionError:
        raise BadRow("nested_too_deeply", "its values are nested too deeply") from None
    for text in gold_texts(case.gold):
        if task.answer(text) is None:
            raise BadRow("gold_unparseable", f"the reference {shorten(text)!r} is not a valid answer of the task")
    return case


def _case(record: Mapping[str, Any], task: Task) -> Case:
    """A conversation, the fields of the task, or a prompt with its answer."""
    if (turns := turns_of(record)) is not None:
        return chat_case(turns, record)
    try:
        return task.case(record)
    except BadRow as error:
        if error.reason != "missing_field" or not record.keys() & GENERAL_PROMPTS:
            raise
        return conversation_case(record)


def columns_of(record: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Columns of a row as text, a boolean as JSON writes it. A column that is missing or null is absent."""
    values = {name: record[name] for name in names if record.get(name) is not None}
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            message = f"{name} is {json_type(value)}; a column must be a text, a number or a boolean"
            raise BadRow("column_not_a_value", message)
    return {name: _column_text(name, value) for name, value in values.items()}


def _column_text(name: str, value: str | int | float | bool) -> str:
    if not isinstance(value, str):
        return json.dumps(value)
    return as_text(name, value) if value.strip() else value


def prompt_of(case: SourcedCase, split: Split) -> Prompt:
    """A case as a prompt of a split."""
    messages, gold, weight = case.case.messages, case.case.gold, case.case.weight
    return Prompt(
        id=prompt_id(messages),
        split=split,
        messages=messages,
        gold=gold,
        source=case.source,
        weight=weight,
        columns=dict(case.columns),
    )


def shorten(text: str, longest: int = 60) -> str:
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
