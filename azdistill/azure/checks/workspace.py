"""Whether the workspace opens, and what opens one that doesn't."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from azdistill.azure.access import SCIENTIST, WORKSPACES, grant_caller, in_subscription, wanted_tenant, workspace_scope
from azdistill.azure.checks.check import Check
from azdistill.azure.problems import asking
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

Barred = tuple[str, str, str]
"""Detail, move and command of a workspace that doesn't open."""


def open_workspace(client: "MLClient") -> tuple[Any, Check]:
    """The workspace, or None, and what is to be said of it."""
    from azure.core.exceptions import HttpResponseError

    what = f"workspace {client.workspace_name!r}"
    try:
        with asking(what):
            try:
                found = client.workspaces.get(client.workspace_name)
            except HttpResponseError as problem:
                if problem.status_code not in BARRED:
                    raise
                return None, Check("workspace", "wrong", *BARRED[problem.status_code](client, problem))
    except AzdistillError as problem:
        return None, Check("workspace", "wrong", str(problem).removeprefix(f"{what}: "))
    return found, Check("workspace", "ok", f"{found.name} in {found.location}")


def _other_tenant(client: "MLClient", problem: "HttpResponseError") -> Barred:
    tenant = wanted_tenant(problem)
    login = f"az login --tenant {tenant}" if tenant else "az login"
    told = f"the login is refused for subscription {client.subscription_id} (HTTP 401)"
    return told, "sign in to its tenant", f"{login} && az account set {in_subscription(client)}"


def _no_role(client: "MLClient", _problem: "HttpResponseError") -> Barred:
    told = f"you may not read {client.workspace_name!r} (HTTP 403)"
    command = grant_caller(client, SCIENTIST, workspace_scope(client))
    return told, f"have its owner give you the role '{SCIENTIST}'", command


def _not_there(client: "MLClient", _problem: "HttpResponseError") -> Barred:
    told = f"no {client.workspace_name!r} in resource group {client.resource_group_name!r} (HTTP 404)"
    command = f"az resource list --resource-type {WORKSPACES} {in_subscription(client)} --output table"
    return told, "check config.json against those that there are", command


BARRED: Mapping[int | None, Callable[["MLClient", "HttpResponseError"], Barred]] = {
    401: _other_tenant,
    403: _no_role,
    404: _not_there,
}
"""By status of a workspace that doesn't open."""
