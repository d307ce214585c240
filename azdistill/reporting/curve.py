"""Coordinates of the training curve, which the template draws."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azdistill.reporting.report import CurvePoint

# Units of the SVG, which is stretched to the page. Labels are outside of it, so they are not stretched.
WIDTH, HEIGHT = 1000.0, 300.0

STEPS_OF_TEN = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Tick:
    """A grid line: its label, and its height in percent."""

    label: str
    percent: float


@dataclass(frozen=True)
class Curve:
    """Polylines in SVG units (`x,y x,y`), and the labels of the axes."""

    training: str
    validation: tuple[tuple[float, float], ...]
    ticks: tuple[Tick, ...]
    first_step: int
    last_step: int
    width: float = WIDTH
    height: float = HEIGHT

    @property
    def validation_line(self) -> str:
        return _polyline(self.validation)


def curve(points: Sequence[CurvePoint]) -> Curve | None:
    """Loss over steps; None when no finite loss was logged."""
    training = _series(points, lambda point: point.loss)
    validation = _series(points, lambda point: point.validation_loss)
    if not training:
        return None
    steps = [step for step, _ in training + validation]
    low, high = min(steps), max(steps)
    spacing = _spacing(max(loss for _, loss in training + validation))
    top = 4 * spacing

    def coordinates(point: tuple[int, float]) -> tuple[float, float]:
        step, loss = point
        return round(WIDTH * (step - low) / max(high - low, 1), 1), round(HEIGHT * (1 - loss / top), 1)

    return Curve(
        training=_polyline([coordinates(point) for point in training]),
        validation=tuple(coordinates(point) for point in validation),
        ticks=tuple(Tick(f"{number * spacing:g}", 25.0 * number) for number in range(5)),
        first_step=low,
        last_step=high,
    )


def _series(points: Sequence[CurvePoint], loss_of: Callable[[CurvePoint], float | None]) -> list[tuple[int, float]]:
    pairs = [(point.step, loss_of(point)) for point in points]
    return [(step, loss) for step, loss in pairs if loss is not None and math.isfinite(loss)]


def _spacing(highest: float) -> float:
    """The smallest round spacing of which four reach `highest`."""
    minimum = max(highest, 1e-6) / 4
    power = 10.0 ** math.floor(math.log10(minimum))
    return next(step * power for step in STEPS_OF_TEN if step * power >= minimum * (1 - 1e-9))


def _polyline(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
