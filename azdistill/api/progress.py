"""Show the progress messages of azdistill in a notebook or script that has not configured logging."""

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_callers = 0
_handler = ExitStack()


@contextmanager
def show_progress(enabled: bool = True) -> Iterator[None]:
    """Write what azdistill logs to standard output inside the block.

    Does nothing when `enabled` is false, or when the application shows these messages already, for example after
    `logging.basicConfig(level=logging.INFO)`. Concurrent calls share one handler, which is removed after the last one.
    """
    global _callers
    if not enabled:
        yield
        return
    with _lock:
        _callers += 1
        if _callers == 1:
            _handler.enter_context(_handler_on_stdout())
    try:
        yield
    finally:
        with _lock:
            _callers -= 1
            if _callers == 0:
                _handler.close()


@contextmanager
def import_warnings_hidden() -> Iterator[None]:
    """Hide the warning of bitsandbytes about a kernel for quantized models, when it is imported on some CPUs."""
    logger = logging.getLogger("bitsandbytes")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _handler_on_stdout() -> Iterator[None]:
    logger = logging.getLogger("azdistill")
    if logger.isEnabledFor(logging.INFO) and logger.hasHandlers():
        yield
        return
    handler, level, propagate = logging.StreamHandler(sys.stdout), logger.level, logger.propagate
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate
