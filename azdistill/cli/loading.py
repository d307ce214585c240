"""Report on standard error that a model is being loaded."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger("azdistill.cli")

# Seconds until loading is reported, and between two reports.
QUIET_S, REPORT_S = 2.0, 10.0


@contextmanager
def report_loading(name: str) -> Iterator[None]:
    """Log that a model is being loaded, if the block takes longer than QUIET_S."""
    loaded, started = threading.Event(), time.monotonic()

    def report() -> None:
        wait = QUIET_S
        while not loaded.wait(wait):
            logger.info("loading %s (%.0f s)", name, time.monotonic() - started)
            wait = REPORT_S

    thread = threading.Thread(target=report, daemon=True)
    thread.start()
    try:
        yield
    finally:
        loaded.set()
        thread.join()
