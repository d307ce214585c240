"""What a run tells: how its nodes are, how it ended, and what another run would do."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from azdistill.engine.errors import NodeFailed
from azdistill.engine.local.records import State

_TAIL_BYTES = 1 << 16


@dataclass(frozen=True)
class NodeRun:
    """How one node ended. `log` holds what it printed, its standard output and error together."""

    name: str
    state: State
    log: Path
    seconds: float = 0.0
    exit_code: int | None = None


@dataclass(frozen=True)
class Event:
    """Something to show: the nodes as they are now, in the order of the pipeline."""

    nodes: Mapping[str, NodeRun]


@dataclass(frozen=True)
class RunResult:
    """A finished run. `outputs` are paths by node and output, and the pipeline's own under the name ``""``."""

    folder: Path
    nodes: Mapping[str, NodeRun]
    outputs: Mapping[tuple[str, str], Path]

    @property
    def failed(self) -> tuple[NodeRun, ...]:
        return tuple(node for node in self.nodes.values() if node.state == "failed")

    def check(self) -> None:
        """Raises NodeFailed with each failed node's last lines and where the rest is."""
        if self.failed:
            raise NodeFailed("\n".join(map(describe_failure, self.failed)))


@dataclass(frozen=True)
class Explanation:
    """Whether a node would be reused, and if not, what has changed.

    `notes` say where Azure ML would decide in another way.
    """

    node: str
    reused: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def describe_failure(node: NodeRun, lines: int = 15) -> str:
    """Which node failed, the last lines of its log, and where the rest is."""
    shown = [f"  | {line}" for line in _tail(node.log)[-lines:]]
    return "\n".join([f"node {node.name} {_end(node.exit_code)}", *shown, f"  log: {node.log}"])


def _tail(log: Path) -> list[str]:
    """The last lines of a log of any size, safe to print whatever is in it."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        text = stream.read().decode("utf-8", errors="replace")
    return ["".join(one if one.isprintable() else "\ufffd" for one in line) for line in text.expandtabs().splitlines()]


def _end(code: int | None) -> str:
    """A shell reports a program that a signal ended as 128 and the signal; the memory killer sends 9."""
    if code is None:
        return "could not be started"
    number = -code if code < 0 else code - 128
    if number not in {one.value for one in signal.Signals}:
        return f"exited with {code}"
    hint = ", often for want of memory" if number == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(number).name}{hint}"
