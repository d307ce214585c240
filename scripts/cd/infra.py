"""Deploy the infrastructure: compile, preview, refuse deletes, deploy, and deploy again to prove idempotence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import InputError
from scripts.cd.az import AzureCli
from scripts.cd.errors import AzFailed, DeletesRefused
from scripts.cd.settings import Target

DELETE, CREATE = "Delete", "Create"
# A managed network with private endpoints and a Foundry deployment take most of an hour at the first time.
DEPLOYMENT_TIMEOUT_S = 5400.0


@dataclass(frozen=True)
class Deployment:
    """A Bicep file with its parameters, deployed to a resource group under one name."""

    template: Path
    parameters: Path
    name: str
    allow_delete: bool = False
    preview_only: bool = False


def deploy_infrastructure(az: AzureCli, target: Target, deployment: Deployment) -> None:
    """Deploy to the resource group. Raises DeletesRefused, and AzFailed where a second deployment changes resources."""
    target.require("group")
    if not deployment.parameters.is_file():
        raise InputError("no such file", file=deployment.parameters, fix="give a .bicepparam file")
    compile_files(az, deployment.template)
    changes = preview(az, target, deployment)
    for change in changes:
        az.report(f"{change.get('changeType', ''):<12} {change.get('resourceId', '')}")
    deletes = resources(changes, DELETE)
    if deletes and not deployment.allow_delete:
        raise DeletesRefused(
            f"it would delete {', '.join(deletes)}",
            subject=f"deployment to {target.group!r}",
            fix="keep these resources in the template, or allow it with --allow-delete",
        )
    if deployment.preview_only:
        return
    for attempt in ("deployed", "deployed again"):
        az("deployment", "group", "create", *_options(target, deployment), timeout_s=DEPLOYMENT_TIMEOUT_S)
        az.report(f"{deployment.parameters.name}: {attempt}")
    remaining = preview(az, target, deployment)
    if changed := [*resources(remaining, CREATE), *resources(remaining, DELETE)]:
        raise AzFailed(
            f"a further deployment would create or delete {', '.join(changed)}",
            subject=f"deployment to {target.group!r}",
            fix="name each resource by its inputs only",
        )
    az.report("idempotent: a further deployment creates and deletes nothing")


def compile_files(az: AzureCli, template: Path) -> None:
    """Compile a template, and all templates and parameter files next to it.

    No preview reads those of other environments and those that are deployed by hand.
    """
    for path in sorted({template, *template.parent.glob("*.bicep")}):
        az("bicep", "build", "--file", str(path), "--stdout", timeout_s=DEPLOYMENT_TIMEOUT_S)
    for path in sorted(template.parent.glob("*.bicepparam")):
        az("bicep", "build-params", "--file", str(path), "--stdout", timeout_s=DEPLOYMENT_TIMEOUT_S)


def preview(az: AzureCli, target: Target, deployment: Deployment) -> Sequence[Mapping[str, Any]]:
    """The changes that Azure predicts, each with a `changeType` and a `resourceId`."""
    formats = ("--result-format", "ResourceIdOnly", "--no-pretty-print")
    options = _options(target, deployment)
    reply = az("deployment", "group", "what-if", *options, *formats, assume={}, timeout_s=DEPLOYMENT_TIMEOUT_S)
    changes: Sequence[Mapping[str, Any]] = (reply or {}).get("changes") or []
    return changes


def resources(changes: Sequence[Mapping[str, Any]], change_type: str) -> list[str]:
    """Ids of the resources with a type of change."""
    return [str(change["resourceId"]) for change in changes if change.get("changeType") == change_type]


def _options(target: Target, deployment: Deployment) -> tuple[str, ...]:
    return (*target.group_options, "--name", deployment.name, "--parameters", str(deployment.parameters))
