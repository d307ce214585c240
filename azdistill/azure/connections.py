"""Read a workspace connection with its key, for a process on this machine."""

from typing import TYPE_CHECKING, Any

from azdistill.azure.errors import WORKSPACE_FIXES, Fixes, translate_errors
from azdistill.azure.roles import SECRETS_READER, workspace_options
from azdistill.azure_rest.connections import ConnectionProperties, read_properties

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def read_connection(client: "MLClient", name: str) -> ConnectionProperties:
    """Properties of a connection, its key included. Raises InputError for one that does not exist or is not readable.

    The public `connections.get` fails on connections that Azure has: see `azdistill.azure.checks.teachers`.
    """
    connections: Any = client.connections
    with translate_errors(f"connection {name!r}", _fixes(client)):
        content = connections._operation.list_secrets(
            client.resource_group_name,
            client.workspace_name,
            name,
            cls=lambda response, _body, _headers: response.http_response.json(),
        )
    return read_properties(content)


def _fixes(client: "MLClient") -> Fixes:
    return {
        **WORKSPACE_FIXES,
        403: {
            "code": "forbidden",
            "fix": f"ask an owner for the role '{SECRETS_READER.name}' on the workspace",
        },
        404: {
            "code": "no_connection",
            "fix": "list the connections of the workspace",
            "command": f"az ml connection list {workspace_options(client)}",
        },
    }
