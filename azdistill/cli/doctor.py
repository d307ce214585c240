"""azdistill doctor: what stands between you and a run."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Format
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    from azdistill.azure.checks.check import Check

STATE_WIDTH = len("unknown") + 2


def doctor(
    context: typer.Context,
    job: Annotated[Path | None, typer.Argument(metavar="JOB", help="a job file; none: machine and workspace")] = None,
    config: Config = None,
    offline: Annotated[bool, typer.Option("--offline", help="ask no teacher")] = False,
    format: Annotated[Format, typer.Option("--format", help="json: a list of findings, for programs")] = Format.text,
) -> None:
    """Look at all that a run needs, and say what to do about it.

    Interpreter, extras, GPU, login, workspace, roles, storage; with a job its compute, quota, connections, data,
    models and student. Each teacher with an endpoint is asked one short question, which costs as much: --offline
    asks none. An empty blob is written to the default datastore and removed, to see whether you may; nothing else is
    written or sent. Unknown is what can't be seen from here, or matters to some only.

    Example: azdistill doctor job.yaml

    Exit codes: 0 nothing is wrong, 2 something is.
    """
    from azdistill.cli.paths import job_file
    from azdistill.cli.workspace import workspace_client
    from azdistill.contracts.errors import InputError
    from azdistill.doctor.diagnosis import diagnose

    checked = job_file(job) if job else None
    found = diagnose(checked, config, lambda: workspace_client(context, config), offline=offline)
    states = (_tell_as_json if format == Format.json else _tell_in_words)(found)
    raise typer.Exit(InputError.exit_code if "wrong" in states else 0)


def _tell_in_words(found: "Iterable[Check]") -> list[str]:
    """Each as soon as it is known, the command on a line of its own to copy. Returns the states."""
    states: list[str] = []
    for check in found:
        print(f"{check.state:{STATE_WIDTH}}{check.what}: {check.detail}", flush=True)
        for advice in filter(None, (f"{check.move}:" if check.command else check.move, check.command)):
            print(f"{'':{STATE_WIDTH}}{advice}", flush=True)
        states.append(check.state)
    print(f"\n{states.count('wrong') or 'nothing'} wrong, {states.count('unknown')} unknown")
    return states


def _tell_as_json(found: "Iterable[Check]") -> list[str]:
    import json
    from dataclasses import asdict

    checks = list(found)
    print(json.dumps([asdict(check) for check in checks], indent=2))
    return [check.state for check in checks]
