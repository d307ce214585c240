"""The rows of a file as step prepare reads them, before anything is paid."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.rows import Reject
from azdistill.data.cases import NO_RENAMES, Renames, SourcedCase, case_of, columns_of, renamed
from azdistill.data.columns import suggested_columns
from azdistill.tasks.chat_shapes import conversation_shape
from azdistill.tasks.logs import log_name, request_of
from azdistill.tasks.records import describe_files, read_records
from azdistill.tasks.task import BadRow, Task


@dataclass(frozen=True)
class Preview:
    """Usable and rejected rows of a file or its beginning.

    `shapes` counts the usable rows of each shape: that of a conversation or log, else the fields that were read.
    `unused` counts the rows in which each field has a value that is not read. `suggestion` is a value of data.columns
    with which rows that the task does not read may be read. `is_complete`: all rows were read.
    """

    format: str
    cases: Sequence[SourcedCase]
    rejects: Sequence[Reject]
    shapes: Counter[str]
    suggestion: str
    unused: Counter[str]
    is_complete: bool

    @property
    def rows(self) -> int:
        return len(self.cases) + len(self.rejects)

    @property
    def reasons(self) -> list[tuple[str, int]]:
        """Reasons of rejected rows with their number, most frequent first."""
        return Counter(reject.reason for reject in self.rejects).most_common()

    @property
    def references(self) -> int:
        """The number of rows with a reference answer."""
        return sum(case.case.gold is not None for case in self.cases)


class _ReadFields(dict[str, Any]):
    """A row that remembers which of its fields were read."""

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
    path: Path, task: Task, columns: Sequence[str] = (), renames: Renames = NO_RENAMES, max_rows: int = 0
) -> Preview:
    """Read the first `max_rows` rows of a file or folder, 0 for all. Raises DataError as `read_records` does."""
    cases: list[SourcedCase] = []
    rejects: list[Reject] = []
    shapes: Counter[str] = Counter()
    unused: Counter[str] = Counter()
    suggestion, is_complete = "", True
    for source, record in read_records(path):
        if max_rows and len(cases) + len(rejects) == max_rows:
            is_complete = False
            break
        try:
            if isinstance(record, BadRow):
                raise record
            row = request_of(record)
            fields = _ReadFields(renamed(row, renames))
            cases.append(SourcedCase(case_of(fields, task), source, columns_of(row, columns)))
            shapes[log_name(record) or conversation_shape(fields) or fields.used] += 1
            unused.update(name for name in fields.unused if name not in columns)
        except BadRow as error:
            rejects.append(Reject(source=source, reason=error.reason, detail=error.detail))
            if error.reason == "missing_field" and not suggestion and not isinstance(record, BadRow):
                suggestion = suggested_columns(record)
    return Preview(describe_files(path), cases, rejects, shapes, suggestion, unused, is_complete)
