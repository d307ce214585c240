"""Files that a command writes besides its outputs: in `./outputs` and `./logs`, and the logs of its processes."""

import os
from collections.abc import Iterator
from pathlib import Path

from azdistill.engine.local.attempts import CODE, LOG, LOGS_OF_PROCESSES
from azdistill.engine.local.snapshots import ARTIFACTS
from azdistill.engine.pipeline.sweep_checks import TRIALS


def artifacts(node: Path) -> Iterator[tuple[Path, int]]:
    """The folders of artifacts of a node that have files, and their number. Those of all trials are one, with `*`."""
    trials = sorted(node.glob(f"{TRIALS}/*/{CODE}")) if (node / TRIALS).is_dir() else []
    for code, folders in ((node / CODE, [node / CODE]), (node / TRIALS / "*" / CODE, trials)):
        for name in ARTIFACTS:
            count = sum(len(files) for folder in folders for _, _, files in os.walk(folder / name))
            if count:
                yield code / name, count


def process_logs(node: Path) -> dict[str, Path]:
    """The logs of a node's trials, of its ranks but the first, or of its workers, by their number."""
    logs = {path.name.split(".")[1]: path for path in node.glob(LOGS_OF_PROCESSES)}
    logs |= {path.parent.name: path for path in node.glob(f"{TRIALS}/*/{LOG}")}
    return dict(sorted(logs.items(), key=lambda entry: (len(entry[0]), entry[0])))
