"""Rules for all tests: sockets reach loopback only, and every deselected test is counted in the summary.

Two measures keep thousands of tests fast: temporary folders are in memory where possible, and imported modules are
excluded from garbage collection.
"""

import gc
import ipaddress
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.workspace.mount_requirements import mounts_are_possible

# Marks of tests that the default run deselects, with the reason that the summary shows.
OPTIONAL_MARKS = {
    "gpu": "needs a CUDA device",
    "cloud": "needs an Azure subscription",
    "fuse": "needs root, FUSE and Azure ML's data runtime; runs with --with slow where these are present",
    "pypi": "downloads several GB from PyPI at the first time; `make test-locks` runs it",
    "browser": "needs Chromium; `make test-browser` runs it",
    "slow": "takes a minute or more; `make test-slow` runs it",
}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _block_remote_sockets(event: str, args: tuple[Any, ...]) -> None:
    if event not in {"socket.connect", "socket.getaddrinfo"}:
        return
    host = args[0] if event == "socket.getaddrinfo" else args[1][0] if isinstance(args[1], tuple) else None
    if isinstance(host, str) and host and not _is_loopback(host):
        raise RuntimeError(f"a test tried to connect to {host!r}: only loopback is allowed")


sys.addaudithook(_block_remote_sockets)

# Temporary folders go to shared memory when it has at least this much free space. On a disk, creating files is slow
# for minutes after many files were deleted.
SHARED_MEMORY, MINIMUM_FREE_BYTES = "/dev/shm", 2**30


def _can_hold_test_folders(folder: str) -> bool:
    """True if `folder` is writable, allows executables and has enough free space; containers often restrict it."""
    try:
        stat = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows, or no such folder
        return False
    usable = os.access(folder, os.W_OK) and not stat.f_flag & (os.ST_RDONLY | os.ST_NOEXEC)
    return usable and stat.f_bavail * stat.f_frsize >= MINIMUM_FREE_BYTES


if _can_hold_test_folders(SHARED_MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", SHARED_MEMORY)


def pytest_collection_finish() -> None:
    """Exclude all imported modules from later garbage collections, each of which would visit a million objects."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--with", action="append", default=[], choices=sorted(OPTIONAL_MARKS), help="also run tests with this mark"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests with an optional mark, so that no test is reported as skipped, and count them."""
    selected_marks = set(config.getoption("--with"))
    if mounts_are_possible():
        selected_marks.add("fuse")
    deselected = {
        mark: [item for item in items if item.get_closest_marker(mark)]
        for mark in OPTIONAL_MARKS
        if mark not in selected_marks
    }
    removed = [item for group in deselected.values() for item in group]
    config.stash[DESELECTED_COUNTS] = {mark: len(group) for mark, group in deselected.items()}
    if (output := getattr(config, "workeroutput", None)) is not None:
        output["deselected_counts"] = config.stash[DESELECTED_COUNTS]
    items[:] = [item for item in items if item not in removed]
    config.hook.pytest_deselected(items=removed)


DESELECTED_COUNTS: pytest.StashKey[dict[str, int]] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for mark, count in config.stash.get(DESELECTED_COUNTS, {}).items():
        terminalreporter.write_line(f"deselected: {count} tests marked {mark}: {OPTIONAL_MARKS[mark]} (--with {mark})")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the counts from an xdist worker: the workers collect the tests, all of them the same."""
    if "deselected_counts" in getattr(node, "workeroutput", {}):
        node.config.stash[DESELECTED_COUNTS] = node.workeroutput["deselected_counts"]


@pytest.fixture(autouse=True)
def logging_not_configured() -> Iterator[None]:
    """The "azdistill" logger as in a new process: tests of steps configure it."""
    logger = logging.getLogger("azdistill")
    handlers, level, propagate = logger.handlers, logger.level, logger.propagate
    logger.handlers, logger.propagate = [], True
    logger.setLevel(logging.NOTSET)
    yield
    logger.handlers, logger.propagate = handlers, propagate
    logger.setLevel(level)
