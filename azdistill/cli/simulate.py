"""azdistill simulate: a stand-in for a teacher, on loopback."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from azdistill.contracts.simulation import Simulation


def simulate(
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="take the simulation of a teacher of this job file")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="which of the job's teachers, by name or model [default: the first]"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 takes a free one")] = 0,
) -> None:
    """Serve one simulated teacher on loopback.

    It speaks the wire format of an OpenAI-compatible chat endpoint. It is a stand-in and says so in every
    answer: a small program that is an expert of one task, with latency, refusals and wrong answers to order.
    A job with several teachers has a stand-in for each: start this once for each --teacher. `azdistill run`
    starts its own, all of them.

    Example: azdistill simulate job.yaml --port 8080

    Ctrl-C ends it. Exit codes: 0 ended when told to, 2 wrong input.
    """
    from azdistill.simulate.serving import serve

    serve(_simulation(job, teacher), port=port, announce=_announce)


def _simulation(job: Path | None, name: str | None) -> "Simulation":
    from azdistill.cli.paths import job_file, read_job
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.simulation import Simulation
    from azdistill.job.simulation import simulations

    if job is None and name is None:
        return Simulation()
    if job is None:
        raise InputError(f"--teacher {name!r}: name the job file that it is in")
    parsed = read_job(job_file(job))
    teachers = dict(zip((teacher.called for teacher in parsed.teacher.teachers), simulations(parsed), strict=True))
    if name is not None and name not in teachers:
        raise InputError(f"--teacher {name!r}: {job} has {', '.join(map(repr, teachers))}; name one of them")
    return teachers[name or next(iter(teachers))]


def _announce(url: str) -> None:
    print(f"simulated teacher (a stand-in, no language model): {url}/v1/chat/completions", flush=True)
    print("Ctrl-C ends it", flush=True)
