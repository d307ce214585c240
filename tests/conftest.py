"""Rules for every test: sockets reach loopback only, and nothing is skipped without being counted."""

import ipaddress
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


def _gpu_is_here() -> bool:
    import torch

    return torch.cuda.is_available()


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
