"""The values of each trial, the same ones for the same sweep."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice, product
from random import Random

from azdistill.engine.pipeline.search_space import MAX_EXPONENT, Candidate, Choice, Distribution, Normal, Randint
from azdistill.engine.pipeline.sweeps import Sweep

Values = Mapping[str, Candidate]

_DRAWS_EACH = 100
"""Draws for each trial that is asked for, until a small space counts as searched through."""


def samples(sweep: Sweep) -> list[Values]:
    """What each trial is given, in order: at most `limits.trials`, and fewer where there are not as many
    combinations, since none is tried twice. More trials have the same beginning."""
    drawn = _grid(sweep.space) if sweep.sampling.kind == "grid" else _random(sweep)
    return list(islice(drawn, sweep.limits.trials))


def draw(distribution: Distribution, random: Random) -> Candidate:
    """One value. Of a q form it is a multiple of q, a whole one where q is whole, and may lie up to half a q outside
    of the bounds, as on Azure ML."""
    if isinstance(distribution, Choice):
        return random.choice(distribution.values)
    if isinstance(distribution, Randint):
        return random.randrange(distribution.upper)
    if isinstance(distribution, Normal):
        value = random.gauss(distribution.mu, distribution.sigma)
    else:
        value = random.uniform(distribution.low, distribution.high)
    if distribution.log:
        value = math.exp(min(value, MAX_EXPONENT))
    return value if distribution.q is None else _multiple(value, distribution.q)


def _multiple(value: float, q: float) -> float:
    found = round(value / q) * q
    return found if isinstance(found, int) else float(f"{found:.12g}")  # .3, and not .30000000000000004


def _grid(space: Mapping[str, Distribution]) -> Iterator[Values]:
    """Every combination, the last input changing first."""
    choices = [one.values for one in space.values() if isinstance(one, Choice)]
    return (dict(zip(space, values, strict=True)) for values in product(*choices))


def _random(sweep: Sweep) -> Iterator[Values]:
    random, seen = Random(sweep.sampling.seed), set()
    for _ in range(_DRAWS_EACH * sweep.limits.trials):
        values = {name: draw(one, random) for name, one in sweep.space.items()}
        if (key := repr(values)) not in seen:  # 1, 1.0 and True are three values
            seen.add(key)
            yield values
