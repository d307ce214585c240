"""Check the workspace: its address, the signed-in user and what a job needs."""

import configparser
import contextlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.checks.bundle import check_bundle, check_workspace
from azdistill.azure.checks.deployment import check_deployment
from azdistill.azure.checks.result import CheckResult, failed, from_problem, ok
from azdistill.azure.errors import translate_errors
from azdistill.azure.roles import signed_in_user, subscription_option
from azdistill.azure.workspace import WorkspaceAddress, cloud_of_client
from azdistill.azure_rest.cloud import CLOUD_VARIABLE
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.job.bundle import compile_job

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob

CI_VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD")
# Variables of a service principal, which DefaultAzureCredential uses before the login of `az`.
SIGN_IN_VARIABLES = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID")

ClientFactory = Callable[[], "MLClient"]


def check_azure(
    config: Path | None, open_client: ClientFactory, job: "DistillationJob | None"
) -> Iterator[CheckResult]:
    """The workspace of `config` and what `job` needs of it, up to a result without which the next ones make no sense.

    Without any config.json the workspace is unknown: the job may run on this machine.
    """
    try:
        client = open_client()
    except InputError as error:
        for problem in error.problems:
            yield from_problem("workspace", problem, "unknown" if problem.code == "no_workspace" else "problem")
        return
    address = WorkspaceAddress(client.subscription_id, client.resource_group_name, client.workspace_name or "")
    yield ok("config.json", str(address))
    login = _check_login(client, os.environ)
    yield login
    if login.status == "ok":
        yield from _check_as_user(client, job)


def _check_as_user(client: "MLClient", job: "DistillationJob | None") -> Iterator[CheckResult]:
    yield from check_workspace(client) if job is None else _check_job(client, job)


def _check_job(client: "MLClient", job: "DistillationJob") -> Iterator[CheckResult]:
    with tempfile.TemporaryDirectory() as folder:
        yield from check_bundle(client, compile_job(job, Path(folder, job.name)).parent)
    yield from check_deployment(client, job)


def _check_login(client: "MLClient", environ: Mapping[str, str]) -> CheckResult:
    from azure.core.exceptions import ClientAuthenticationError

    try:
        with translate_errors("login"):
            try:
                return ok("login", str(signed_in_user(client)))
            except ClientAuthenticationError as error:
                fix, command = _how_to_sign_in(client, environ)
                return failed("login", "not_signed_in", _sign_in_error(str(error)), fix, command)
    except AzdistillError as error:
        return from_problem("login", error.problems[0])


def _sign_in_error(message: str) -> str:
    """Refusals by Entra have a code. Without one, no request was sent to Entra."""
    code = re.search(r"AADSTS\d+", message)
    return f"Entra rejects the login ({code[0]}): it has expired or lacks a right" if code else "not signed in"


def _how_to_sign_in(client: "MLClient", environ: Mapping[str, str]) -> tuple[str, str]:
    """Fix and command."""
    if variables := [name for name in SIGN_IN_VARIABLES if environ.get(name)]:
        return "correct these variables, which are used before the login of az, or unset them", (
            f"unset {' '.join(variables)}"
        )
    if (cloud := _cloud_of_az(environ)) not in ("", cloud_of_client(client).name):
        sdk_cloud = cloud_of_client(client).name
        fix = f"the Azure CLI is set to {cloud}, and Azure's SDK to {sdk_cloud}: set the SDK's cloud, too"
        return fix, f"export {CLOUD_VARIABLE}={cloud}"
    if any(environ.get(name) for name in CI_VARIABLES):
        return "in CI run the action azure/login first, with permissions id-token: write; otherwise", "az login"
    return "sign in", f"az login && az account set {subscription_option(client)}"


def _cloud_of_az(environ: Mapping[str, str]) -> str:
    """The cloud that `az cloud set` wrote, empty without one. Source: configuration options of the Azure CLI."""
    config = configparser.ConfigParser()
    with contextlib.suppress(configparser.Error, OSError, UnicodeDecodeError):
        config.read(Path(environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure", "config"), encoding="utf-8")
    return config.get("cloud", "name", fallback="")
