"""Check that the workspace opens."""

import shlex
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.result import CheckResult, failed, from_problem, ok
from azdistill.azure.errors import translate_errors
from azdistill.azure.roles import (
    DATA_SCIENTIST,
    WORKSPACE_TYPE,
    assign_role_to_user,
    required_tenant,
    subscription_option,
    workspace_id,
)
from azdistill.contracts.errors import AzdistillError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.core.exceptions import HttpResponseError

CHECKED = "workspace"


def open_workspace(client: "MLClient") -> tuple[Any, CheckResult]:
    """The workspace, None where it does not open, and the result of the check."""
    from azure.core.exceptions import HttpResponseError

    try:
        with translate_errors(CHECKED):
            try:
                workspace = client.workspaces.get(client.workspace_name)
            except HttpResponseError as error:
                if result := _refused(client, error):
                    return None, result
                raise
    except AzdistillError as error:
        return None, from_problem(CHECKED, error.problems[0])
    return workspace, ok(CHECKED, f"{workspace.name} in {workspace.location}")


def _refused(client: "MLClient", error: "HttpResponseError") -> CheckResult | None:
    """The result for a refusal that has a specific fix, None for any other one."""
    if error.status_code == 401:
        tenant = required_tenant(error)
        login = f"az login --tenant {tenant}" if tenant else "az login"
        message = f"the login is refused for subscription {client.subscription_id} (HTTP 401)"
        command = f"{login} && az account set {subscription_option(client)}"
        return failed(CHECKED, "not_signed_in", message, "sign in to its tenant", command)
    if error.status_code == 403:
        message = f"you may not read {client.workspace_name!r} (HTTP 403)"
        command = assign_role_to_user(client, DATA_SCIENTIST, shlex.quote(workspace_id(client)))
        return failed(CHECKED, "forbidden", message, f"ask its owner for the role '{DATA_SCIENTIST.name}'", command)
    if error.status_code == 404:
        group = client.resource_group_name
        message = f"no {client.workspace_name!r} in resource group {group!r} (HTTP 404)"
        command = f"az resource list --resource-type {WORKSPACE_TYPE} {subscription_option(client)} --output table"
        return failed(CHECKED, "not_found", message, "compare config.json with your workspaces", command)
    return None
