"""Benchmarks of the local engine: overhead of a node, growth with the graph, hashing, cost of following a log.

`make bench-engine` prints a table, then one line of JSON; `python -m benchmarks.engine --only nodes graph` runs some
of the figures.

nodes    `node_overhead_s`: wall-clock seconds a node takes beyond its command, in a chain of 20 sequential nodes; the
         command alone is measured in the same run
graph    `graph200_s`: seconds of 200 nodes that do nothing, in 20 layers, each node reading two of the layer before,
         with two concurrent nodes; `graph200_rerun_s`: the same from the command line when all nodes are reused,
         including the start of Python. Prints the engine's memory for 200 and for 20 nodes
hash     `hash_gb_s`: GB a second of the first hash of an input of 2 GB in the page cache. Prints the speed of reading
         alone, and the time of the second, cached hash
follow   `follow_slowdown`: how much longer a node that prints 100,000 lines takes while `azdistill logs -f` follows it,
         as a fraction; both times are the best of 9 alternating runs, because other load only adds time
peer     kfp's local runner, which runs the nodes of a pipeline sequentially: seconds a node, and the ratio to ours
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.figures import Figures, print_figures
from benchmarks.peers.venvs import HERE, Peer, python_of

ROOT = Path(__file__).parent.parent
AZDISTILL = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]
CHAIN, LAYERS, WIDTH = 20, 20, 10
INPUT_GB, BLOCK = 2.0, 1 << 22
LINES, TURNS = 100_000, 9


COMPONENT = """\
type: command
name: say
inputs: {left: {type: uri_file, optional: true}, right: {type: uri_file, optional: true}}
outputs: {out: {type: uri_file}}
code: ./code
environment: azureml:none:1
command: cat say.txt $[[${{inputs.left}}]] $[[${{inputs.right}}]] | tail -n 1 > ${{outputs.out}}
"""


def graph(folder: Path, layers: int, width: int) -> Path:
    """A pipeline of `layers` times `width` nodes, each reading two of the layer before."""
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "say.txt").write_text("here\n")
    (folder / "component.yml").write_text(COMPONENT)
    jobs = {f"n{layer}_{column}": _job(layer, column, width) for layer in range(layers) for column in range(width)}
    (folder / "pipeline.yml").write_text(json.dumps({"type": "pipeline", "jobs": jobs}))
    return folder / "pipeline.yml"


def _job(layer: int, column: int, width: int) -> dict[str, Any]:
    def output(number: int) -> str:
        return f"${{{{parent.jobs.n{layer - 1}_{number % width}.outputs.out}}}}"

    inputs = {"left": output(column), "right": output(column + 1)} if layer and width > 1 else {}
    inputs |= {"left": output(column)} if layer else {}
    return {"type": "command", "component": "./component.yml", "inputs": inputs}


def run(pipeline: Path, jobs: int) -> float:
    """Seconds that a run of the pipeline takes. Raises NodeFailed."""
    from azdistill.engine.local.engine import run_pipeline

    started = time.perf_counter()
    run_pipeline(pipeline, pipeline.parent / "run", home=pipeline.parent / "home", jobs=jobs).check()
    return time.perf_counter() - started


def peak_mb(layers: int, width: int) -> float:
    """Peak memory of a process that runs a graph, in MB."""
    with get_context("spawn").Pool(1) as fresh:
        return fresh.apply(_peak_of_run, (layers, width))


def _peak_of_run(layers: int, width: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        run(graph(Path(folder, "g"), layers, width), jobs=2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def nodes() -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        pipeline = graph(Path(folder, "g"), CHAIN, 1)
        took = run(pipeline, jobs=1) / CHAIN
        started = time.perf_counter()
        for _ in range(CHAIN):
            subprocess.run(["bash", "-c", "cat say.txt | tail -n 1 > out"], cwd=pipeline.parent / "code", check=True)
        command = (time.perf_counter() - started) / CHAIN
    return {"node_overhead_s": took - command}


def graph_() -> Figures:
    few, many = peak_mb(LAYERS // 10, WIDTH), peak_mb(LAYERS, WIDTH)
    print(
        f"{'memory of the engine':<22} {many:10.1f} MB for {LAYERS * WIDTH} nodes, {few:.1f} for {LAYERS * WIDTH // 10}"
    )
    return run_and_rerun()


def run_and_rerun() -> Figures:
    """Seconds of 200 nodes, and of the same again."""
    with tempfile.TemporaryDirectory() as folder:
        pipeline = graph(Path(folder, "g"), LAYERS, WIDTH)
        took = run(pipeline, jobs=2)
        started = time.perf_counter()
        again = [*AZDISTILL, "run", str(pipeline), "-o", str(pipeline.parent / "run")]
        done = subprocess.run(again, cwd=folder, capture_output=True, text=True, check=True)
        rerun = time.perf_counter() - started
        reused = done.stderr.count(": reused")
    if reused != LAYERS * WIDTH:
        sys.exit(f"{reused} of {LAYERS * WIDTH} nodes were reused:\n{done.stderr[-2000:]}")
    return {"graph200_s": took, "graph200_rerun_s": rerun}


def hash_() -> Figures:
    from azdistill.engine.local.hashing import FileHashes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "input.bin")
        with path.open("wb") as stream:
            for _ in range(round(INPUT_GB * 1e9 / BLOCK)):
                stream.write(b"\x5a" * BLOCK)
        hashes = FileHashes(Path(folder, "hashes.json"))
        gb = path.stat().st_size / 1e9
        read, first, second = (
            _seconds(function) for function in (lambda: _read(path), *[lambda: hashes.file(path)] * 2)
        )
    print(f"{'read without hashing':<22} {gb / read:10.3f} GB/s; the second hash took {second * 1000:.2f} ms")
    return {"hash_gb_s": gb / first}


def _read(path: Path) -> None:
    with path.open("rb") as stream:
        while stream.read(BLOCK):
            pass


def _seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def follow() -> Figures:
    took: dict[bool, list[float]] = {True: [], False: []}
    for turn in range(2 * TURNS):
        took[turn % 2 == 0].append(_run_printing_node(followed=turn % 2 == 0))
    return {"follow_slowdown": min(took[True]) / min(took[False]) - 1}


def _run_printing_node(followed: bool) -> float:
    """Seconds of a node that prints many lines, from its record."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = f"python -c \"for n in range({LINES}): print('line', n, flush=True)\""
        (folder / "pipeline.yml").write_text(json.dumps({"jobs": {"talk": {"command": f"sleep 1; {command}"}}}))
        engine = subprocess.Popen([*AZDISTILL, "run", "pipeline.yml", "-o", "run"], cwd=folder, stderr=subprocess.PIPE)
        record = folder / "run" / "talk" / "node.json"
        while not record.is_file():
            time.sleep(0.05)
        if followed:
            shown = subprocess.run(
                [*AZDISTILL, "logs", "run", "-f", "-n", "0"], cwd=folder, capture_output=True, check=True
            )
            if shown.stdout.count(b"\n") != LINES:
                sys.exit(f"followed {shown.stdout.count(bytes([10]))} of {LINES} lines")
        engine.communicate()
        return float(json.loads(record.read_text())["seconds"]) - 1


def peer() -> Figures:
    """Print the figures of the peer. They are not in the line of JSON, which has our own."""
    kfp = Peer("kfp", "kfp", HERE / "kfp_local.py")
    try:
        done = subprocess.run([python_of(kfp), kfp.script, str(CHAIN)], capture_output=True, text=True, check=True)
    except (RuntimeError, subprocess.SubprocessError) as problem:
        print(f"{kfp.name}: {problem}\n{getattr(problem, 'stderr', '')}")
        return {}
    kfp_s = float(done.stdout.splitlines()[-1])
    with tempfile.TemporaryDirectory() as folder:
        azdistill_s = run(graph(Path(folder, "g"), CHAIN, 1), jobs=1) / CHAIN
    print(
        f"{'a node of kfp local':<22} {kfp_s:10.3f} s, {kfp_s / azdistill_s:.1f} times azdistill ({azdistill_s:.3f} s)"
    )
    return {}


FIGURES: Mapping[str, Callable[[], Figures]] = {
    "nodes": nodes,
    "graph": graph_,
    "hash": hash_,
    "follow": follow,
    "peer": peer,
}


if __name__ == "__main__":
    print_figures(__doc__, FIGURES)
