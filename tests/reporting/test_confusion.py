"""The confusion matrix."""

from azdistill.contracts.results import RowScores
from azdistill.reporting.confusion import confusion


def row(gold: str | None, student: str | None) -> RowScores:
    return RowScores(id="0", gold=gold, answers={"student": student}, scores={})


def test_rows_are_counted_by_reference_and_answer() -> None:
    rows = [
        row("yes", "yes"),
        row("yes", "yes"),
        row("yes", "no"),
        row("no", None),
        row("no", "maybe"),
        row(None, "no"),
    ]
    matrix = confusion(rows)
    assert matrix
    assert matrix.labels == ("no", "yes")
    assert matrix.answers == ("no", "yes", "another answer", "no answer")
    assert matrix.counts == ((0, 0, 1, 1), (1, 2, 0, 0))


def test_references_that_are_no_labels_have_no_matrix() -> None:
    assert confusion([]) is None
    assert confusion([row("yes", "yes")] * 9) is None
    assert confusion([row(str(number), "1") for number in range(8)]) is None
    assert confusion([row(str(number % 11), "1") for number in range(100)]) is None
