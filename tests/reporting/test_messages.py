"""Figures as people read them, at the edges of their units."""

import pytest

from azdistill.contracts.requests import Teacher
from azdistill.contracts.results import Interval
from azdistill.contracts.teacher import TeacherConfig
from azdistill.reporting.figures import count, percent_interval, seconds, size, times, width
from azdistill.reporting.messages import settings_facts, training_facts


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0.0061, "6.1 ms"), (0.0999, "100 ms"), (0.412, "412 ms"), (1.0, "1.0 s"), (312.44, "312.4 s")],
)
def test_seconds(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "n/a"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1023 * 1024, "1023 KiB"),
        (4_216_000, "4.02 MiB"),
        (2**43, "8192 GiB"),
    ],
)
def test_size(value: float | None, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "n/a"), (0, "0"), (999, "999"), (1000, "1 k"), (27_900, "27.9 k"), (3_840_000_000, "3.84 B")],
)
def test_count(value: float | None, shown: str) -> None:
    assert count(value) == shown


def test_a_ratio_to_zero_or_of_an_unknown_value_is_empty() -> None:
    assert times(0.4, 0.0, "teacher") == times(None, 1.0, "teacher") == ""
    assert times(0.5, 2.0, "teacher") == "0.25 x teacher"


def test_an_interval_without_ends_is_its_value() -> None:
    assert percent_interval(Interval(value=0.5, low=None, high=None)) == "50.0%"
    assert percent_interval(Interval(value=0.5, low=0.4, high=0.6)) == "50.0% [40.0, 60.0]"


def test_a_bar_stays_in_its_track() -> None:
    assert [width(fraction) for fraction in (None, -0.1, 0.5, 1.2)] == ["0.00", "0.00", "50.00", "100.00"]


def test_the_settings_of_a_teacher_contain_its_parameters() -> None:
    teacher = Teacher(model="m", connection="foundry", parameters={"reasoning_effort": "low"})
    facts = dict(settings_facts(TeacherConfig(teachers=(teacher,)).model_dump(mode="json")))
    assert facts["teachers.0.parameters.reasoning_effort"] == "low"


def test_training_facts_have_speed_and_memory_and_those_of_several_processes() -> None:
    metrics = {"tokens_per_s": 27_900.0, "peak_memory_bytes": 850 * 2**20, "processes": 1, "sharding": "none"}
    one = [("tokens per second", "27.9 k"), ("peak memory", "850 MiB")]
    assert training_facts(metrics) == one
    four = [("processes", "4"), ("sharding", "fsdp")]
    assert training_facts(metrics | {"processes": 4, "sharding": "fsdp"}) == one + four
