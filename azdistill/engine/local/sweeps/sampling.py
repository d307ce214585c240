"""Sample the values of each trial. The same sweep gives the same values."""

import math
from collections.abc import Iterator, Mapping
from itertools import islice, product
from random import Random

from azdistill.engine.pipeline.search_space import MAX_EXPONENT, Candidate, Choice, Distribution, Normal, Randint
from azdistill.engine.pipeline.sweeps import Sweep

Values = Mapping[str, Candidate]

# Draws for each requested trial before a small space counts as exhausted.
_DRAWS_PER_TRIAL = 100


def sample_trials(sweep: Sweep) -> list[Values]:
    """The values of each trial, in order: at most `limits.trials`.

    No combination is repeated, so a small space gives fewer trials. More trials begin with the same values.
    """
    samples = _grid(sweep.space) if sweep.sampling.kind == "grid" else _random(sweep)
    return list(islice(samples, sweep.limits.trials))


def draw(distribution: Distribution, random: Random) -> Candidate:
    """Draw one value.

    A distribution with `q` gives multiples of q, integers for an integer q, which may lie up to q/2 outside of its
    bounds, as on Azure ML.
    """
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
    return value if distribution.q is None else _round_to_multiple(value, distribution.q)


def _round_to_multiple(value: float, q: float) -> float:
    multiple = round(value / q) * q
    return multiple if isinstance(multiple, int) else float(f"{multiple:.12g}")  # 0.3, not 0.30000000000000004


def _grid(space: Mapping[str, Distribution]) -> Iterator[Values]:
    """Every combination; the last input changes first."""
    choices = [choice.values for choice in space.values() if isinstance(choice, Choice)]
    return (dict(zip(space, values, strict=True)) for values in product(*choices))


def _random(sweep: Sweep) -> Iterator[Values]:
    random, seen = Random(sweep.sampling.seed), set()
    for _ in range(_DRAWS_PER_TRIAL * sweep.limits.trials):
        values = {name: draw(distribution, random) for name, distribution in sweep.space.items()}
        if (key := repr(values)) not in seen:  # the text distinguishes 1, 1.0 and True
            seen.add(key)
            yield values
