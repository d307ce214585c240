"""From a job to one in a workspace: how long our part of the way takes, and whether it is walked right.

`make bench-azure` prints a table, then one line of JSON; `python -m benchmarks.azure --only submit wire` runs some of
the figures. The workspace is the stand-in of tests/workspace, with the real client in front of it and Azurite behind.

compile   `compile_validate_s`: seconds to read and compile the largest ready job and to load and validate it with the
          SDK, as `azdistill validate --sdk` does, in a process that has imported azure.ai.ml and nothing else; median
          of 5
submit    `submit_s`: seconds of `azdistill.azure.submission.submit` of it, the first of its process, to a workspace
          that holds nothing yet, on a blob service that has served before; median of 3
specs     `random_specs_ok`: random valid jobs (tests/azure/specs.py) that the SDK loads, validates and serialises as
          they say, each compiled twice, of 1,000; the first that isn't right ends the benchmark
canaries  `canary_planted` secrets, and `canary_hits`: places that one of them was found in
wire      `wire_goldens`: conversations of the real client that are their golden in tests/workspace/goldens; one that
          isn't ends the benchmark
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
from typing import TYPE_CHECKING

from benchmarks.figures import Figures, print_figures

if TYPE_CHECKING:
    from tests.workspace.azurite import Azurite

ROOT = Path(__file__).parent.parent
QUICKSTART = ROOT / "pipelines" / "quickstart"
COMPILES, SUBMISSIONS = 5, 3
MEMORY = next((path for path in ("/dev/shm",) if Path(path).is_dir()), None)
"""What is compiled, and what the blob service keeps, is written to memory where that can be: ext4 takes ten times as
long for a new file for minutes after many were removed, as any test run does."""
SPECS, SIDE_BY_SIDE = 1000, 2


def largest_ready_job() -> Path:
    """The one whose bundle has the most bytes. Their rows are those of the quickstart, which are made first."""
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job

    subprocess.run([sys.executable, QUICKSTART / "generate.py", "--out", QUICKSTART / "data"], check=True)

    def size(job: Path) -> int:
        with tempfile.TemporaryDirectory() as folder:
            bundle = compile_job(load_job(job), Path(folder)).parent
            return sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())

    return max((ROOT / "pipelines").glob("*/job.yaml"), key=size)


def alone(figure: Callable[..., float], *given: object) -> float:
    """What `figure` measures in a fresh process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as fresh:
        return fresh.submit(figure, *given).result()


def compiled_and_validated(job: Path, folder: Path) -> float:
    """Seconds, our own imports included."""
    import azure.ai.ml  # noqa: F401

    started = time.perf_counter()
    from azdistill.azure.offline import refusals
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job

    found = refusals(compile_job(load_job(job), folder))
    took = time.perf_counter() - started
    if found:
        raise RuntimeError(f"{job}: the SDK refuses its bundle: {found}")
    return took


def submitted(job: Path, storage: "Azurite", folder: Path) -> float:
    """Seconds; a simulated teacher is out of a workspace's reach, so its route is set to the endpoint."""
    from azdistill.azure.submission import submit
    from azdistill.azure.workspace import quiet
    from azdistill.job.bundle import compile_job
    from azdistill.job.loading import load_job
    from tests.workspace.connecting import connected, fresh_workspace
    from tests.workspace.credential import StandInCredential

    quiet()
    bundle = compile_job(load_job(job), folder).parent
    with fresh_workspace(storage) as workspace, connected(workspace, StandInCredential()) as client:
        started = time.perf_counter()
        sent = submit(client, bundle, {"teacher_route": "endpoint"})
        took = time.perf_counter() - started
        if sent.attached or len(workspace.ledger.of("PUT", f"/jobs/{sent.name}")) != 1:
            raise RuntimeError(f"{job}: it was not sent: {sent}")
    return took


def compile_() -> Figures:
    job = largest_ready_job()
    print(f"largest ready job: {job.relative_to(ROOT)}")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        took = [alone(compiled_and_validated, job, Path(folder, str(number))) for number in range(COMPILES)]
    return {"compile_validate_s": statistics.median(took)}


def submit() -> Figures:
    from tests.workspace.azurite import azurite

    job = largest_ready_job()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder, azurite(Path(folder)) as storage:
        took = [alone(submitted, job, storage, Path(folder, f"bundle{number}")) for number in range(SUBMISSIONS)]
    return {"submit_s": statistics.median(took)}


def specs() -> Figures:
    with ProcessPoolExecutor(SIDE_BY_SIDE, get_context("spawn")) as pool:
        return {"random_specs_ok": sum(pool.map(accepted_specs, range(SIDE_BY_SIDE)))}


def accepted_specs(number: int) -> int:
    from tests.azure.test_random_specs import check_specs

    with tempfile.TemporaryDirectory() as folder:
        return check_specs(number, SPECS // SIDE_BY_SIDE, Path(folder))


def canaries() -> Figures:
    from tests.azure.canary import canaries as search_for_them
    from tests.workspace.azurite import azurite

    with tempfile.TemporaryDirectory() as name, tempfile.TemporaryDirectory() as kept, azurite(Path(kept)) as storage:
        search = search_for_them(storage, Path(name))
    found = search.hits()
    print("".join(f"canary: {hit}\n" for hit in found), end="")
    return {"canary_planted": len(search.planted), "canary_hits": len(found)}


def wire() -> Figures:
    from tests.workspace.generated import conversations

    found = [(path, path.read_text(encoding="utf-8") == text) for path, text in conversations()]
    if differing := [path.name for path, same in found if not same]:
        raise RuntimeError(f"conversations that differ from their golden: {', '.join(differing)}")
    return {"wire_goldens": len(found)}


FIGURES: Mapping[str, Callable[[], Figures]] = {
    "compile": compile_,
    "submit": submit,
    "specs": specs,
    "canaries": canaries,
    "wire": wire,
}


if __name__ == "__main__":
    print_figures(__doc__, FIGURES)
