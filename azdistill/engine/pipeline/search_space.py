"""The search space of a sweep: Azure ML's ten distributions, as four classes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from azdistill.engine.pipeline.authorities import CLIENT_AND_ENGINE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.expressions import is_expression
from azdistill.engine.pipeline.yaml_node import YamlNode, is_unreplaced

# A value that a trial gets.
Candidate = str | int | float | bool

# exp() of a larger exponent overflows.
MAX_EXPONENT = 700.0


@dataclass(frozen=True)
class Choice:
    """One of `values`."""

    values: tuple[Candidate, ...]

    def __str__(self) -> str:
        return f"choice({', '.join(map(str, self.values))})"


@dataclass(frozen=True)
class Randint:
    """An integer from 0 up to, and without, `upper`."""

    upper: int

    def __str__(self) -> str:
        return f"randint({self.upper})"


@dataclass(frozen=True)
class Uniform:
    """A number between `low` and `high`: exponents of e with `log`, a multiple of `q` with `q`."""

    low: float
    high: float
    log: bool = False
    q: float | None = None

    def __str__(self) -> str:
        return _text("uniform", self.log, self.q, self.low, self.high)


@dataclass(frozen=True)
class Normal:
    """A number with mean `mu` and deviation `sigma`: an exponent of e with `log`, a multiple of `q` with `q`."""

    mu: float
    sigma: float
    log: bool = False
    q: float | None = None

    def __str__(self) -> str:
        return _text("normal", self.log, self.q, self.mu, self.sigma)


Distribution = Choice | Randint | Uniform | Normal

_BOUNDS, _BELL = ("min_value", "max_value"), ("mu", "sigma")

# Fields of each type of distribution.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "choice": ("values",),
    "randint": ("upper",),
    **{f"{log}uniform": _BOUNDS for log in ("", "log")},
    **{f"q{log}uniform": (*_BOUNDS, "q") for log in ("", "log")},
    **{f"{log}normal": _BELL for log in ("", "log")},
    **{f"q{log}normal": (*_BELL, "q") for log in ("", "log")},
}


def read_space(node: YamlNode) -> dict[str, Distribution]:
    """The readable distributions of `search_space`, by input of the trial."""
    if not node.mapping():
        message = "a sweep has a mapping of the trial's inputs to distributions"
        node.error("missing_field", message, value=None, refused_by=SERVICE_AND_ENGINE)
    distributions = {name: _distribution(input) for name, input in node.entries()}
    return {name: distribution for name, distribution in distributions.items() if distribution is not None}


def type_of(node: YamlNode) -> str:
    """The `type` of a mapping in lower case, as Azure ML documents it; empty if not set."""
    return str(node.value.get("type")).lower() if isinstance(node.value, Mapping) else ""


def read_number(node: YamlNode) -> float | None:
    """A finite number, or text of one, which Azure ML accepts too. Anything else is a problem and gives None."""
    if isinstance(node.value, str) and is_expression(node.value):
        message, fix = "only Azure ML replaces this expression", "write a number for a local run"
        node.error("unsupported_locally", message, fix, scope="local")
        return None
    number = _as_number(node.value)
    if node.value is None:
        node.error("missing_field", "required field is missing", "write a number")
    elif number is None:
        node.error("wrong_type", "must be a number")
    return number


def _distribution(node: YamlNode) -> Distribution | None:
    type = type_of(node)
    if isinstance(node.value, str) and is_expression(node.value) and len(node.field) == 2:  # of a job of its own
        node.error("wrong_type", "Azure ML takes no expression here", "write a distribution")
        return None
    if is_unreplaced(node, "write a distribution for a local run"):
        return None
    if type not in _FIELDS:
        node.at("type").error("invalid_choice", f"must be one of {', '.join(_FIELDS)}")
        return None
    node.check_fields(("type", *_FIELDS[type]), refused=True)
    if type == "choice":
        return _choice(node.at("values"))
    values = [read_number(node.at(name)) for name in _FIELDS[type]]
    numbers = [value for value in values if value is not None]
    if len(numbers) < len(values):
        return None
    distribution = _from_numbers(type, numbers)
    _check(node, distribution)
    return distribution


def _from_numbers(type: str, numbers: list[float]) -> Distribution:
    if type == "randint":
        return Randint(int(numbers[0]))
    cls = Uniform if type.endswith("uniform") else Normal
    return cls(numbers[0], numbers[1], "log" in type, numbers[2] if len(numbers) > 2 else None)


def _check_conditional(node: YamlNode) -> None:
    """Check the distributions in the mappings of a choice: a conditional search space."""
    for index, value in enumerate(node.value):
        for name, inner in value.items() if isinstance(value, Mapping) else ():
            if isinstance(inner, Mapping):
                _distribution(node.at(index, name))


def _choice(node: YamlNode) -> Choice | None:
    values = node.value
    if not isinstance(values, list) or not values:
        authorities = CLIENT_AND_ENGINE if values else SERVICE_AND_ENGINE
        node.error("wrong_type", "must be a list of at least one value", refused_by=authorities)
        return None
    if any(isinstance(value, str) and is_expression(value) for value in values):
        message = "Azure ML replaces no expression in the values of a choice"
        node.error("invalid_reference", message, "write the value itself", refused_by=SERVICE_AND_ENGINE)
        return None
    if any(isinstance(value, Mapping) for value in values):
        message = "the local engine cannot choose between mappings"
        node.error("unsupported_locally", message, "write texts or numbers", scope="local")
        _check_conditional(node)
        return None
    if not all(isinstance(value, (str, int, float)) for value in values):
        node.error("wrong_type", "must be a list of texts and numbers")
        return None
    if any(isinstance(value, bool) for value in values):
        node.error("wrong_type", "must be a list of texts and numbers", "put true and false in quotes", scope="azure")
    return Choice(tuple(values))


def _check(node: YamlNode, distribution: Distribution) -> None:
    if isinstance(distribution, Randint):
        if distribution.upper < 1 or distribution.upper != _as_number(node.value["upper"]):
            node.at("upper").error("out_of_range", "must be an integer of at least 1; upper itself is never drawn")
        return
    if isinstance(distribution, Uniform):
        _check_bounds(node, distribution)
    if isinstance(distribution, Normal) and distribution.sigma < 0:
        node.at("sigma").error("out_of_range", "must be at least 0")
    if isinstance(distribution, (Uniform, Normal)) and distribution.q is not None and distribution.q <= 0:
        node.at("q").error("out_of_range", "must be greater than 0")


def _check_bounds(node: YamlNode, uniform: Uniform) -> None:
    low, high = uniform.low, uniform.high
    if low > high:
        node.at("min_value").error("out_of_range", f"must be at most max_value={high:g}")
    elif uniform.log and high > MAX_EXPONENT:
        fix = f"write {math.log(high):.4g} to search up to {high:g}"
        node.at("max_value").error("out_of_range", "is an exponent of e and too large", fix)
    elif uniform.log and low > 0 and high <= 1:
        message = f"is an exponent of e: the search goes from {math.exp(low):g} to {math.exp(high):g}"
        fix = f"write {math.log(low):.4g} to search from {low:g}"
        node.at("min_value").warning("not_an_exponent", message, fix)


def _as_number(value: Any) -> float | None:
    """A finite number or the number in a text, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(name: str, log: bool, q: float | None, *numbers: float) -> str:
    values = numbers if q is None else (*numbers, q)
    return f"{'' if q is None else 'q'}{'log' if log else ''}{name}({', '.join(f'{value:g}' for value in values)})"
