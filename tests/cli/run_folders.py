"""Write run folders as the engine does."""

import json
import os
from pathlib import Path

from azdistill.engine.local.records import NodeRecord, NodeState, ReuseKey, write_record

# Time at which the first node of each run ended, in seconds since the epoch.
SINCE = 1_700_000_000


def a_run(path: Path, *, day: int = 0, **states: NodeState) -> Path:
    """A run whose nodes ended one after another, each with a log of three lines."""
    path.mkdir(parents=True)
    (path / ".lock").touch()
    for number, (node, state) in enumerate(states.items()):
        code = {"completed": 0, "failed": 1}.get(state)
        write_record(path / node, NodeRecord(state, ReuseKey({}), exit_code=code, seconds=40.0))
        (path / node / "log.txt").write_text("".join(f"{node} line {line}\n" for line in (1, 2, 3)))
        written = SINCE + day * 86_400 + number
        os.utime(path / node / "node.json", (written, written))
    return path


def evaluated(path: Path, decision: str = "passed", accuracy: float = 0.75) -> Path:
    """Add an evaluation to the run."""
    folder = path / "evaluate/evaluation"
    folder.mkdir(parents=True)
    (folder / "gate.json").write_text(
        json.dumps({"decision": decision, "enforced": True, "register": decision == "passed", "gates": []})
    )
    undefined = {"value": None, "low": None, "high": None}
    metrics = {
        "task": "conversation",
        "reference": "gold",
        "rows": 40,
        "unscored": 0,
        "models": {"student": {"accuracy": {"value": accuracy, "low": None, "high": None}}},
        "retention": undefined,
        "gain": undefined,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return path


def exited_with(path: Path, node: str, code: int) -> None:
    write_record(path / node, NodeRecord("failed", ReuseKey({}), exit_code=code, seconds=1.0))
