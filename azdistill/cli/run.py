"""azdistill run: run a job, bundle, pipeline or component on this machine."""

import errno
import shlex
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azdistill.cli.options import Rows, Settings, without_secret
from azdistill.cli.render import print_text
from azdistill.contracts.layout import (
    COMPONENT_FILE,
    COMPONENTS,
    EVALUATION_OUTPUT,
    GATE_FILE,
    LINEAGE_FILE,
    PIPELINE_FILE,
    REGISTRATION_OUTPUT,
    REPORT_FILE,
    REPORT_HTML_FILE,
    REPORT_OUTPUT,
)

if TYPE_CHECKING:
    from rich.console import Group

    from azdistill.engine.local.options import Faults, RunOptions
    from azdistill.engine.local.results import RunResult
    from azdistill.local_runs.request import RunRequest

# Options that the command to continue a run does not repeat, for example because faults are injected once.
ONE_TIME_OPTIONS = {"preempt", "duplicates", "explain"}
# Usual names of pipeline files. The run of such a file is named after its folder.
COMMON_FILE_NAMES = (PIPELINE_FILE, COMPONENT_FILE)
LATEST_PREEMPTION_S = 10.0


def run(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="job file, bundle, or any Azure ML pipeline or component file")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FOLDER", help="run folder; default: runs/NAME of the job or file"),
    ] = None,
    settings: Settings = None,
    rows: Rows = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            metavar="NAME=PATH",
            help="local copy of registered data (iris:1), or of a remote file or folder, by its address; repeatable; "
            "or a YAML file of names and paths",
        ),
    ] = None,
    interpreters: Annotated[
        list[str] | None,
        typer.Option(
            "--env",
            metavar="NAME=PYTHON",
            help="Python for the nodes with this environment: an interpreter, or the folder of a virtual environment",
        ),
    ] = None,
    make_environments: Annotated[
        bool, typer.Option("--make-environments", help="create a virtual environment for each that has pip packages")
    ] = False,
    preempt: Annotated[
        list[str] | None,
        typer.Option(
            "--preempt",
            metavar="NODE[=SECONDS]",
            help="fault injection: stop this node once after SECONDS (default: random) and start it again, like a spot "
            "instance",
        ),
    ] = None,
    duplicates: Annotated[
        float,
        typer.Option(
            min=0, max=1, metavar="FRACTION", help="fault injection: fraction of mini-batches delivered twice"
        ),
    ] = 0.0,
    until: Annotated[
        str | None, typer.Option("--until", metavar="NODE", help="run this node and the nodes that it depends on")
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="NODE", help="run this node and its dependents again; reuse the nodes it depends on"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="test a job: simulated teacher, tiny student, first rows, gates not enforced"),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="run a pipeline in spite of errors that only Azure's client or service refuses"),
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="show which nodes would run, and why; run none")] = False,
    simulate_workspace: Annotated[
        bool,
        typer.Option("--simulate-workspace", help="set AZUREML_ARM_*, as in a job, to a workspace that does not exist"),
    ] = False,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="maximum number of nodes at the same time; default: number of cores"),
    ] = None,
) -> None:
    """Run a job, bundle, pipeline or component on this machine.

    It runs as on Azure ML: same bundle, same commands. A job is compiled into the run folder first. Nodes that have
    not changed are reused, and an interrupted run continues. Runs share the folder AZDISTILL_HOME (default: the first
    .azdistill in the folder of the file or above it, else a new one, in the current folder or next to a file that is
    outside it): answers of teachers, model registry, datastores, downloads, and registered components in
    components/NAME/VERSION/component.yml.

    --set train.learning_rate=1e-5 replaces a field of the job file. --set inputs.NAME=VALUE sets an input of the
    pipeline or component; a path is relative to the current folder.

    A dry run tests that all steps work together, without paid requests. It runs the same bundle with other inputs,
    prints which ones it replaced, and writes only to its run folder (default: runs/NAME-dry-run).

    Example: azdistill run job.yaml -o runs/first --until curate --rows 100

    Exit codes: 0 done, 1 a node failed, 2 wrong input, 3 the gate refused the student, 130 interrupted.
    """
    from azdistill.cli.options import read_job_settings
    from azdistill.cli.paths import located_in, pipeline_file, read_job
    from azdistill.contracts.errors import InputError
    from azdistill.engine.local.storage import home_folder
    from azdistill.local_runs.request import RunRequest

    pipeline = pipeline_file(path)
    job_settings = read_job_settings(settings, is_job=pipeline is None)
    source = pipeline or read_job(path, job_settings)
    options = replace(read_options(context.params), home=home_folder(path if path.is_dir() else path.parent))
    if dry_run and isinstance(source, Path):
        raise InputError("a dry run needs a job file", subject=f"--dry-run {str(path)!r}", fix="give the job file")
    if force and not isinstance(source, Path):
        message = "the errors of a job are those of azdistill itself, and none can be ignored"
        raise InputError(message, subject=f"--force {str(path)!r}", fix="remove --force")
    folder = output or Path("runs", f"{_run_name(source)}{'-dry-run' if dry_run else ''}")
    request = RunRequest(source, folder, options, dry_run)
    with _force_advised(continue_command(context, folder)), nullcontext() if pipeline else located_in(path):
        if explain:
            _print_explanations(request)
        else:
            _run(request, path, continue_command(context, folder))


