"""Groups of test rows, with intervals that hold together."""

import pytest

from azdistill.contracts.results import RowScores
from azdistill.contracts.rows import Message, Prompt
from azdistill.evaluation.intervals import PairedBootstrap
from azdistill.evaluation.slices import slice_metrics

BOOTSTRAP = PairedBootstrap(seed=0, resamples=500, confidence=0.95)


def prompt(number: int, length: int = 20, turns: int = 1, source: str = "test.jsonl", gold: str = "yes") -> Prompt:
    user, assistant = Message(role="user", content="x" * length), Message(role="assistant", content="")
    messages = (user, *(assistant, user) * (turns - 1))
    return Prompt(id=f"{number:04}", split="test", messages=messages, gold=gold, source=f"{source}:{number}")


def scored(number: int, student: float | None, baseline: float = 0.0, gold: str = "yes") -> RowScores:
    scores = {"teacher": 1.0, "baseline": baseline, "student": student}
    return RowScores(id=f"{number:04}", gold=gold, answers={}, scores={"accuracy": scores})


def test_a_group_that_got_worse_is_found_in_a_student_that_is_better() -> None:
    """Of 200 rows, 40 have three turns: the student lost half of these and gained most others."""
    prompts = [prompt(number, turns=3 if number < 40 else 1) for number in range(200)]
    scores = [
        scored(number, student=number % 2 if number < 40 else 1, baseline=1 if number < 40 else number % 2)
        for number in range(200)
    ]
    groups = slice_metrics(prompts, scores, "accuracy", BOOTSTRAP)
    one, three = (group for group in groups if group.name == "user turns")
    assert [(group.name, group.value, group.rows) for group in (one, three)] == [
        ("user turns", "1", 160),
        ("user turns", "3", 40),
    ]
    assert (one.means["student"], three.means["student"], three.means["baseline"]) == (1, 0.5, 1)
    assert one.gain.low is not None
    assert three.gain.high is not None
    assert (one.gain.value, one.gain.low > 0) == (0.5, True)
    assert (three.gain.value, three.gain.high < 0) == (-0.5, True)


def test_rows_are_grouped_by_source_length_and_reference() -> None:
    prompts = [
        prompt(n, length=10 * (n + 1), source="ab"[n % 2] + ".jsonl", gold=["yes", "no"][n % 2]) for n in range(8)
    ]
    scores = [scored(n, 1, gold=["yes", "no"][n % 2]) for n in range(8)]
    groups = slice_metrics(prompts, scores, "accuracy", BOOTSTRAP)
    assert [(group.name, group.value, group.rows) for group in groups] == [
        ("source", "a.jsonl", 4),
        ("source", "b.jsonl", 4),
        ("prompt length", "10 to 27 characters", 2),
        ("prompt length", "28 to 45 characters", 2),
        ("prompt length", "46 to 62 characters", 2),
        ("prompt length", "63 to 80 characters", 2),
        ("reference", "no", 4),
        ("reference", "yes", 4),
    ]


def test_intervals_are_wider_with_more_slices() -> None:
    """Two slices by source, or ten of the same rows: each interval has a confidence of .975 or of .995."""
    scores = [scored(number, student=number % 3 == 0) for number in range(300)]
    widths = []
    for sources in (2, 10):
        prompts = [prompt(number, source=f"{number // 30 * sources // 10}.jsonl") for number in range(300)]
        group = slice_metrics(prompts, scores, "accuracy", BOOTSTRAP)[0]
        assert group.gain.low is not None
        assert group.gain.high is not None
        widths.append((group.gain.high - group.gain.low) * group.rows**0.5)
    assert widths[1] > 1.1 * widths[0]


@pytest.mark.parametrize("student", [1, None])
def test_rows_that_are_alike_or_do_not_count_have_no_slices(student: float | None) -> None:
    prompts, scores = [prompt(n) for n in range(9)], [scored(n, student) for n in range(9)]
    assert slice_metrics(prompts, scores, "accuracy", BOOTSTRAP) == ()
    assert slice_metrics([], [], "accuracy", BOOTSTRAP) == ()
