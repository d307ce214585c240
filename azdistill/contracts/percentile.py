"""Percentiles of latencies."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], fraction: float) -> float | None:
    """Nearest-rank percentile, which is one of the values; None without values. `fraction` is 0.95 for p95."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(fraction * len(values)) - 1, 0)]