def read_options(params: Mapping[str, Any]) -> "RunOptions":
    """Options of the engine from the parameters of the command. A parameter sets the field of the same name."""
    from azdistill.cli.options import read_settings
    from azdistill.engine.local.options import RunOptions
    from azdistill.engine.local.selection import NodeSelection

    same_name = {field.name: params[field.name] for field in fields(RunOptions) if params.get(field.name) is not None}
    parsed = {
        "inputs": read_settings(params["settings"], params["rows"]),
        "selection": NodeSelection(params["until"], params["start"]),
        "data": _read_data(params["data"] or ()),
        "interpreters": dict(map(_read_interpreter, params["interpreters"] or ())),
        "faults": _read_faults(params["preempt"] or (), params["duplicates"]),
    }
    return RunOptions(**{**same_name, **parsed})


def _read_data(texts: Sequence[str]) -> dict[str, Path]:
    """Local copies by name, from `NAME=PATH` and YAML files. Raises InputError for another form or a missing file."""
    from azdistill.engine.local.data import parse_copy, read_copies

    copies: dict[str, Path] = {}
    for text in texts:
        is_file = text.endswith((".yml", ".yaml")) and "=" not in text
        copies |= read_copies(Path(text)) if is_file else [parse_copy(text)]
    return copies


def _read_interpreter(text: str) -> tuple[str, Path]:
    """Name of an environment, and its Python."""
    from azdistill.contracts.errors import InputError

    name, _, path = text.partition("=")
    if not (name and path):
        raise InputError(
            "must be NAME=PYTHON", subject=f"--env {text!r}", code="wrong_format", fix="NAME is an environment's name"
        )
    return name, Path(path).expanduser()


def _read_faults(preempt: Sequence[str], duplicates: float) -> "Faults":
    from azdistill.engine.local.options import Faults

    return Faults(dict(map(_read_preemption, preempt)), duplicates)


def _read_preemption(text: str) -> tuple[str, float]:
    """A node, and the seconds after which it is preempted, random by default."""
    import random

    from azdistill.contracts.errors import InputError

    node, equals, seconds = text.partition("=")
    try:
        return node, float(seconds) if equals else random.uniform(0, LATEST_PREEMPTION_S)
    except ValueError:
        raise InputError("must be NODE or NODE=SECONDS", subject=f"--preempt {text!r}", code="wrong_format") from None


