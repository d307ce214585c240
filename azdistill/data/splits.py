"""Assign rows to training, validation and test, so that no row is in two splits."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Split
from azdistill.data.row_store import Integers, RowTable

TRAIN, VALIDATION, TEST = map(SPLITS.index, ("train", "validation", "test"))

# Reasons of rows that are left out, and what a row of the reason does to the other row.
LEFT_OUT: Mapping[str, str] = {
    "duplicate": "repeats {other}",
    "leaked": "repeats {other}, a {split} row",
    "group_leaked": "has the group of {other}, a {split} row",
    "near_leaked": "is nearly {other}, a {split} row",
}
REASONS = ("", *LEFT_OUT)


# References that may be labels: with more different ones, they are answers.
MAX_LABELS = 20


@dataclass(frozen=True)
class Assignment:
    """The split of each row, and why rows are left out.

    `split`: index in SPLITS. `reason`: index in REASONS, 0 for a row that is a prompt. `other`: the row for which a
    row is left out.
    """

    split: npt.NDArray[np.int8]
    reason: npt.NDArray[np.int8]
    other: Integers

    def rows(self, *splits: int) -> Integers:
        """The prompts of splits, in the order of their rows."""
        return np.flatnonzero((self.reason == 0) & np.isin(self.split, splits))

    def count(self, split: Split) -> int:
        return len(self.rows(SPLITS.index(split)))

    def left_out(self) -> dict[str, int]:
        """Number of rows by reason, without those of no row."""
        counts = np.bincount(self.reason, minlength=len(REASONS))
        return {reason: int(count) for reason, count in zip(REASONS, counts, strict=True) if reason and count}

    def leave_out(self, rows: Integers | int, reason: str, others: Integers | int) -> None:
        self.reason[rows], self.other[rows] = REASONS.index(reason), others

    def reasons(self) -> Iterator[tuple[int, str, int]]:
        """Each row that is left out, with its reason and the other row."""
        for row in map(int, np.flatnonzero(self.reason)):
            yield row, REASONS[self.reason[row]], int(self.other[row])


def assign(table: RowTable, files: Collection[Split], config: PrepareConfig) -> Assignment:
    """Assign every row to one split. Splits without a file are drawn from the training file.

    A hash of seed and content decides, or of seed and group, so a row stays in its split when other rows are added or
    removed. Of rows that differ only in case and white space the first one counts, and a held-out row is never a
    training row. Without a training file nothing is drawn, and only rows with equal texts are duplicates: a model has
    to answer the others. Raises DataError for fractions that leave no training row.
    """
    assignment = Assignment(
        split=table.file.copy(), reason=np.zeros(len(table), np.int8), other=np.full(len(table), -1, np.int64)
    )
    if "train" not in files:
        rows, others = _repeated(table.identity, np.arange(len(table)))
        assignment.leave_out(rows, "duplicate", others)
        return assignment
    fractions = _fractions(files, config)
    # Held-out rows first: when a row is in two files, the training row is left out.
    order = np.concatenate([np.flatnonzero(table.file == file) for file in (TEST, VALIDATION, TRAIN)])
    rows, others = _repeated(table.fingerprint, order)
    is_leaked = table.file[rows] != table.file[others]
    assignment.leave_out(rows[~is_leaked], "duplicate", others[~is_leaked])
    assignment.leave_out(rows[is_leaked], "leaked", others[is_leaked])
    if config.group_column:
        _leave_out_groups(table, assignment, VALIDATION, [TEST])
        _leave_out_groups(table, assignment, TRAIN, [TEST, VALIDATION])
    _draw(table, assignment, fractions)
    return assignment


def _repeated(keys: npt.NDArray[Any], order: Integers) -> tuple[Integers, Integers]:
    """Rows with the key of an earlier row in `order`, and the first row with the key of each."""
    _, first, inverse = np.unique(keys[order], return_index=True, return_inverse=True)
    others = order[first[inverse]]
    is_repeated = others != order
    return order[is_repeated], others[is_repeated]


def _leave_out_groups(table: RowTable, assignment: Assignment, split: int, held_out: list[int]) -> None:
    """Leave out the rows of a file whose group occurs in the files `held_out`."""
    held, rows = assignment.rows(*held_out), assignment.rows(split)
    groups, first = np.unique(table.group[held], return_index=True)
    if not len(groups):
        return
    positions = np.minimum(np.searchsorted(groups, table.group[rows]), len(groups) - 1)
    is_held = (groups[positions] == table.group[rows]) & (table.group[rows] != 0)
    assignment.leave_out(rows[is_held], "group_leaked", held[first[positions[is_held]]])


def _fractions(files: Collection[Split], config: PrepareConfig) -> dict[Split, float]:
    """The fraction to draw for each split without a file."""
    configured: dict[Split, float] = {"test": config.test_fraction, "validation": config.validation_fraction}
    fractions = {split: fraction for split, fraction in configured.items() if split not in files and fraction}
    if sum(fractions.values()) >= 1:
        terms = " + ".join(f"{split}_fraction={fraction:g}" for split, fraction in fractions.items())
        raise DataError(f"{terms} leaves no training row", subject="prepare", fix="make their sum less than 1")
    return fractions


def _draw(table: RowTable, assignment: Assignment, fractions: Mapping[Split, float]) -> None:
    """Draw the splits of the training rows.

    A split that is empty gets the training row with the lowest draw, and so does one without a row of a label of which
    at least one row is expected in it. With groups it gets all rows of the row's group.
    """
    rows = assignment.rows(TRAIN)
    draws, splits = table.draw[rows], np.full(len(rows), TRAIN, np.int8)
    bound = 0.0
    for split, fraction in fractions.items():
        splits[(draws >= bound) & (draws < bound + fraction)] = SPLITS.index(split)
        bound += fraction
    labels = _labels(table.gold[rows])
    for split, fraction in fractions.items():
        _fill(splits, draws, np.arange(len(rows)), split)
        for members in labels:
            if len(members) * fraction >= 1:
                _fill(splits, draws, members, split)
    assignment.split[rows] = splits


def _labels(golds: Integers) -> list[Integers]:
    """The rows of each label in the order of its first row; none when the references are no labels."""
    values, first = np.unique(golds[golds != 0], return_index=True)
    if len(values) > MAX_LABELS:
        return []
    return [np.flatnonzero(golds == value) for value in values[np.argsort(first)]]


def _fill(splits: npt.NDArray[np.int8], draws: npt.NDArray[np.float64], members: Integers, split: Split) -> None:
    """Move the training rows with the lowest draw of `members` to a split that has none of them, if others remain."""
    index = SPLITS.index(split)
    candidates = draws[members][splits[members] == TRAIN]
    if not np.any(splits[members] == index) and len(np.unique(candidates)) > 1:
        splits[draws == candidates.min()] = index


def check_splits(assignment: Assignment, files: Collection[Split]) -> None:
    """Raise DataError when no training row or no test row is left."""
    counts = assignment.left_out()
    left_out = ", ".join(f"{count} {reason}" for reason, count in counts.items())
    if "train" in files and not assignment.count("train"):
        raise DataError(
            f"no training row is left (left out: {left_out or 'none'})",
            code="no_rows",
            field=("data", "training_data"),
            fix="add rows",
        )
    if not assignment.count("test"):
        raise DataError(
            f"no test row is left (left out: {left_out or 'none'})",
            code="no_rows",
            field=("data", "test_data"),
            fix="set data.test_data, or raise prepare.test_fraction above 0",
        )
