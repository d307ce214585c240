"""Faults that pass: each meets its part of the questions, the first time that they are asked only."""

from collections.abc import Callable
from typing import NamedTuple

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.draws import draw
from azdistill.simulate.wire import Reply, gateway_timeout, not_ready, server_error, throttled

RETRY_AFTER_S = 1.0


class Fault(NamedTuple):
    """What is counted under `name` comes at the rate of the simulation's field; luck decides the rest of it."""

    name: str
    rate: str
    reply: Callable[[float], Reply]


INSTEAD = (
    Fault("throttled", "throttle_rate", lambda luck: throttled(RETRY_AFTER_S, luck)),
    Fault("error", "error_rate", server_error),
    Fault("not_ready", "not_ready_rate", lambda luck: not_ready()),
    Fault("gateway_timeout", "gateway_timeout_rate", lambda luck: gateway_timeout()),
    Fault("reset", "reset_rate", lambda luck: Reply(0, ending="reset")),
    Fault("hang", "hang_rate", lambda luck: Reply(0, ending="never")),
)
"""In place of an answer, and before it is bought."""


class Faults:
    """Remembers which question has met which fault, each by the luck of its requests."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._met: set[tuple[str, str]] = set()

    def instead(self, luck: str) -> tuple[str, Reply] | None:
        """The reply, and its name, that this question gets in place of an answer."""
        for fault in INSTEAD:
            if self.once(fault.name, getattr(self._simulation, fault.rate), luck):
                return fault.name, fault.reply(draw(self._simulation.seed, f"{fault.name} kind", luck))
        return None

    def once(self, name: str, rate: float, luck: str) -> bool:
        """Whether this question meets this fault now: at its rate, the first time only."""
        if not rate or draw(self._simulation.seed, name, luck) >= rate or (name, luck) in self._met:
            return False
        self._met.add((name, luck))
        return True
