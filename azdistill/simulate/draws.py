"""Luck that repeats: every draw is a hash of the seed, what is drawn, and for whom."""

import hashlib
import math
from statistics import NormalDist

from azdistill.contracts.simulation import Simulation

NORMAL = NormalDist()
LEAST = 1e-12  # the normal distribution has no value at 0


def draw(seed: int, what: str, luck: str) -> float:
    """A number in [0, 1) that is the same in every process and on every machine. `luck` is that of a request."""
    digest = hashlib.sha256(f"{seed}\0{what}\0{luck}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def latency_s(simulation: Simulation, luck: str) -> float:
    """Seconds that an answer takes: about the mean, evenly or lognormally spread."""
    drawn, mean = draw(simulation.seed, "latency", luck), simulation.latency_ms / 1000
    if simulation.latency_sigma is None:
        return mean * (0.5 + drawn)
    sigma = simulation.latency_sigma
    return mean * math.exp(sigma * NORMAL.inv_cdf(max(drawn, LEAST)) - sigma**2 / 2)
