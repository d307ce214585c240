"""azdistill simulate: serve a simulated teacher on loopback."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.contracts.simulation import ServedModel, Simulation


def simulate(
    job: Annotated[
        Path | None, typer.Argument(metavar="JOB", help="job file with the settings of the simulated teacher")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="teacher of the job, by name or model; default: the first"),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="port on 127.0.0.1; 0: any free port")] = 0,
    model: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="serve this causal language model, with vLLM's API")
    ] = None,
    prompt_logprobs: Annotated[
        bool, typer.Option("--prompt-logprobs/--no-prompt-logprobs", help="with --model: score given tokens")
    ] = True,
    max_logprobs: Annotated[
        int, typer.Option(min=-1, metavar="N", help="with --model: most log probabilities of a position; -1: all")
    ] = 20,
) -> None:
    """Serve one simulated teacher on loopback.

    The endpoint is compatible with OpenAI's chat completions API. It is not a language model, and every response is
    marked as simulated: a small program answers one task. Section `simulation` of the job sets latency, refusals and
    wrong answers. For a job with several teachers, run this command once for each --teacher. `azdistill run` starts
    the simulated teachers of a job automatically.

    With --model, a small language model answers instead, with the API of vLLM: chat completions, completions,
    prompt_logprobs and tokenize. It scores the tokens of a student for on-policy training (`azdistill docs scoring`).
    With --no-prompt-logprobs it refuses to, as serverless endpoints do.

    Example: azdistill simulate job.yaml --port 8080

    Exit codes: 0 ended by Ctrl-C, 2 wrong input.
    """
    from azdistill.simulate.serving import serve

    if model is None:
        serve(_simulation(job, teacher), port=port, announce=_announce)
    else:
        served = _served(model, prompt_logprobs, max_logprobs)
        serve(_simulation_of_model(job, teacher), model=served, port=port, announce=partial(_announce_model, model))


def _served(model: Path, prompt_logprobs: bool, max_logprobs: int) -> "ServedModel":
    from azdistill.contracts.extras import check_steps
    from azdistill.contracts.simulation import ServedModel
    from azdistill.local_runs.models import student_folder

    check_steps(["predict"], extra="train")
    return ServedModel(student_folder(model), prompt_logprobs, max_logprobs)


def _simulation_of_model(job: Path | None, name: str | None) -> "Simulation":
    """Settings of the gateway. Without a job a model has no other latency than its own."""
    simulation = _simulation(job, name)
    return simulation if job else simulation.model_copy(update={"latency_ms": 0.0})


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


def _announce_model(model: Path, url: str) -> None:
    print_text(f"simulated teacher with the model {str(model)!r}: {url}/v1/chat/completions", flush=True)
    print_text("press Ctrl-C to stop it", flush=True)
