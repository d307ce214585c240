"""The command `azdistill`: verbs, and how an error reaches a person."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from azdistill.cli import (
    cancel,
    chat,
    clean,
    compile,
    convert,
    doctor,
    download,
    init,
    logs,
    outputs,
    plan,
    publish,
    run,
    runs,
    schema,
    simulate,
    status,
    store,
    stream,
    submit,
    validate,
)
from azdistill.cli.problems import render_error
from azdistill.contracts.errors import AzdistillError

app = typer.Typer(
    name="azdistill",
    help="Distil a large language model into a small one on Azure Machine Learning, and rehearse it here.",
    epilog="A job file says everything: teacher, student, data, gates. Start with: azdistill init my-job",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("schema")(schema.schema)
app.command("convert")(convert.convert)
app.command("compile")(compile.compile_)
app.command("plan")(plan.plan)
app.command("run")(run.run)
app.command("runs")(runs.runs)
app.command("logs")(logs.logs)
app.command("clean")(clean.clean)
app.add_typer(store.store, name="store")
app.command("doctor")(doctor.doctor)
app.command("submit")(submit.submit)
app.command("publish")(publish.publish)
app.command("status")(status.status)
app.command("stream")(stream.stream)
app.command("cancel")(cancel.cancel)
app.command("outputs")(outputs.outputs)
app.command("download")(download.download)
app.command("chat")(chat.chat)
app.command("simulate")(simulate.simulate)


def main(open_workspace: object = None) -> None:
    """Exit codes: 0 done, 1 the work failed, 2 wrong input, 3 a gate refused the student, 130 interrupted.

    `open_workspace` makes the client of a workspace from its address, instead of `azdistill.azure.workspace.connect`.
    """
    try:
        with _log_to_stderr():
            app(obj=open_workspace)
    except AzdistillError as error:
        print(render_error(error), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # between imports; typer turns a later one into exit code 130
        sys.exit(130)


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Print the engine's progress, such as downloads before the first node starts."""
    handler, logger = logging.StreamHandler(), logging.getLogger("azdistill.engine")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