def _run_name(source: Any) -> str:
    """Name of the job, or of the pipeline file without suffix. For a file with a usual name, the name of its folder."""
    if not isinstance(source, Path):
        return str(source.name)
    return source.resolve().parent.name if source.name in COMMON_FILE_NAMES else source.stem


def continue_command(context: typer.Context, folder: Path) -> str:
    """The command line that continues this run, in its folder and without one-time options."""
    params = {**context.params, "output": folder}
    arguments = []
    for parameter in context.command.params:
        value = params.get(parameter.name or "")
        if parameter.name in ONE_TIME_OPTIONS or value is None or value is False:
            continue
        for text in map(str, value if isinstance(value, list | tuple) else [value]):
            text = without_secret(text) if parameter.name == "settings" else text
            is_argument = parameter.param_type_name == "argument"
            arguments += [text] if is_argument else [_short(parameter.opts), *([] if value is True else [text])]
    return shlex.join(["azdistill", "run", *arguments])


def _short(names: Sequence[str]) -> str:
    return min(names, key=len)


def _print_explanations(request: "RunRequest") -> None:
    """Print whether each node would be reused, and if not, why."""
    from azdistill.local_runs.run import explain

    explanations = explain(request, _read_pipeline(request))
    width = max(len(explanation.node) for explanation in explanations)
    for explanation in explanations:
        reasons = "reused" if explanation.reused else f"runs: {'; '.join(explanation.reasons)}"
        print_text(f"{explanation.node:<{width}}  {reasons}")
        for note in explanation.notes:
            print_text(f"{'':<{width}}  note: {note}")


def _read_pipeline(request: "RunRequest") -> Any:
    from functools import partial

    from azdistill.cli.paths import read_pipeline

    return partial(read_pipeline, compiled=not isinstance(request.source, Path), force=request.options.force)


@contextmanager
def _force_advised(command: str) -> Iterator[None]:
    """Print the command with --force below the errors of a pipeline, where it passes all of them."""
    from azdistill.cli.problems import force_advice, render_error
    from azdistill.contracts.errors import PipelineError

    try:
        yield
    except PipelineError as error:
        if not (advice := force_advice(error.problems, command)):
            raise
        print_text(render_error(error), file=sys.stderr)
        print_text(advice, file=sys.stderr)
        raise typer.Exit(error.exit_code) from None


def _run(request: "RunRequest", path: Path, continue_with: str) -> None:
    """Run, and print progress and outcome.

    Raises NodeFailed, GateRefused, or Interrupted with the command that continues the run.
    """
    from azdistill.cli.progress import progress
    from azdistill.local_runs.run import run

    with _interruptible(continue_with):
        if _asks_teachers(request):
            print_text(f"answers and models: {_relative(request.options.home)}", file=sys.stderr)
        with progress() as watch:
            result = run(request, watch, _read_pipeline(request))
        if request.dry_run:
            _print_dry_run(result, path)
        else:
            print_outcome(result)


def _asks_teachers(request: "RunRequest") -> bool:
    """True for a job and its bundle, unless it is a dry run."""
    source = request.source
    is_bundle = isinstance(source, Path) and (source.parent / COMPONENTS / "teacher").is_dir()
    return not request.dry_run and (is_bundle or not isinstance(source, Path))


