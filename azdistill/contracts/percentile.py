"""The one way that latencies are summed up."""

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], part: float) -> float | None:
    """The nearest-rank percentile, as it was measured; None of no values."""
    if not values:
        return None
    return sorted(values)[max(math.ceil(part * len(values)) - 1, 0)]
