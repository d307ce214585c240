"""The quickstart end to end, the same again unchanged, and how quickly the command answers.

`make bench-foundation` prints a table, then one line of JSON: `quickstart_s` (seconds from
the data generator to the report), `retention` and `baseline_accuracy` (as the run's own
report gives them), `rerun_s`, and `validate_vs_sdk_import`: the slower of
`azdistill --help` and `azdistill validate`, as a part of `python -c "import azure.ai.ml"`
timed in turn with them.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
JOB = ROOT / "pipelines" / "quickstart" / "job.yaml"
AZDISTILL = Path(sys.executable).with_name("azdistill")
REPEATS = 5


def seconds(*command: Path | str, environment: dict[str, str] | None = None) -> float:
    """Wall seconds of a command that has to succeed."""
    started = time.perf_counter()
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - started
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))} exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return elapsed


def quickstart(folder: Path) -> dict[str, Any]:
    """A first run from nothing, and the same run again."""
    fresh = {"AZDISTILL_HOME": str(folder / "home")}
    run = (AZDISTILL, "run", JOB, "-o", folder / "run")
    generate = seconds(sys.executable, JOB.parent / "generate.py", "--out", JOB.parent / "data")
    first = generate + seconds(*run, environment=fresh)
    again = statistics.median(seconds(*run, environment=fresh) for _ in range(REPEATS))
    metrics = json.loads((folder / "run" / "evaluate" / "evaluation" / "metrics.json").read_text())
    return {
        "quickstart_s": round(first, 1),
        "retention": round(metrics["retention"]["value"], 4),
        "baseline_accuracy": round(metrics["models"]["baseline"]["accuracy"]["value"], 4),
        "rerun_s": round(again, 2),
    }


def start_up() -> dict[str, float]:
    """Medians of commands timed in turn, so that a busy machine slows all of them alike."""
    commands: dict[str, tuple[Path | str, ...]] = {
        "import azure.ai.ml": (sys.executable, "-c", "import azure.ai.ml"),
        "azdistill --help": (AZDISTILL, "--help"),
        "azdistill validate": (AZDISTILL, "validate", JOB),
    }
    rounds = [{name: seconds(*command) for name, command in commands.items()} for _ in range(REPEATS)]
    return {name: statistics.median(found[name] for found in rounds) for name in commands}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = quickstart(Path(folder))
    times = start_up()
    sdk = times["import azure.ai.ml"]
    for name, took in times.items():
        print(f"{name:<22} {took:6.2f} s  {took / sdk:5.2f} of the SDK's import")
    slowest = max(times["azdistill --help"], times["azdistill validate"])
    print(json.dumps(figures | {"validate_vs_sdk_import": round(slowest / sdk, 3)}))


if __name__ == "__main__":
    main()
