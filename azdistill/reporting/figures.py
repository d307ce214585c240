"""Figures as text: metrics in their units, amounts, sizes and times."""

from collections.abc import Callable

from azdistill.contracts.results import Interval, MetricValue
from azdistill.metrics.metric import Metric, Unit

UNKNOWN = "n/a"


def format_metric(metric: Metric, value: MetricValue) -> str:
    """A metric's value in its unit, with the interval where it has one."""
    if isinstance(value, str):
        return value
    interval = value if isinstance(value, Interval) else Interval(value=value)
    if metric.unit == "fraction":
        return percent_interval(interval)
    if metric.unit == "score":
        return ratio_interval(interval)
    if metric.unit == "ratio":
        return _with_bounds(interval, "{:.2f}")
    if metric.unit == "points":
        return _with_bounds(interval, "{:.1f}")
    formats: dict[Unit, Callable[[float | None], str]] = {
        "rows": rows,
        "seconds": seconds,
        "milliseconds": milliseconds,
        "bytes": size,
    }
    return formats.get(metric.unit, count)(interval.value)


def amount(value: float | None) -> str:
    """An amount of money without its currency, which the job does not name: 12.30, or 0.00042."""
    if value is None:
        return UNKNOWN
    return f"{value:,.2f}" if value >= 1 or value == 0 else f"{value:.2g}"


def percent(value: float | None) -> str:
    return UNKNOWN if value is None else f"{100 * value:.1f}%"


def percent_interval(interval: Interval) -> str:
    if interval.value is None or interval.low is None or interval.high is None:
        return percent(interval.value)
    return f"{percent(interval.value)} [{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def ratio(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.3f}"


def ratio_interval(interval: Interval) -> str:
    return _with_bounds(interval, "{:.3f}")


def _with_bounds(interval: Interval, form: str) -> str:
    if interval.value is None:
        return UNKNOWN
    if interval.low is None or interval.high is None:
        return form.format(interval.value)
    return f"{form} [{form}, {form}]".format(interval.value, interval.low, interval.high)


def width(fraction: float | None) -> str:
    """A fraction as the width of a bar in percent, limited to its track."""
    return f"{100 * min(max(fraction or 0.0, 0.0), 1.0):.2f}"


def loss(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:.4f}"


def rows(value: float | None) -> str:
    return UNKNOWN if value is None else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    if value is None:
        return UNKNOWN
    if value >= 1:
        return f"{value:.1f} s"
    return f"{1000 * value:.1f} ms" if value < 0.01 else f"{1000 * value:.0f} ms"


def milliseconds(value: float | None) -> str:
    return seconds(None if value is None else value / 1000)


def size(value: float | None) -> str:
    """Bytes in the largest unit that is not above the value."""
    return UNKNOWN if value is None else _scaled(value, 1024, (" B", " KiB", " MiB", " GiB"))


def count(value: float | None) -> str:
    """A large number with three digits and a unit: 27.9 k."""
    return UNKNOWN if value is None else _scaled(value, 1000, ("", " k", " M", " B"))


def _scaled(value: float, base: int, units: tuple[str, ...]) -> str:
    power = 0
    while value >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{value:.0f}{units[power]}" if value >= 100 else f"{value:.3g}{units[power]}"


def times(value: float | None, reference: float | None, label: str) -> str:
    """`0.42 x teacher`; empty where either is unknown."""
    return "" if value is None or not reference else f"{value / reference:.2f} x {label}"


def shorten(text: str, longest: int) -> str:
    """The first `longest` characters, and the number of the others."""
    return text if len(text) <= longest else f"{text[:longest]} … ({len(text) - longest} more characters)"
