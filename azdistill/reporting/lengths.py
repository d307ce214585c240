"""Scores of the test rows by the length of the student's answer."""

import itertools
from collections.abc import Mapping, Sequence

from azdistill.contracts.results import MODEL_ROLES, RowScores
from azdistill.reporting.report import LengthGroup

GROUPS = 4


def length_groups(scores: Sequence[RowScores], lengths: Mapping[str, int], metric: str) -> tuple[LengthGroup, ...]:
    """GROUPS groups of about as many rows, by length. Rows of one length are in one group, so there may be fewer.

    `lengths` are the characters of the student's answers by the id of the row. Rows that do not count for `metric` are
    left out. Empty if all answers have the same length.
    """
    counting = [row for row in scores if row.id in lengths and row.score(metric, "student") is not None]
    rows = sorted((lengths[row.id], row.id, row) for row in counting)
    groups: dict[int, list[tuple[int, RowScores]]] = {}
    passed = 0
    for length, members in itertools.groupby(rows, key=lambda row: row[0]):
        same = [(length, row) for *_, row in members]
        groups.setdefault(GROUPS * passed // len(rows), []).extend(same)
        passed += len(same)
    if len(groups) < 2:
        return ()
    return tuple(_group(members, metric) for members in groups.values())


def _group(members: Sequence[tuple[int, RowScores]], metric: str) -> LengthGroup:
    return LengthGroup(
        shortest=members[0][0],
        longest=members[-1][0],
        rows=len(members),
        means={
            role: round(sum(row.score(metric, role) or 0.0 for _, row in members) / len(members), 6)
            for role in MODEL_ROLES
        },
    )
