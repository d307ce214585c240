"""Faults that a run injects on purpose: what goes wrong on a cluster sooner or later, on this machine and at will."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Faults:
    """What to inject. `preempt` are seconds by node: it is ended that long after its start, once, and starts again.
    `duplicates` is the share of a parallel node's mini-batches that are delivered twice, from 0 to 1, and `seed`
    decides which: the same ones in each run."""

    preempt: Mapping[str, float] = field(default_factory=dict)
    duplicates: float = 0.0
    seed: int = 0


NO_FAULTS = Faults()
