"""Transient faults: each affects a fraction of the requests, and only the first time that they are sent."""

from collections.abc import Callable
from typing import NamedTuple

from azdistill.contracts.simulation import Simulation
from azdistill.simulate.rng import draw
from azdistill.simulate.wire import HttpReply, gateway_timeout, not_ready, server_error, throttled

RETRY_AFTER_S = 1.0


class Fault(NamedTuple):
    """A fault that is counted as `name`. `rate` names its field in Simulation; `reply` gets a draw to vary it."""

    name: str
    rate: str
    reply: Callable[[float], HttpReply]


# Faults that replace an answer before it is billed.
FAULTS = (
    Fault("throttled", "throttle_rate", lambda drawn: throttled(RETRY_AFTER_S, drawn)),
    Fault("error", "error_rate", server_error),
    Fault("not_ready", "not_ready_rate", lambda drawn: not_ready()),
    Fault("gateway_timeout", "gateway_timeout_rate", lambda drawn: gateway_timeout()),
    Fault("reset", "reset_rate", lambda drawn: HttpReply(0, ending="reset")),
    Fault("hang", "hang_rate", lambda drawn: HttpReply(0, ending="never")),
)


class FaultInjector:
    """Decides which request gets which fault, and records those that had it. The draw key identifies a request."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self._injected: set[tuple[str, str]] = set()

    def replace_answer(self, key: str) -> tuple[str, HttpReply] | None:
        """Name and reply of the fault that this request gets instead of an answer."""
        for fault in FAULTS:
            if self.once(fault.name, getattr(self._simulation, fault.rate), key):
                return fault.name, fault.reply(draw(self._simulation.seed, f"{fault.name} kind", key))
        return None

    def once(self, name: str, rate: float, key: str) -> bool:
        """True if this request gets this fault now: at its rate, the first time only."""
        if not rate or draw(self._simulation.seed, name, key) >= rate or (name, key) in self._injected:
            return False
        self._injected.add((name, key))
        return True
