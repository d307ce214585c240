"""Benchmark of the quickstart, of an unchanged rerun, and of the start-up time of the command line.

`make bench-foundation` prints a table, then one line of JSON: `quickstart_s` (seconds from
the data generator to the report), `retention` and `baseline_accuracy` (from the run's
metrics.json), `rerun_s`, and `validate_vs_sdk_import`: the slower of `azdistill --help`
and `azdistill validate`, as a fraction of `python -c "import azure.ai.ml"`.
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
    """Wall time of a command, in seconds. Exits with its output when it fails."""
    started = time.perf_counter()
    process = subprocess.run(
        [str(argument) for argument in command],
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    elapsed = time.perf_counter() - started
    if process.returncode:
        output = f"{process.stdout}{process.stderr}"
        sys.exit(f"{' '.join(map(str, command))} exited with {process.returncode}:\n{output}")
    return elapsed


def quickstart(folder: Path) -> dict[str, Any]:
    """A first run in an empty folder, and unchanged reruns."""
    empty_home = {"AZDISTILL_HOME": str(folder / "home")}
    run = (AZDISTILL, "run", JOB, "-o", folder / "run")
    generate_s = seconds(sys.executable, JOB.parent / "generate.py", "--out", JOB.parent / "data")
    first_s = generate_s + seconds(*run, environment=empty_home)
    rerun_s = statistics.median(seconds(*run, environment=empty_home) for _ in range(REPEATS))
    metrics = json.loads((folder / "run" / "evaluate" / "evaluation" / "metrics.json").read_text())
    return {
        "quickstart_s": round(first_s, 1),
        "retention": round(metrics["retention"]["value"], 4),
        "baseline_accuracy": round(metrics["models"]["baseline"]["accuracy"]["value"], 4),
        "rerun_s": round(rerun_s, 2),
    }


def start_up() -> dict[str, float]:
    """Median seconds of each command. The commands alternate, so that other load slows all of them alike."""
    commands: dict[str, tuple[Path | str, ...]] = {
        "import azure.ai.ml": (sys.executable, "-c", "import azure.ai.ml"),
        "azdistill --help": (AZDISTILL, "--help"),
        "azdistill validate": (AZDISTILL, "validate", JOB),
    }
    rounds = [{name: seconds(*command) for name, command in commands.items()} for _ in range(REPEATS)]
    return {name: statistics.median(times[name] for times in rounds) for name in commands}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        figures = quickstart(Path(folder))
    times = start_up()
    sdk_s = times["import azure.ai.ml"]
    for name, command_s in times.items():
        print(f"{name:<22} {command_s:6.2f} s  {command_s / sdk_s:5.2f} of the SDK's import")
    slowest_s = max(times["azdistill --help"], times["azdistill validate"])
    print(json.dumps(figures | {"validate_vs_sdk_import": round(slowest_s / sdk_s, 3)}))


if __name__ == "__main__":
    main()
