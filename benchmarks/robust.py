"""Kills at random moments, hostile input, damaged state, planted secrets, and the overhead of the engine.

`make bench-robust` prints a table, then one line of JSON:

- `kills` (SIGKILLs of the engine or one of its nodes), `crash_lost` and `crash_duplicated` (missing and duplicated rows
  of the resumed runs, compared with an uninterrupted run; the benchmark fails if their metrics differ)
- `replies`, `replies_jobs_ended`, `replies_rows_lost`: generated replies of a teacher, see robust_replies.py
- `yaml_files`, `yaml_slowest_s`: files of others, see robust_files.py
- `secrets_planted`, `secret_hits`: see robust_secrets.py
- `damaged_states`, `damaged_tracebacks`, `damaged_silent`: see robust_damage.py
- `wrong_pipelines_found` (of the 14 kinds of mistakes on which the validation of the SDK was measured),
  `node_overhead_s` (seconds for each node of a chain of 20 that do nothing) and `dry_run_s`
"""

import json
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from azdistill.engine.local.engine import run_pipeline
from tests.engine.pipeline.wrong import mistakes_found
from tests.small_job import AZDISTILL, small_job, variables

ROOT = Path(__file__).parent.parent
SEED, KILLS, CHAIN = 7, 40, 20
PRODUCTION = ROOT / "pipelines" / "support" / "job.yaml"


@dataclass(frozen=True)
class Rows:
    """Content of a finished run: the count of each row, and the metrics."""

    counts: Counter[str]
    metrics: Any


def rows(folder: Path) -> Rows:
    lines = (folder / "teacher/completions/completions.jsonl").read_text().splitlines()
    metrics = json.loads((folder / "evaluate/evaluation/metrics.json").read_text())
    return Rows(Counter(json.loads(line)["id"] for line in lines), metrics)


def start(job: Path, folder: Path, home: Path) -> "subprocess.Popen[bytes]":
    command = [*AZDISTILL, "run", str(job), "-o", str(folder)]
    quiet = subprocess.DEVNULL
    return subprocess.Popen(command, env=variables(home), stdout=quiet, stderr=quiet)


def uninterrupted_run(job: Path, folder: Path, home: Path) -> float:
    """Seconds of an uninterrupted run. It ends with exit code 3: the student of so few rows fails its gates."""
    started = time.perf_counter()
    code = start(job, folder, home).wait()
    if code != 3:
        sys.exit(f"an uninterrupted run ended with {code}; see {folder}")
    return time.perf_counter() - started


def kill_once(job: Path, folder: Path, home: Path, rng: random.Random, longest: float) -> bool:
    """Kill the engine or one of its nodes after a random time. False if the run has ended before."""
    engine = start(job, folder, home)
    try:
        code = engine.wait(rng.uniform(0.5, longest))
    except subprocess.TimeoutExpired:
        children = psutil.Process(engine.pid).children(recursive=True)
        victims = [child for child in children if "azdistill.steps" in " ".join(command_of(child))]
        victim = rng.choice(victims) if victims and rng.random() < 0.5 else psutil.Process(engine.pid)
        victim.kill()
        engine.wait()
        return True
    if code != 3:
        sys.exit(f"a resumed run ended with {code}; see {folder}")
    return False


def command_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def crashes(folder: Path) -> dict[str, int]:
    """Runs that are killed and resumed until they end, each in its own folder, until there were `KILLS` kills."""
    job, rng, kills = small_job(folder / "job"), random.Random(SEED), 0
    took = uninterrupted_run(job, folder / "alone", folder / "home")
    alone, lost, duplicated = rows(folder / "alone"), 0, 0
    while kills < KILLS:
        run, home = folder / f"run-{kills}", folder / f"home-{kills}"
        while kill_once(job, run, home, rng, took / 2):
            kills += 1
            print(f"kill {kills}", flush=True)
        resumed = rows(run)
        lost += len(alone.counts.keys() - resumed.counts.keys())
        duplicated += sum(count - 1 for count in resumed.counts.values())
        if resumed.metrics != alone.metrics:
            sys.exit(f"{run}: metrics differ from the uninterrupted run")
    return {"kills": kills, "crash_lost": lost, "crash_duplicated": duplicated}


def node_overhead(folder: Path) -> float:
    """Seconds per node of a chain of nodes that do nothing but depend on the previous one."""
    folder.mkdir()
    jobs = []
    for number in range(CHAIN):
        reads = f"inputs: {{before: '${{{{parent.jobs.n{number - 1}.outputs.out}}}}'}}" if number else "inputs: {}"
        jobs.append(
            f"  n{number}:\n    command: echo > ${{{{outputs.out}}}}/done\n    environment: azureml:any:1\n"
            f"    {reads}\n    outputs: {{out: {{type: uri_folder}}}}\n"
        )
    (folder / "pipeline.yml").write_text("type: pipeline\njobs:\n" + "".join(jobs))
    started = time.perf_counter()
    run_pipeline(folder / "pipeline.yml", folder / "run", home=folder / "home").check()
    return (time.perf_counter() - started) / CHAIN


def dry_run(folder: Path) -> float:
    """Seconds of a dry run of a production job, without a cache."""
    data = ROOT / "pipelines" / "quickstart"
    subprocess.run([sys.executable, data / "generate.py", "--out", data / "data"], check=True)
    started = time.perf_counter()
    command = [*AZDISTILL, "run", str(PRODUCTION), "--dry-run", "-o", str(folder / "dry")]
    done = subprocess.run(command, env={**variables(folder / "home")}, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the dry run ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return time.perf_counter() - started


def part(name: str) -> dict[str, Any]:
    """The figures of a part, which runs in a process of its own: it changes the environment and the log levels."""
    command = [sys.executable, "-m", f"benchmarks.robust_{name}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(name, figures, flush=True)
    return figures


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        figures: dict[str, Any] = {
            **crashes(folder / "crashes"),
            **part("replies"),
            **part("files"),
            **part("secrets"),
            **part("damage"),
            "wrong_pipelines_found": len(mistakes_found()),
            "node_overhead_s": round(node_overhead(folder / "chain"), 4),
            "dry_run_s": round(dry_run(folder), 1),
        }
    for figure, value in figures.items():
        print(f"{figure:<22} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
