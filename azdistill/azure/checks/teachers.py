"""Check the teachers of a bundle: connections, keys and retirement dates."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azdistill.azure.checks.result import CheckResult, failed, from_problem, look_up, ok, unknown
from azdistill.azure.checks.roles import EndpointAccess
from azdistill.azure.roles import workspace_options
from azdistill.azure.workspace import cloud_of_client
from azdistill.azure_rest.connections import ConnectionProperties, read_properties
from azdistill.contracts.chat_url import is_loopback
from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_json
from azdistill.contracts.layout import JUDGE_INPUT, SCORER_INPUT, TEACHERS_INPUT
from azdistill.job.catalog import built_in

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


# By name: properties of a connection, None if a teacher cannot use it, and the result of its check.
Connections = Mapping[str, tuple[ConnectionProperties | None, CheckResult]]


def read_connections(client: "MLClient", teachers: Sequence[Mapping[str, Any]]) -> Connections:
    """The connections of the teachers."""
    names = dict.fromkeys(str(teacher["connection"]) for teacher in teachers if teacher.get("connection"))
    return {name: _read_checked(client, name) for name in names}


def check_connections(teachers: Sequence[Mapping[str, Any]], connections: Connections) -> Iterator[CheckResult]:
    """One result for each connection, and one for each teacher whose key or endpoint only this machine has."""
    yield from (result for _, result in connections.values())
    for teacher in (teacher for teacher in teachers if not teacher.get("connection")):
        if teacher.get("key_variable"):
            yield _local_key(teacher)
        if is_loopback(urlsplit(str(teacher.get("endpoint"))).hostname or ""):
            message = f"its endpoint {teacher['endpoint']} is on this machine, which no job in Azure reaches"
            fix = "give it the address of a server that the network of the jobs reaches"
            yield failed(f"teacher {teacher['model']!r}", "local_endpoint", message, fix)


def endpoint_accesses(
    asked: Mapping[str, Sequence[Mapping[str, Any]]], connections: Connections
) -> dict[str, EndpointAccess]:
    """Resources that the identity of each step with requests to endpoints reads, by step."""
    return {step: _access(models, connections) for step, models in asked.items()}


def _access(teachers: Sequence[Mapping[str, Any]], connections: Connections) -> EndpointAccess:
    urls = [teacher["endpoint"] for teacher in teachers if teacher.get("entra_scope") and teacher.get("endpoint")]
    names = dict.fromkeys(str(teacher["connection"]) for teacher in teachers if teacher.get("connection"))
    usable = [connection for name in names if (connection := connections[name][0])]
    targets = [connection.target for connection in usable if connection.authentication == "token"]
    return EndpointAccess(reads_connections=bool(names), token_urls=(*urls, *targets))


def _read_checked(client: "MLClient", name: str) -> tuple[ConnectionProperties | None, CheckResult]:
    """The result names category, authentication and host of the connection, and never its key."""
    checked = f"connection {name!r}"
    fix = "create it for your Foundry resource, with its name instead of RESOURCE and its group instead of GROUP"
    content, problem = look_up(checked, lambda: _read_connection(client, name), fix, _create_command(client, name))
    if problem:
        return None, problem
    properties = read_properties(content)
    facts = f"category {properties.category}, authentication {properties.auth_type}, host {properties.host or 'none'}"
    try:
        _ = properties.url, properties.authentication
    except InputError as error:
        (found,) = error.problems
        command = found.command or _create_command(client, name)
        return None, from_problem(checked, replace(found, message=f"{found.message} ({facts})", command=command))
    return properties, ok(checked, facts)


def _read_connection(client: "MLClient", name: str) -> Any:
    """JSON of a connection, without its secrets. Raises what the SDK raises.

    `client.connections.get` fails on connections that Azure has: with KeyError on one to AI Services without metadata
    ResourceId, as in the examples of "CLI (v2) Azure AI Services connection YAML schema".
    """
    connections: Any = client.connections
    return connections._operation.get(
        client.resource_group_name,
        client.workspace_name,
        name,
        cls=lambda response, _body, _headers: response.http_response.json(),
    )


def _create_command(client: "MLClient", name: str) -> str:
    """Command that writes the YAML of a connection to a Foundry resource and creates it with the resource's key.

    Source: "CLI (v2) Azure AI Services connection YAML schema". Without `ai_services_resource_id` the SDK cannot read
    the connection again.
    """
    account = "providers/Microsoft.CognitiveServices/accounts/RESOURCE"
    lines = (
        "type: azure_ai_services",
        f"endpoint: https://RESOURCE.services.ai.{cloud_of_client(client).endpoints}/",
        f"ai_services_resource_id: /subscriptions/{client.subscription_id}/resourceGroups/GROUP/{account}",
    )
    key = "az cognitiveservices account keys list --name RESOURCE --resource-group GROUP --query key1 --output tsv"
    create = f"az ml connection create --name {shlex.quote(name)} --file connection.yml"
    return (
        f"printf '%s\\n' {' '.join(map(shlex.quote, lines))} > connection.yml && "
        f'{create} --set api_key="$({key})" {workspace_options(client)}'
    )


def _local_key(teacher: Mapping[str, Any]) -> CheckResult:
    message = f"its key is in the variable {teacher['key_variable']} of this machine, which no job in Azure has"
    fix = "put the key into a connection and name that in teacher.connection, or use entra_scope"
    return failed(f"teacher {teacher['model']!r}", "local_key", message, fix)


def check_retired(teachers: Sequence[Mapping[str, Any]], today: date) -> Iterator[CheckResult]:
    """One result for each teacher that Azure has retired by `today`.

    Unknown, not a problem: the catalog has a date, and an endpoint of one's own may serve the model for ever.
    """
    for name in dict.fromkeys(str(teacher["model"]) for teacher in teachers):
        model = built_in().teacher(name)
        if model and model.is_retired(today):
            when = f" on {model.retires}" if model.retires else ""
            message = f"Azure has retired it{when} (as of {built_in().as_of})"
            fix = f"Azure's replacement is {model.replacement}" if model.replacement else "choose another model"
            yield unknown(f"teacher {name!r}", "retired_model", message, fix)


def asked_models(bundle: Path, document: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The models that steps ask, by the step whose compute sends the requests: the scorer by train, all others by
    teacher. The teachers of imported completions are not asked. None in a bundle of another kind."""
    is_imported = document.get("inputs", {}).get("teacher_route") == "completions"
    teachers = [] if is_imported else _read(bundle / TEACHERS_INPUT) or []
    judge, scorer = _read(bundle / JUDGE_INPUT), _read(bundle / SCORER_INPUT)
    return {
        "teacher": [*teachers, *([judge] if judge else [])],
        "train": [scorer["teacher"]] if scorer and scorer["teacher"] else [],
    }


def _read(path: Path) -> Any:
    return read_json(path) if path.is_file() else None
