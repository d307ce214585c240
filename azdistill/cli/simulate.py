"""azdistill simulate: a stand-in for a teacher, on loopback."""

from pathlib import Path
from typing import Annotated

import typer


def simulate(
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="take the simulation of this job file's teacher")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="port on 127.0.0.1; 0 takes a free one")] = 0,
) -> None:
    """Serve the simulated teacher on loopback.

    It speaks the wire format of an OpenAI-compatible chat endpoint. It is a stand-in and says so in every
    answer: a small program that is an expert of one task, with latency, refusals and wrong answers to order.
    `azdistill run` starts its own.

    Example: azdistill simulate job.yaml --port 8080

    Ctrl-C ends it. Exit codes: 0 ended when told to, 2 wrong input.
    """
    from azdistill.cli.paths import job_file, read_job
    from azdistill.contracts.teacher import Simulation
    from azdistill.simulate.serving import serve

    simulation = read_job(job_file(job)).teacher.teachers[0].simulation if job else Simulation()
    serve(simulation, port=port, announce=_announce)


def _announce(url: str) -> None:
    print(f"simulated teacher (a stand-in, no language model): {url}/v1/chat/completions", flush=True)
    print("Ctrl-C ends it", flush=True)
