"""The curve's geometry: inside its frame, with round ticks that reach the highest loss."""

import pytest

from azdistill.reporting.curve import HEIGHT, WIDTH, curve
from azdistill.reporting.report import CurvePoint


@pytest.mark.parametrize("highest", [0.0, 0.003, 0.7, 1.0, 6.9, 11.0, 2500.0])
def test_every_point_lies_in_the_frame(highest: float) -> None:
    found = curve([CurvePoint(step=1, loss=highest), CurvePoint(step=9, loss=highest / 3, validation_loss=highest / 2)])
    assert found is not None
    places = [tuple(map(float, pair.split(","))) for pair in found.training.split()] + list(found.validation)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in places)
    assert float(found.ticks[-1].label) >= highest
    assert [tick.percent for tick in found.ticks] == [0, 25, 50, 75, 100]


def test_what_is_not_finite_is_left_out() -> None:
    points = [CurvePoint(step=1, loss=2.0), CurvePoint(step=2, loss=float("nan")), CurvePoint(step=3, loss=1.0)]
    found = curve(points)
    assert found is not None
    assert len(found.training.split()) == 2


def test_nothing_logged_is_no_curve() -> None:
    assert curve([]) is None
    assert curve([CurvePoint(step=4, learning_rate=0.1)]) is None
