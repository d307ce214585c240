"""Options that several commands share, and their parsing."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import typer


class Format(StrEnum):
    text = "text"
    json = "json"


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="set a field of a job (train.learning_rate=1e-5) or a pipeline input (inputs.NAME=VALUE); repeatable",
    ),
]
Rows = Annotated[
    int | None, typer.Option(min=1, metavar="N", help="use only the first N rows of each file: --set inputs.rows=N")
]

INPUTS = "inputs."


def read_settings(settings: Sequence[str] | None, rows: int | None) -> dict[str, str]:
    """Values of pipeline inputs by name, from --set and --rows. Raises InputError for another form."""
    inputs = [setting for setting in settings or () if setting.startswith(INPUTS)]
    values = dict(_split(setting, "inputs.NAME=VALUE") for setting in inputs)
    values = {name.removeprefix(INPUTS): value for name, value in values.items()}
    return values | ({"rows": str(rows)} if rows else {})


def read_job_settings(settings: Sequence[str] | None, is_job: bool) -> dict[str, str]:
    """Fields of a job by dotted name, from --set. Raises InputError for another form, and for a pipeline."""
    form = "NAME=VALUE" if is_job else "inputs.NAME=VALUE"
    fields = [setting for setting in settings or () if not setting.startswith(INPUTS)]
    if fields and not is_job:
        raise _wrong_form(fields[0], form, "only pipeline inputs can be set")
    return dict(_split(setting, form) for setting in fields)


def read_job_fields(settings: Sequence[str] | None) -> dict[str, str]:
    """Fields of a job by dotted name, for a command that runs no pipeline. Raises InputError for a pipeline input."""
    inputs = [setting for setting in settings or () if setting.startswith(INPUTS)]
    if inputs:
        raise _wrong_form(inputs[0], "NAME=VALUE of a field of the job", "a pipeline input is set for a run")
    return read_job_settings(settings, is_job=True)


def _split(setting: str, form: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not (name.removeprefix(INPUTS) and equals):
        raise _wrong_form(setting, form, "for example train.learning_rate=1e-5 or inputs.seed=7")
    return name, value


def _wrong_form(setting: str, form: str, fix: str) -> Exception:
    from azdistill.contracts.errors import InputError

    return InputError(f"must be {form}", subject=f"--set {without_secret(setting)!r}", code="wrong_format", fix=fix)


def without_secret(setting: str) -> str:
    """A setting for a message: `inputs.hf_token=[key]`."""
    from azdistill.engine.problems import may_be_secret
    from azdistill.engine.redaction import PLACEHOLDER

    name, equals, value = setting.partition("=")
    shown_name = PLACEHOLDER if may_be_secret("", name) else name
    return f"{shown_name}{equals}{PLACEHOLDER if value and may_be_secret(name, value) else value}"
