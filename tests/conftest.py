"""Rules for every test: sockets reach loopback only, and nothing is skipped without being counted.

And what makes thousands of tests quick: their folders are in memory, and what was imported is no garbage.
"""

import gc
import ipaddress
import os
import sys
from typing import Any

import pytest

NOT_HERE = {
    "gpu": "needs a CUDA device",
    "cloud": "needs an Azure subscription",
    "slow": "takes a minute or more; `make test-slow` runs it",
}
"""Marks of tests that the default run leaves out. They are counted in the summary."""


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _refuse_remote(event: str, args: tuple[Any, ...]) -> None:
    if event not in {"socket.connect", "socket.getaddrinfo"}:
        return
    host = args[0] if event == "socket.getaddrinfo" else args[1][0] if isinstance(args[1], tuple) else None
    if isinstance(host, str) and host and not _loopback(host):
        raise RuntimeError(f"a test tried to reach {host!r}: only loopback is allowed")


sys.addaudithook(_refuse_remote)


MEMORY, ENOUGH_BYTES = "/dev/shm", 2**30
"""Where folders of tests lie if it has so much room: on a disk, new files take long after many were removed."""


def _roomy(folder: str) -> bool:
    """Whether there is room for all tests, of programs that can be started too; containers often have neither."""
    try:
        found = os.statvfs(folder)
    except (AttributeError, OSError):  # Windows, and what has no such folder
        return False
    usable = os.access(folder, os.W_OK) and not found.f_flag & (os.ST_RDONLY | os.ST_NOEXEC)
    return usable and found.f_bavail * found.f_frsize >= ENOUGH_BYTES


if _roomy(MEMORY):
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", MEMORY)


def pytest_collection_finish() -> None:
    """Keep all that was imported out of later collections of garbage, each of which would walk a million objects."""
    gc.collect()
    gc.freeze()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--with", action="append", default=[], choices=sorted(NOT_HERE), help="run tests of this mark too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a GPU or a cloud: deselected, so that no test ever reads as skipped."""
    wanted = set(config.getoption("--with"))
    left_out = {
        mark: [item for item in items if item.get_closest_marker(mark)] for mark in NOT_HERE if mark not in wanted
    }
    gone = [item for group in left_out.values() for item in group]
    config.stash[LEFT_OUT] = {mark: len(group) for mark, group in left_out.items()}
    if (told := getattr(config, "workeroutput", None)) is not None:
        told["left_out"] = config.stash[LEFT_OUT]
    items[:] = [item for item in items if item not in gone]
    config.hook.pytest_deselected(items=gone)


LEFT_OUT: pytest.StashKey[dict[str, int]] = pytest.StashKey()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    for mark, count in config.stash.get(LEFT_OUT, {}).items():
        terminalreporter.write_line(f"left out: {count} tests marked {mark}: {NOT_HERE[mark]} (--with {mark})")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """With xdist the workers collect, all of them the same."""
    if "left_out" in getattr(node, "workeroutput", {}):
        node.config.stash[LEFT_OUT] = node.workeroutput["left_out"]
