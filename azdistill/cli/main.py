"""The command line `azdistill`: its commands, and the exit code and text of errors."""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Annotated, NoReturn

import typer

from azdistill.cli import (
    cancel,
    chat,
    clean,
    compare,
    compile,
    convert,
    data,
    deploy,
    docs,
    doctor,
    download,
    evaluate,
    init,
    logs,
    models,
    outputs,
    plan,
    publish,
    report,
    run,
    runs,
    schedule,
    schema,
    serve,
    simulate,
    status,
    store,
    stream,
    submit,
    validate,
)
from azdistill.cli.problems import render_error
from azdistill.cli.render import print_text
from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.extras import missing_module
from azdistill.engine.redaction import redact_output

DEBUG_VARIABLE = "AZDISTILL_DEBUG"


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print_text(version("azdistill"))
        raise typer.Exit


app = typer.Typer(
    name="azdistill",
    epilog="A job file declares teacher, student, data and gates. Start with `azdistill init`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Distil a large language model into a small one on Azure Machine Learning. Test it on this machine first."""


app.command("init")(init.init)
app.command("validate")(validate.validate)
app.command("schema")(schema.schema)
app.command("convert")(convert.convert)
app.command("compile")(compile.compile_)
app.command("models")(models.models)
app.command("plan")(plan.plan)
app.add_typer(data.data, name="data")
app.command("run")(run.run)
app.command("runs")(runs.runs)
app.command("logs")(logs.logs)
app.command("report")(report.report)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("clean")(clean.clean)
app.add_typer(store.store, name="store")
app.command("doctor")(doctor.doctor)
app.command("submit")(submit.submit)
app.command("schedule")(schedule.schedule)
app.command("publish")(publish.publish)
app.command("status")(status.status)
app.command("stream")(stream.stream)
app.command("cancel")(cancel.cancel)
app.command("outputs")(outputs.outputs)
app.command("download")(download.download)
app.command("deploy")(deploy.deploy)
app.command("chat")(chat.chat)
app.command("serve")(serve.serve)
app.command("simulate")(simulate.simulate)
app.command("docs")(docs.docs)


def main(open_workspace: object = None) -> None:
    """Run a command line.

    Exit codes: 0 done, 1 failed, 2 wrong input, 3 the gate refused the student, 4 its gate cannot be read, 130
    interrupted.

    `open_workspace` replaces `azdistill.azure.workspace.connect`: it creates the client for an address.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # as standard error: a locale such as C has no umlauts
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _log_to_stderr():
            app(obj=open_workspace)
    except AzdistillError as error:
        _fail(error)
    except ModuleNotFoundError as error:
        if not (missing := missing_module(error)):
            raise
        _fail(missing)
    except OSError as error:
        from azdistill.engine.files import disk_error

        _fail(disk_error(error))
    except KeyboardInterrupt:  # between imports; typer turns a later one into exit code 130
        sys.exit(130)


def _fail(error: AzdistillError) -> NoReturn:
    with suppress(OSError):  # the terminal has closed
        print_text(render_error(error), file=sys.stderr)
    sys.exit(error.exit_code)


@contextmanager
def _log_to_stderr() -> Iterator[None]:
    """Print the log messages of the libraries on standard error, for example downloads before the first node starts.

    With AZDISTILL_DEBUG=1, also the tracebacks of errors inside Azure's SDK.
    """
    handler, logger = logging.StreamHandler(), logging.getLogger("azdistill")
    make_record = logging.getLogRecordFactory()
    redact_output()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG if os.environ.get(DEBUG_VARIABLE) else logging.INFO)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # as in azdistill.steps.runner
    try:
        yield
    finally:
        logging.setLogRecordFactory(make_record)
        logger.removeHandler(handler)
        logger.setLevel(before)
