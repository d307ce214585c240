"""Rows of the regression suites, without those that the student is trained on."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Prompt, Reject, prompt_id
from azdistill.contracts.suites import Suite, SuiteRow
from azdistill.data.cases import Fingerprint, SourcedCase, cases_of, fingerprint
from azdistill.data.checks import check_labels, check_rejects
from azdistill.data.reject_counts import RejectCounts
from azdistill.tasks.records import read_records
from azdistill.tasks.registry import task_of


@dataclass(frozen=True)
class ReadSuite:
    """Usable and rejected rows of one suite."""

    suite: Suite
    cases: Sequence[SourcedCase]
    rejects: Sequence[Reject]


@dataclass(frozen=True)
class SuiteRows:
    """The rows of all suites. `duplicates` repeat a row of their suite, `leaked` a row that the student is trained on.

    Both are left out of the rows.
    """

    rows: tuple[SuiteRow, ...]
    duplicates: int
    leaked: int


def read_suite(suite: Suite, path: Path, task_file: Path | None = None, rows: int = 0) -> ReadSuite:
    """Read the first `rows` rows of a suite's file, 0 for all. The source of a row is `suite:line`, in a folder
    `suite:file:line`.

    Raises DataError for a file that cannot be read at all, InputError for a `task_file` that defines no task.
    """
    records = islice(read_records(path), rows or None)
    sourced = ((f"{suite.name}:{source.removeprefix(f'{path.name}:')}", record) for source, record in records)
    return ReadSuite(suite, *cases_of(sourced, task_of(suite.task, task_file, suite.label_names)))


def check_suite(read: ReadSuite, max_reject_ratio: float) -> None:
    """Raise DataError when too many rows of a suite are bad, or their labels may be other ones."""
    check_rejects(RejectCounts(read.rejects), len(read.cases), max_reject_ratio)
    golds = Counter(case.case.gold for case in read.cases)
    check_labels(golds, read.suite.task, read.suite.label_names, ("regressions", read.suite.name, "labels"))


def check_references(read: ReadSuite, metric: str) -> None:
    """Raise DataError when no row has the reference answer that `metric` compares with."""
    if all(case.case.gold is None for case in read.cases):
        raise DataError(
            f"no row has a reference answer, which metric {metric} needs",
            code="no_references",
            field=("regressions", read.suite.name, "data"),
            fix="add reference answers, or choose a metric of the form such as refused",
        )


def suite_rows(suites: Iterable[ReadSuite], prompts: Iterable[Prompt]) -> SuiteRows:
    """The rows of all suites without duplicates and without training and validation rows of `prompts`.

    Rows that differ only in case and white space are the same. Raises DataError when a suite has no row left.
    """
    trained = {fingerprint(prompt.messages) for prompt in prompts if prompt.split != "test"}
    rows: list[SuiteRow] = []
    duplicates = leaked = 0
    for read in suites:
        unique: dict[Fingerprint, SourcedCase] = {}
        for case in read.cases:
            unique.setdefault(fingerprint(case.case.messages), case)
        kept = [case for key, case in unique.items() if key not in trained]
        duplicates += len(read.cases) - len(unique)
        leaked += len(unique) - len(kept)
        if not kept:
            raise _no_rows(read, len(unique))
        rows += [_row(read.suite, case) for case in kept]
    return SuiteRows(tuple(rows), duplicates, leaked)


def counts(suites: Sequence[ReadSuite], rows: SuiteRows) -> dict[str, Any]:
    """Row counts for the manifest: by suite, and of the rows that are left out."""
    rejects = [reject for read in suites for reject in read.rejects]
    by_suite = Counter(row.suite for row in rows.rows)
    left_out = {"rejected": len(rejects), "duplicates": rows.duplicates, "leaked": rows.leaked}
    reasons: Mapping[str, int] = Counter(reject.reason for reject in rejects)
    return {"rows": dict(by_suite), **left_out, "reasons": dict(sorted(reasons.items()))}


def _row(suite: Suite, sourced: SourcedCase) -> SuiteRow:
    messages, gold = sourced.case.messages, sourced.case.gold
    return SuiteRow(
        id=prompt_id(messages), split="test", messages=messages, gold=gold, source=sourced.source, suite=suite.name
    )


def _no_rows(read: ReadSuite, unique: int) -> DataError:
    return DataError(
        f"no row is left: {unique} are rows that the student is trained on, {len(read.rejects)} are rejected",
        code="no_rows",
        field=("regressions", read.suite.name, "data"),
        fix="add rows that are not in the training data",
    )
