"""Results of a run: the state of its nodes, their outputs, and what another run would do."""

import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from azdistill.engine.errors import NodeFailed
from azdistill.engine.local.records import NodeState

_TAIL_BYTES = 1 << 16
_COLOURS = re.compile(r"\x1b\[[\d;]*m")


@dataclass(frozen=True)
class NodeRun:
    """The state of one node in a run. `log` holds its standard output and standard error."""

    name: str
    state: NodeState
    log: Path
    seconds: float = 0.0
    exit_code: int | None = None


@dataclass(frozen=True)
class Event:
    """The nodes of a run at one moment, in the order of the pipeline."""

    nodes: Mapping[str, NodeRun]


@dataclass(frozen=True)
class RunResult:
    """A finished run. `outputs` are paths by node and output; the pipeline's own outputs have the node name ``""``."""

    folder: Path
    nodes: Mapping[str, NodeRun]
    outputs: Mapping[tuple[str, str], Path]

    @property
    def failed(self) -> tuple[NodeRun, ...]:
        """The nodes that failed."""
        return tuple(node for node in self.nodes.values() if node.state == "failed")

    def check(self) -> None:
        """Raises NodeFailed with the last log lines of each failed node."""
        if self.failed:
            raise NodeFailed("\n".join(map(describe_failure, self.failed)))


@dataclass(frozen=True)
class Explanation:
    """Prediction for one node: it would be reused, or `reasons` list what has changed.

    `notes` list where Azure ML would decide differently.
    """

    node: str
    reused: bool
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def describe_failure(node: NodeRun, lines: int = 15) -> str:
    """Exit code of a failed node, the last lines of its log, and the path of the log."""
    shown = [f"  | {line}" for line in last_lines(node.log)[-lines:]]
    return "\n".join([f"node {node.name} {_describe_exit(node.exit_code)}", *shown, f"  log: {node.log}"])


def last_lines(log: Path) -> list[str]:
    """The last lines of a log of any size, without colours and characters that could control a terminal."""
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(log.stat().st_size - _TAIL_BYTES, 0))
        text = _COLOURS.sub("", stream.read().decode("utf-8", errors="replace"))
    return [
        "".join(char if char.isprintable() else "\ufffd" for char in line) for line in text.expandtabs().splitlines()
    ]


def _describe_exit(code: int | None) -> str:
    if code is None:
        return "could not be started"
    # A shell reports a program that a signal ended as 128 plus the signal. The kernel's out-of-memory killer sends 9.
    number = -code if code < 0 else code - 128
    if number not in {member.value for member in signal.Signals}:
        return f"exited with {code}"
    hint = ", often because memory ran out" if number == signal.SIGKILL else ""
    return f"was ended by {signal.Signals(number).name}{hint}"
