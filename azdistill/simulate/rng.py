"""Deterministic pseudo-random draws: each is a hash of the seed, its purpose and a key."""

import hashlib
import math
from statistics import NormalDist

from azdistill.contracts.simulation import Simulation

NORMAL = NormalDist()
# The inverse of the normal distribution is not defined at 0.
SMALLEST_QUANTILE = 1e-12


def draw(seed: int, purpose: str, key: str) -> float:
    """A number in [0, 1), the same in every process and on every machine. `key` is `ChatRequest.draw_key`."""
    digest = hashlib.sha256(f"{seed}\0{purpose}\0{key}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def latency_s(simulation: Simulation, key: str) -> float:
    """Latency of an answer in seconds, from a uniform or lognormal distribution around the mean."""
    quantile, mean = draw(simulation.seed, "latency", key), simulation.latency_ms / 1000
    if simulation.latency_sigma is None:
        return mean * (0.5 + quantile)
    sigma = simulation.latency_sigma
    return mean * math.exp(sigma * NORMAL.inv_cdf(max(quantile, SMALLEST_QUANTILE)) - sigma**2 / 2)
