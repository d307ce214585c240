"""Checks of all rows of a file together."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches

from azdistill.contracts.errors import DataError
from azdistill.contracts.problems import FieldPath, Problem
from azdistill.contracts.rows import Gold
from azdistill.contracts.task import TaskChoice
from azdistill.data.reject_counts import RejectCounts

# Rows from which on a label that never occurs is no accident: the chance is below 1 in 100,000.
FEWEST_LABELS = 30

# Columns that an error names.
MOST_COLUMNS = 8


def check_rejects(rejects: RejectCounts, usable: int, max_ratio: float) -> None:
    """Raise DataError when more than the fraction `max_ratio` of the rows was rejected."""
    rows = rejects.total + usable
    if rejects.total <= max_ratio * rows:
        return
    raise DataError(
        f"{rejects.total} of {rows} rows can't be used, more than the limit allows: {rejects}",
        code="too_many_rejects",
        field=("prepare", "max_reject_ratio"),
        value=max_ratio,
        fix="correct the rows, or raise max_reject_ratio to continue without them",
    )


def missing_columns(renames: Mapping[str, str], columns: Collection[str]) -> Iterator[Problem]:
    """An error for each column of `data.columns`, by the field that it has there, which is none of the `columns` of the
    rows: a misspelt column of answers would leave every row without one."""
    for name, column in renames.items():
        if column not in columns:
            close = get_close_matches(column, columns, 1)
            fix = f"did you mean {close[0]!r}?" if close else f"the rows have {_names(columns)}"
            message = "no row has a value in this column"
            field = ("data", "columns", name)
            yield Problem(code="unknown_column", message=message, field=field, value=column, fix=fix)


def _names(columns: Collection[str]) -> str:
    shown = ", ".join(map(repr, sorted(columns)[:MOST_COLUMNS])) or "none"
    return f"{shown}, ..." if len(columns) > MOST_COLUMNS else shown


def check_labels(golds: Counter[Gold | None], task: TaskChoice, labels: str | None, field: FieldPath) -> None:
    """Raise DataError when 0 and 1 may be other labels: they are entailment and neutral in SNLI, and something else in
    a set of two labels. `field` is the one that sets `labels`."""
    is_two_way = {"entailment", "neutral"} <= golds.keys() and "contradiction" not in golds
    if task != "nli" or labels or not is_two_way or golds.total() < FEWEST_LABELS:
        return
    raise DataError(
        f"no label of {golds.total()} rows is 2 or contradiction, so 0 and 1 may be other labels",
        code="labels_not_stated",
        field=field,
        fix="set labels in the order of their integers, such as labels: [entailment, not_entailment]",
    )
