"""Read endpoint and key of a teacher from a connection of the Azure ML workspace."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from azdistill.azure_rest.connections import ConnectionProperties, read_properties
from azdistill.azure_rest.identity import Credential, HoldsSecret
from azdistill.azure_rest.workspace import Workspace
from azdistill.contracts.errors import InputError

ROLE = "Azure Machine Learning Workspace Connection Secrets Reader"

# Error message and fix for each HTTP status.
ERRORS = {
    401: ("Azure rejected the identity of this job", "run the job in the tenant of the workspace"),
    403: ("the identity of this job may not read it", f"give it the role {ROLE!r} on the workspace"),
    404: ("the workspace has no such connection", "`az ml connection list` shows its connections"),
}
OTHER_ERROR = ("Azure could not return it", "run again, and check the workspace if the error stays")


@dataclass(frozen=True)
class Connection(HoldsSecret):
    """URL of chat completions and authentication of a workspace connection: a key, an Entra token, or none."""

    url: str
    key: str | None = field(repr=False)
    needs_token: bool = False


def read_connection(
    name: str, environ: Mapping[str, str], credential: Credential, management: str | None = None
) -> Connection:
    """Read connection `name`. `management` replaces the address of the job's cloud, for tests.

    Raises InputError: no identity, no role, no such connection, no chat completions, not exactly one key.
    """
    workspace = Workspace(environ, credential, management)
    subject = f"connection {name!r} of workspace {workspace.name!r}"
    response = workspace.request("POST", f"connections/{name}/listsecrets", subject)
    if response.status != 200:
        message, fix = ERRORS.get(response.status, OTHER_ERROR)
        raise InputError(f"{message} (HTTP {response.status})", code="no_connection", subject=subject, fix=fix)
    try:
        return usable_connection(read_properties(response.content))
    except InputError as error:
        raise InputError(problems=[replace(problem, subject=subject) for problem in error.problems]) from None


def usable_connection(properties: ConnectionProperties) -> Connection:
    """URL and authentication of a connection. Raises InputError for one that a teacher cannot use."""
    url, authentication = properties.url, properties.authentication
    if authentication != "key":
        return Connection(url, None, needs_token=authentication == "token")
    if len(properties.keys) != 1:
        raise InputError(
            f"it has {len(properties.keys) or 'no'} keys, but a teacher needs one",
            code="invalid_connection",
            fix="create it again with one api_key",
        )
    return Connection(url, properties.keys[0])
