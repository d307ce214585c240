"""The bundle's teachers: their connections and keys, and whether Azure still serves them."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import in_workspace
from azdistill.azure.checks.check import Check, looked_up
from azdistill.contracts.files import read_json
from azdistill.job.models import AS_OF, BUILT_IN

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_connections(client: "MLClient", bundle: Path) -> Iterator[Check]:
    teachers = _teachers_of(bundle)
    yield from (
        _connection(client, name) for name in dict.fromkeys(teacher.get("connection") for teacher in teachers) if name
    )
    yield from (_unreachable_key(teacher) for teacher in teachers if _has_local_key(teacher))


def _connection(client: "MLClient", name: str) -> Check:
    what = f"connection {name!r}"
    command = f"az ml connection create --name {shlex.quote(name)} --file connection.yml {in_workspace(client)}"
    move = "create it with endpoint and api_key"
    connection, problem = looked_up(what, lambda: client.connections.get(name), move, command)
    return problem or Check(what, "ok", str(connection.type))


def _has_local_key(teacher: Mapping[str, Any]) -> bool:
    return bool(teacher.get("key_variable")) and not teacher.get("connection")


def _unreachable_key(teacher: Mapping[str, Any]) -> Check:
    told = f"its key is in the variable {teacher['key_variable']} of this machine, which no job in Azure has"
    move = "put the key into a connection and name that in teacher.connection, or use entra_scope"
    return Check(f"teacher {teacher['model']!r}", "wrong", told, move)


def check_retired(bundle: Path, today: date) -> Iterator[Check]:
    """Told, not held against the job: the catalog is of a day, and an endpoint of one's own may serve it for ever."""
    for name in dict.fromkeys(str(teacher["model"]) for teacher in _teachers_of(bundle)):
        facts = BUILT_IN.teacher(name)
        if facts and facts.gone(today):
            told = f"Azure serves it no more{f', since {facts.retires}' if facts.retires else ''} (as of {AS_OF})"
            move = f"Azure names {facts.replacement} in its place" if facts.replacement else "name another one"
            yield Check(f"teacher {name!r}", "unknown", told, move)


def _teachers_of(bundle: Path) -> list[dict[str, Any]]:
    path = bundle / "inputs/teachers.json"
    return read_json(path) if path.is_file() else []
