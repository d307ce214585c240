"""The curve's geometry: inside its frame, with round ticks that reach the highest loss."""

import pytest

from azdistill.reporting.curve import HEIGHT, WIDTH, curve
from azdistill.reporting.report import CurvePoint


@pytest.mark.parametrize("highest", [0.0, 0.003, 0.7, 1.0, 6.9, 11.0, 2500.0])
def test_every_point_is_inside_the_frame(highest: float) -> None:
    drawn = curve([CurvePoint(step=1, loss=highest), CurvePoint(step=9, loss=highest / 3, validation_loss=highest / 2)])
    assert drawn is not None
    coordinates = [tuple(map(float, pair.split(","))) for pair in drawn.training.split()] + list(drawn.validation)
    assert all(0 <= x <= WIDTH and 0 <= y <= HEIGHT for x, y in coordinates)
    assert float(drawn.ticks[-1].label) >= highest
    assert [tick.percent for tick in drawn.ticks] == [0, 25, 50, 75, 100]


def test_losses_that_are_not_finite_are_not_drawn() -> None:
    points = [CurvePoint(step=1, loss=2.0), CurvePoint(step=2, loss=float("nan")), CurvePoint(step=3, loss=1.0)]
    drawn = curve(points)
    assert drawn is not None
    assert len(drawn.training.split()) == 2


def test_nothing_logged_is_no_curve() -> None:
    assert curve([]) is None
    assert curve([CurvePoint(step=4, learning_rate=0.1)]) is None
