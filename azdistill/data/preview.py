"""The rows of a file as step prepare reads them, before anything is paid."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.rows import Gold, Reject
from azdistill.data.cases import NO_RENAMES, Renames, SourcedCase, case_of, columns_of, renamed
from azdistill.data.columns import are_values, suggested_columns
from azdistill.tasks.chat_shapes import conversation_shape
from azdistill.tasks.logs import log_name, request_of
from azdistill.tasks.records import describe_files, read_records
from azdistill.tasks.shards import shards_of
from azdistill.tasks.task import BadRow, Task


@dataclass(frozen=True)
class Preview:
    """Usable and rejected rows of a file or its beginning.

    `cases` are the first usable rows, as many as were asked for: to keep all takes as long as to read them. `golds`
    counts the reference answers of all usable rows. `shapes` counts the usable rows of each shape: that of a
    conversation or log, else the fields that were read. `unused` counts the rows in which each field has a value that
    is not read. `columns` are the names of the columns of the rows. `suggestion` is a value of data.columns with which
    rows that the task does not read may be read. `lacks_header`: a CSV file begins with a row. `is_complete`: all rows
    were read.
    """

    format: str
    cases: Sequence[SourcedCase]
    golds: Counter[Gold | None]
    rejects: Sequence[Reject]
    shapes: Counter[str]
    suggestion: str
    lacks_header: bool
    unused: Counter[str]
    columns: Collection[str]
    is_complete: bool

    @property
    def usable(self) -> int:
        """The number of usable rows."""
        return self.golds.total()

    @property
    def rows(self) -> int:
        return self.usable + len(self.rejects)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Reasons of rejected rows with their number, most frequent first."""
        return Counter(reject.reason for reject in self.rejects).most_common()

    @property
    def references(self) -> int:
        """The number of rows with a reference answer."""
        return self.usable - self.golds[None]


class _ReadFields(dict[str, Any]):
    """A row that records which of its fields were read."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        super().__init__(record)
        self.read: set[str] = set()

    @property
    def used(self) -> str:
        """Fields with a value that were read, such as `question + answer`."""
        return " + ".join(name for name, value in self.items() if name in self.read and value not in (None, "", []))

    @property
    def unused(self) -> list[str]:
        """Fields with a value that were not read."""
        return [name for name, value in self.items() if name not in self.read and value not in (None, "", [])]

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)


def preview(
    path: Path,
    task: Task,
    columns: Sequence[str] = (),
    renames: Renames = NO_RENAMES,
    max_rows: int = 0,
    kept: int = 0,
    task_name: str = "conversation",
) -> Preview:
    """Read the first `max_rows` rows of a file or folder, 0 for all, and keep the first `kept` cases. Raises DataError
    as `read_records` does. `task_name` chooses the fields of the suggestion."""
    cases: list[SourcedCase] = []
    golds: Counter[Gold | None] = Counter()
    rejects: list[Reject] = []
    shapes: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    names: set[str] = set()
    suggestion, lacks_header, is_complete = "", False, True
    for index, (source, record) in enumerate(read_records(path)):
        if max_rows and index == max_rows:
            is_complete = False
            break
        try:
            if isinstance(record, BadRow):
                raise record
            row = request_of(record)
            names.update(row)
            fields = _ReadFields(renamed(row, renames))
            case = SourcedCase(case_of(fields, task), source, columns_of(row, columns))
            golds[case.case.gold] += 1
            if len(cases) < kept:
                cases.append(case)
            shapes[log_name(record) or conversation_shape(fields) or fields.used] += 1
            unused.update(name for name in fields.unused if name not in columns)
        except BadRow as error:
            rejects.append(Reject(source=source, reason=error.reason, detail=error.detail))
            if error.reason == "missing_field" and not suggestion and not isinstance(record, BadRow):
                suggestion = suggested_columns(record, task_name)
                lacks_header = are_values(record) and any(shard.detected().format == "CSV" for shard in shards_of(path))
    return Preview(
        describe_files(path), cases, golds, rejects, shapes, suggestion, lacks_header, unused, names, is_complete
    )
