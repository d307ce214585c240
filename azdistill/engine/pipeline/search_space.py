"""What a sweep searches: Azure ML's ten distributions, as four kinds."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azdistill.engine.pipeline.expressions import is_expression
from azdistill.engine.pipeline.reading import Part

Candidate = str | int | float | bool
"""A value that a trial is given."""

MOST_EXPONENT = 700.0
"""exp() of more is no number any more."""


@dataclass(frozen=True)
class Choice:
    """One of `values`."""

    values: tuple[Candidate, ...]

    def __str__(self) -> str:
        return f"choice({', '.join(map(str, self.values))})"


@dataclass(frozen=True)
class Randint:
    """A whole number from 0 up to `upper`, which is left out."""

    upper: int

    def __str__(self) -> str:
        return f"randint({self.upper})"


@dataclass(frozen=True)
class Uniform:
    """Between `low` and `high`; with `log` these are exponents of e, and with `q` it is a multiple of that."""

    low: float
    high: float
    log: bool = False
    q: float | None = None

    def __str__(self) -> str:
        return _text("uniform", self.log, self.q, self.low, self.high)


@dataclass(frozen=True)
class Normal:
    """Around `mu` with deviation `sigma`; with `log` it is an exponent of e, and with `q` a multiple of that."""

    mu: float
    sigma: float
    log: bool = False
    q: float | None = None

    def __str__(self) -> str:
        return _text("normal", self.log, self.q, self.mu, self.sigma)


Distribution = Choice | Randint | Uniform | Normal

_BOUNDS, _BELL = ("min_value", "max_value"), ("mu", "sigma")
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "choice": ("values",),
    "randint": ("upper",),
    **{f"{log}uniform": _BOUNDS for log in ("", "log")},
    **{f"q{log}uniform": (*_BOUNDS, "q") for log in ("", "log")},
    **{f"{log}normal": _BELL for log in ("", "log")},
    **{f"q{log}normal": (*_BELL, "q") for log in ("", "log")},
}


def read_space(part: Part) -> dict[str, Distribution]:
    """The distributions of `search_space` that could be read, by input of the trial."""
    if not part.mapping():
        part.error("required, a mapping of the trial's inputs to distributions", value=None)
    return {name: found for name, at in part.entries() if (found := _distribution(at)) is not None}


def kind_of(part: Part) -> str:
    """The `type` of a mapping, in the case that Azure ML documents."""
    return str(part.value.get("type")).lower() if isinstance(part.value, Mapping) else ""


def number(part: Part, expected: str = "a number") -> float | None:
    """A finite number, or text that reads as one, as Azure ML takes it. What is none is told, with None."""
    raw = part.value
    if isinstance(raw, str) and is_expression(raw):
        part.error(f"Azure ML fills it in; write {expected} for a run here", "local")
        return None
    found = _number(raw)
    if found is None:
        part.error(f"expected {expected}")
    return found


def _distribution(part: Part) -> Distribution | None:
    kind = kind_of(part)
    if kind not in _FIELDS:
        part.at("type").error(f"expected one of {', '.join(_FIELDS)}, with {', '.join(_BOUNDS)} and such beside it")
        return None
    part.unknown_fields(("type", *_FIELDS[kind]))
    if kind == "choice":
        return _choice(part.at("values"))
    given = [number(part.at(name)) for name in _FIELDS[kind]]
    numbers = [one for one in given if one is not None]
    if len(numbers) < len(given):
        return None
    found = _of(kind, numbers)
    _check(part, found)
    return found


def _of(kind: str, numbers: list[float]) -> Distribution:
    if kind == "randint":
        return Randint(int(numbers[0]))
    shape = Uniform if kind.endswith("uniform") else Normal
    return shape(numbers[0], numbers[1], "log" in kind, numbers[2] if len(numbers) > 2 else None)


def _choice(part: Part) -> Choice | None:
    values = part.value
    if not isinstance(values, list) or not values:
        part.error("expected a list of values to choose from")
        return None
    if any(isinstance(one, Mapping) for one in values):
        part.error("a choice between mappings runs on Azure ML only; write out the values", "local")
        return None
    if not all(isinstance(one, (str, int, float)) for one in values):
        part.error("expected texts and numbers")
        return None
    if any(isinstance(one, bool) for one in values):
        part.error("Azure ML takes texts and numbers only; put true and false in quotes", "azure")
    return Choice(tuple(values))


def _check(part: Part, found: Distribution) -> None:
    if isinstance(found, Randint) and (found.upper < 1 or found.upper != _number(part.value["upper"])):
        part.at("upper").error("expected a whole number of at least 1; it is left out itself")
    if isinstance(found, Uniform):
        _check_bounds(part, found)
    if isinstance(found, Normal) and found.sigma < 0:
        part.at("sigma").error("expected at least 0")
    if isinstance(found, (Uniform, Normal)) and found.q is not None and found.q <= 0:
        part.at("q").error("expected more than 0")


def _check_bounds(part: Part, found: Uniform) -> None:
    if found.low > found.high:
        part.at("min_value").error(f"more than max_value={found.high:g}")
    elif found.log and found.high > MOST_EXPONENT:
        part.at("max_value").error(f"an exponent, of e; write {math.log(found.high):.4g} for {found.high:g}")
    elif found.log and found.low > 0 and found.high <= 1:
        text = f"an exponent, of e: it searches from {math.exp(found.low):g} to {math.exp(found.high):g}"
        part.at("min_value").warning(f"{text}; write {math.log(found.low):.4g} for {found.low:g}")


def _number(raw: Any) -> float | None:
    if isinstance(raw, bool) or not isinstance(raw, (int, float, str)):
        return None
    try:
        found = float(raw) if isinstance(raw, str) else raw
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def _text(name: str, log: bool, q: float | None, *numbers: float) -> str:
    given = numbers if q is None else (*numbers, q)
    return f"{'' if q is None else 'q'}{'log' if log else ''}{name}({', '.join(f'{one:g}' for one in given)})"