@contextmanager
def _interruptible(continue_with: str) -> Iterator[None]:
    """Raise Interrupted with the command that continues the run on Ctrl-C, SIGTERM and SIGHUP, at any moment.

    `nohup` ignores SIGHUP, and then it stays ignored. After SIGHUP, writing to the closed terminal is an OSError.
    """
    from azdistill.contracts.errors import Interrupted
    from azdistill.engine.local.supervisor import ENDING

    handled = [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _interrupt) for number in handled}
    try:
        yield
    except (KeyboardInterrupt, Interrupted, OSError) as error:
        if isinstance(error, OSError) and error.errno != errno.EIO:
            raise
        raise Interrupted("interrupted; completed work is kept", fix="continue with", command=continue_with) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def print_outcome(result: "RunResult") -> None:
    """Print the summary of the report, or the paths of the outputs.

    Raises GateRefused when only the gate stopped the run, NodeFailed for any other failure.
    """
    from azdistill.cli.progress import last_line
    from azdistill.contracts.errors import GateRefused

    report = result.outputs.get(("", REPORT_OUTPUT))
    summary = _read_summary(report) if report else None
    if report and summary:
        _print_report(summary, report, result)
    elif not result.failed:
        _print_outputs(result)
    if _is_refusal(result):
        raise GateRefused("; ".join(last_line(node.log) for node in result.failed))
    result.check()


def _print_dry_run(result: "RunResult", path: Path) -> None:
    """Print the result of a dry run, without the figures of the report, which have no meaning. Raises NodeFailed."""
    result.check()
    report = result.outputs.get(("", REPORT_OUTPUT))
    if report:
        print_text(f"report (its figures have no meaning):  {_relative(report / REPORT_HTML_FILE)}")
    else:
        _print_outputs(result)
    print_text(f"dry run: {len(result.nodes)} nodes work together; no teacher was called, nothing was published")
    print_text(f"run the job:  {shlex.join(['azdistill', 'run', str(path)])}")


def _read_summary(report: Path) -> "Group | None":
    """The summary of a report folder. None if it has no report.json, or one of another program."""
    from pydantic import ValidationError

    from azdistill.contracts.errors import DataError
    from azdistill.contracts.files import read_json
    from azdistill.reporting.console import summary

    try:
        return summary(read_json(report / REPORT_FILE))
    except (DataError, ValidationError):
        return None


def _print_report(summary: "Group", report: Path, result: "RunResult") -> None:
    from azdistill.cli.render import console

    console().print(summary)
    if registered := _registered(result):
        print_text(f"registered:             {registered}")
    print_text(f"report:                 {_relative(report / REPORT_HTML_FILE)}")
    print_text(f"chat with the student:  {shlex.join(['azdistill', 'chat', str(result.folder)])}")


def _registered(result: "RunResult") -> str:
    """The registered model version and its registry, empty if the student is not registered."""
    from azdistill.contracts.files import read_json

    registration = result.outputs.get(("", REGISTRATION_OUTPUT))  # only of a node that has completed
    if not registration or not (registration / LINEAGE_FILE).is_file():
        return ""
    lineage = read_json(registration / LINEAGE_FILE)
    return f"{lineage['model_uri']} in {lineage['registry']}"


def _print_outputs(result: "RunResult") -> None:
    """The pipeline's own outputs, or those of its nodes when it has none, and the files in ./outputs and ./logs."""
    from azdistill.engine.local.artifacts import artifacts

    pipeline_outputs = {name: path for (node, name), path in result.outputs.items() if not node}
    node_outputs = {f"{node}.{name}": path for (node, name), path in result.outputs.items()}
    for name, path in (pipeline_outputs or node_outputs).items():
        print_text(f"{name}: {_relative(path)}")
    for node in result.nodes:
        for path, count in artifacts(result.folder / node):
            print_text(f"{node}, {count} file{'s' if count > 1 else ''}: {_relative(path)}")


def _is_refusal(result: "RunResult") -> bool:
    """True when the gate refused the student and nothing else failed."""
    from azdistill.contracts.errors import DataError, GateRefused
    from azdistill.contracts.files import read_json

    evaluation = result.outputs.get(("", EVALUATION_OUTPUT))
    if not evaluation or not result.failed or any(node.exit_code != GateRefused.exit_code for node in result.failed):
        return False
    try:
        gate = read_json(evaluation / GATE_FILE)
    except DataError:
        return False
    return isinstance(gate, dict) and gate.get("register") is False


def _relative(path: Path) -> str:
    """Relative to the current folder if the path is below it."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
