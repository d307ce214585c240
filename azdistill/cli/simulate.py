"""azdistill simulate: serve a simulated teacher on loopback."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.contracts.simulation import Simulation


def simulate(
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="job file with the settings of the simulated teacher")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="teacher of the job, by name or model; default: the first"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0: any free port")] = 0,
) -> None:
    """Serve one simulated teacher on loopback.

    The endpoint is compatible with OpenAI's chat completions API. It is not a language model, and every response is
    marked as simulated: a small program answers one task. Section `simulation` of the job sets latency, refusals and
    wrong answers. For a job with several teachers, run this command once for each --teacher. `azdistill run` starts
    the simulated teachers of a job automatically.

    Example: azdistill simulate job.yaml --port 8080

    Exit codes: 0 ended by Ctrl-C, 2 wrong input.
    """
    from azdistill.simulate.serving import serve

    serve(_simulation(job, teacher), port=port, announce=_announce)


def _simulation(job: Path | None, name: str | None) -> "Simulation":
    from azdistill.cli.paths import job_file, read_job
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.simulation import Simulation
    from azdistill.engine.problems import suggest
    from azdistill.job.simulation import judge_simulations, simulations

    if job is None and name is None:
        return Simulation()
    if job is None:
        raise InputError("needs a job file", subject=f"--teacher {name!r}", fix="give the job file of this teacher")
    valid_job = read_job(job_file(job))
    models = [*valid_job.teacher.teachers, *([valid_job.judge.judge_model] if valid_job.judge else [])]
    settings = [*simulations(valid_job), *judge_simulations(valid_job)]
    teachers = dict(zip((model.called for model in models), settings, strict=True))
    if name is not None and name not in teachers:
        raise InputError(
            f"{job} has no such teacher",
            subject=f"--teacher {name!r}",
            code="unknown_teacher",
            fix=suggest(name, teachers),
        )
    return teachers[name or next(iter(teachers))]


def _announce(url: str) -> None:
    print_text(f"simulated teacher (not a language model): {url}/v1/chat/completions", flush=True)
    print_text("press Ctrl-C to stop it", flush=True)
