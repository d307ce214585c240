"""Facts about the prompts of each split, and scores by the length of the answers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.results import RowScores
from azdistill.contracts.rows import Message, Prompt, Split
from azdistill.reporting.lengths import length_groups
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import LengthGroup
from azdistill.reporting.split_facts import split_facts
from tests.reporting.test_collect import read_report

Distil = Callable[..., dict[str, Path]]


def prompt(split: Split, length: int, turns: int = 1, gold: str | None = "yes", source: str = "a.jsonl:1") -> Prompt:
    user, assistant = Message(role="user", content="x" * length), Message(role="assistant", content="")
    messages = (user, *(assistant, user) * (turns - 1))
    return Prompt(id="0", split=split, messages=messages, gold=gold, source=source)


def test_each_split_has_a_record() -> None:
    prompts = [
        prompt("train", 10, gold=None),
        prompt("train", 20, source="b.jsonl:7"),
        prompt("train", 40, turns=2),
        prompt("test", 5),
    ]
    train, test = split_facts(prompts)
    assert (train.name, train.rows, train.files, train.with_reference) == ("train", 3, {"a.jsonl": 2, "b.jsonl": 1}, 2)
    assert (train.median_length, train.longest, train.most_turns) == (20, 80, 2)
    assert (test.name, test.rows) == ("test", 1)


def scored(number: int, student: float | None) -> RowScores:
    scores = {"teacher": 1.0, "baseline": 0.0, "student": student}
    return RowScores(id=f"{number:04}", answers={}, scores={"accuracy": scores})


def test_groups_by_length_have_about_as_many_rows() -> None:
    """The longest quarter of the answers is wrong. Rows of one length are never in two groups."""
    rows = [scored(number, float(number < 30)) for number in range(40)] + [scored(99, None)]
    lengths = {f"{number:04}": 10 * (number // 3) for number in range(40)} | {"0099": 1000}
    groups = length_groups(rows, lengths, "accuracy")
    assert [(group.shortest, group.longest, group.rows) for group in groups] == [
        (0, 30, 12),
        (40, 60, 9),
        (70, 90, 9),
        (100, 130, 10),
    ]
    assert [group.means["student"] for group in groups] == [1, 1, 1, 0]


@pytest.mark.parametrize("rows", [0, 9])
def test_answers_of_one_length_have_no_groups(rows: int) -> None:
    assert length_groups([scored(n, 1.0) for n in range(rows)], {f"{n:04}": 7 for n in range(rows)}, "accuracy") == ()


def test_the_report_has_both(distil: Distil) -> None:
    report = read_report(distil())
    assert [(split.name, split.rows, split.files) for split in report.data] == [("test", 40, {"test_data.jsonl": 40})]
    means = {"teacher": 1.0, "baseline": 0.0, "student": 0.5}
    groups = (LengthGroup(shortest=7, longest=1200, rows=31, means=means),)
    for page in map(str, (html(report), markdown(report))):
        assert "data.jsonl 40" in page
        assert "Length of the answers" not in page
    with_lengths = report.model_copy(update={"lengths": groups})
    assert '<th scope="row">7 to 1,200</th>' in html(with_lengths)
    assert "| 7 to 1,200 | 31 | 100.0% | 0.0% | 50.0% |" in markdown(with_lengths)
