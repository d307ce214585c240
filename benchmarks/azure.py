"""Benchmark compiling, validating and submitting a job, and the correctness of the submitted job.

`make bench-azure` prints a table, then one line of JSON; `python -m benchmarks.azure --only submit wire` runs some of
the figures. tests/workspace simulates the workspace: the real client uses it over HTTP, and Azurite is its storage.

compile   `compile_validate_s`: seconds to read and compile the largest ready job, and to load and validate it with the
          SDK, as `azdistill validate --sdk` does, in a process that has imported only azure.ai.ml; median of 5
submit    `submit_s`: seconds of the first `azdistill.azure.submission.submit` of a process, to an empty workspace, on a
          blob service that has been used before; median of 3. `submit_requests`: requests to the workspace, without
          those to the blob service
specs     `random_specs_ok`: random valid jobs (tests/azure/specs.py), of 1,000, that the SDK loads, validates and
          serialises with their values, each compiled twice; the first wrong one ends the benchmark
canaries  `canary_planted` secrets, and `canary_hits`: places where one of them was found
pipelines `wrong_pipelines_found`: wrong pipelines, of 14 of which Azure's client finds three, that `validate` finds
          (tests/engine/pipeline/wrong.py); a missing one ends the benchmark
wire      `wire_goldens`: goldens in tests/workspace/goldens that the client's requests equal; the first difference ends
          the benchmark
first_day `first_day_faults_found` of `first_day_faults_total`: faults of tests/workspace/first_day.py that are reported
          before anything is sent, and of tests/workspace/runtime_faults.py that a job survives or reports
mounts    `mount_ops_ok`: file operations on mounts of Azure ML's data runtime that do what a local disk does, of those
          in docs/mounts.md. No figure without root, FUSE and the runtime
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.figures import Figures, print_figures

if TYPE_CHECKING:
    from tests.workspace.azurite import Azurite

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "pipelines" / "quickstart"
COMPILES, SUBMISSIONS = 5, 3
# Bundles and blobs are written to memory if possible: after many files were removed, as by any test run, ext4 takes ten
# times as long to create a file for some minutes.
MEMORY = next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)
SPECS, PROCESSES = 1000, 2

Measured = TypeVar("Measured")


def largest_ready_job() -> Path:
    """The ready job whose bundle has the most bytes. Generates the rows of the quickstart, which they use.

    smollm is left out: a package that is not installed here generates its rows.
    """
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job

    subprocess.run([sys.executable, QUICKSTART / "generate.py", "--out", QUICKSTART / "data"], check=True)

    def size(job: Path) -> int:
        with tempfile.TemporaryDirectory() as folder:
            bundle = compile_job(load_job(job), Path(folder)).parent
            return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())

    jobs = [path for path in (ROOT / "pipelines").glob("*/job.yaml") if path.parent.name != "smollm"]
    return max(jobs, key=size)


def in_new_process(figure: Callable[..., Measured], *arguments: object) -> Measured:
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(figure, *arguments).result()


def measure_compile(job: Path, folder: Path) -> float:
    """Seconds, with the imports of azdistill."""
    import azure.ai.ml  # noqa: F401

    started = time.perf_counter()
    from azdistill.azure.offline import sdk_problems
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job

    problems = sdk_problems(compile_job(load_job(job), folder))
    seconds = time.perf_counter() - started
    if problems:
        raise RuntimeError(f"{job}: the SDK rejects its bundle: {problems}")
    return seconds


def measure_submit(job: Path, storage: "Azurite", folder: Path) -> tuple[float, int]:
    """Seconds, and requests to the workspace.

    The route is set to the endpoint, because a job in Azure cannot reach a simulated teacher.
    """
    from azdistill.azure.submission import submit
    from azdistill.cli.workspace import quiet_sdk, suppress_output
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job
    from tests.workspace.clients import client_for, empty_workspace
    from tests.workspace.credential import SimulatedCredential

    bundle = compile_job(load_job(job), folder).parent
    with quiet_sdk(), empty_workspace(storage) as workspace, client_for(workspace, SimulatedCredential()) as client:
        started = time.perf_counter()
        with suppress_output():
            sent = submit(client, bundle, {"teacher_route": "endpoint"})
        seconds = time.perf_counter() - started
        if sent.attached or len(workspace.requests.of("PUT", f"/jobs/{sent.name}")) != 1:
            raise RuntimeError(f"{job}: it was not submitted: {sent}")
        return seconds, len(workspace.requests.all)


def compile_() -> Figures:
    job = largest_ready_job()
    print(f"largest ready job: {job.relative_to(ROOT)}")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        seconds = [in_new_process(measure_compile, job, Path(folder, str(number))) for number in range(COMPILES)]
    return {"compile_validate_s": statistics.median(seconds)}


def submit() -> Figures:
    from tests.workspace.azurite import azurite

    job = largest_ready_job()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, azurite(Path(folder)) as storage:
        submissions = [
            in_new_process(measure_submit, job, storage, Path(folder, f"bundle{number}"))
            for number in range(SUBMISSIONS)
        ]
    seconds, requests = zip(*submissions, strict=True)
    return {"submit_s": statistics.median(seconds), "submit_requests": max(requests)}


def specs() -> Figures:
    with ProcessPoolExecutor(PROCESSES, get_context("spawn")) as pool:
        return {"random_specs_ok": sum(pool.map(accepted_specs, range(PROCESSES)))}


def accepted_specs(number: int) -> int:
    from tests.azure.test_random_specs import check_specs

    with tempfile.TemporaryDirectory() as folder:
        return check_specs(number, SPECS // PROCESSES, Path(folder))


def canaries() -> Figures:
    from tests.azure.canary import search_for_secrets
    from tests.workspace.azurite import azurite

    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as kept, azurite(Path(kept)) as storage:
        search = search_for_secrets(storage, Path(name))
    hits = search.hits()
    print("".join(f"canary: {hit}\n" for hit in hits), end="")
    return {"canary_planted": len(search.secrets), "canary_hits": len(hits)}


def pipelines() -> Figures:
    from tests.engine.pipeline.wrong import COMMAND_MISTAKES, mistakes_found

    reported = mistakes_found()
    if missed := [name for name in COMMAND_MISTAKES if name not in reported]:
        raise RuntimeError(f"validate does not find: {', '.join(missed)}")
    return {"wrong_pipelines_found": len(reported)}


def wire() -> Figures:
    from tests.workspace.generated import goldens

    equal = {path.name: path.read_text(encoding="utf-8") == text for path, text in goldens()}
    if different := [name for name, is_equal in equal.items() if not is_equal]:
        raise RuntimeError(f"requests differ from their golden: {', '.join(different)}")
    return {"wire_goldens": len(equal)}


def first_day() -> Figures:
    from tests.workspace.first_day_page import reports

    outcomes = {fault.name: report is not None for fault, report in reports()} | runtime_faults()
    print("".join(f"not reported: {name}\n" for name, is_reported in outcomes.items() if not is_reported), end="")
    return {"first_day_faults_found": sum(outcomes.values()), "first_day_faults_total": len(outcomes)}


def runtime_faults() -> dict[str, bool]:
    """True for each fault of a running job that is survived or reported, by name."""
    from tests.workspace.azurite import azurite
    from tests.workspace.clients import client_for, empty_workspace
    from tests.workspace.credential import SimulatedCredential
    from tests.workspace.runtime_faults import RUNTIME_FAULTS

    handled: dict[str, bool] = {}
    with tempfile.TemporaryDirectory() as name, azurite(Path(name)) as storage:
        for number, fault in enumerate(RUNTIME_FAULTS):
            folder = Path(name, f"fault-{number}")
            folder.mkdir()
            with empty_workspace(storage) as workspace, client_for(workspace, SimulatedCredential()) as client:
                handled[fault.name] = fault.is_handled(workspace, client, folder)
    return handled


def mounts() -> Figures:
    from tests.mounts.observed import mount_ops_ok

    count = mount_ops_ok()
    return {} if count is None else {"mount_ops_ok": count}


FIGURES: Mapping[str, Callable[[], Figures]] = {
    "compile": compile_,
    "submit": submit,
    "specs": specs,
    "canaries": canaries,
    "pipelines": pipelines,
    "wire": wire,
    "first_day": first_day,
    "mounts": mounts,
}


if __name__ == "__main__":
    print_figures(__doc__, FIGURES)
