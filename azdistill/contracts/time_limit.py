"""Limit the time of code that others wrote, such as a chat template."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Python drops an exception that is raised in a destructor or a weak reference's callback. So it is raised again.
AGAIN_S = 0.05


class TimeLimitExceeded(Exception):
    """A block took too long."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitExceeded in the block after `seconds` of processor time.

    Inside another limit, its time does not count for that one. The block runs without a limit outside the main thread,
    which alone receives signals, and on Windows.
    """
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def expire(number: int, frame: FrameType | None) -> None:
        raise TimeLimitExceeded(f"takes longer than {seconds:g} seconds")

    before = signal.signal(signal.SIGVTALRM, expire)
    outer, _ = signal.setitimer(signal.ITIMER_VIRTUAL, seconds, AGAIN_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        signal.setitimer(signal.ITIMER_VIRTUAL, outer, AGAIN_S if outer else 0)
