"""Check the teachers of a bundle: connections, keys and retirement dates."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, look_up, ok, unknown
from azdistill.azure.roles import workspace_options
from azdistill.contracts.files import read_json
from azdistill.contracts.layout import TEACHERS_INPUT
from azdistill.job.catalog import built_in

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_connections(client: "MLClient", bundle: Path) -> Iterator[CheckResult]:
    """One result for each connection, and one for each teacher whose key only this machine has."""
    teachers = read_teachers(bundle)
    for name in dict.fromkeys(teacher.get("connection") for teacher in teachers):
        if name:
            yield _check_connection(client, name)
    for teacher in teachers:
        if teacher.get("key_variable") and not teacher.get("connection"):
            yield _local_key(teacher)


def _check_connection(client: "MLClient", name: str) -> CheckResult:
    checked = f"connection {name!r}"
    command = f"az ml connection create --name {shlex.quote(name)} --file connection.yml {workspace_options(client)}"
    fix = "create it with endpoint and api_key"
    connection, problem = look_up(checked, lambda: client.connections.get(name), fix, command)
    return problem or ok(checked, str(connection.type))


def _local_key(teacher: Mapping[str, Any]) -> CheckResult:
    message = f"its key is in the variable {teacher['key_variable']} of this machine, which no job in Azure has"
    fix = "put the key into a connection and name that in teacher.connection, or use entra_scope"
    return failed(f"teacher {teacher['model']!r}", "local_key", message, fix)


def check_retired(bundle: Path, today: date) -> Iterator[CheckResult]:
    """One result for each teacher that Azure has retired by `today`.

    Unknown, not a problem: the catalog has a date, and an endpoint of one's own may serve the model for ever.
    """
    for name in dict.fromkeys(str(teacher["model"]) for teacher in read_teachers(bundle)):
        model = built_in().teacher(name)
        if model and model.is_retired(today):
            when = f" on {model.retires}" if model.retires else ""
            message = f"Azure has retired it{when} (as of {built_in().as_of})"
            fix = f"Azure's replacement is {model.replacement}" if model.replacement else "choose another model"
            yield unknown(f"teacher {name!r}", "retired_model", message, fix)


def read_teachers(bundle: Path) -> list[dict[str, Any]]:
    """The teachers of a bundle, none where it is of another kind."""
    path = bundle / TEACHERS_INPUT
    return read_json(path) if path.is_file() else []
