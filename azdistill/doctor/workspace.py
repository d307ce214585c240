"""The workspace: which one, who is signed in, what is there, and the roles that nobody can see from here."""

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.access import (
    SECRETS_READER,
    SECRETS_READER_ID,
    caller_of,
    grant_job,
    in_subscription,
    workspace_scope,
)
from azdistill.azure.checks.check import Check
from azdistill.azure.checks.computes import SERVERLESS
from azdistill.azure.checks.order import check_bundle, check_workspace
from azdistill.azure.problems import asking
from azdistill.azure.workspace import FIELDS, WorkspaceAddress, find_address
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.doctor.found import from_error
from azdistill.job.bundle import compile_job

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.job.model import DistillationJob

NOWHERE = "nowhere"
CI_VARIABLES = ("CI", "GITHUB_ACTIONS", "TF_BUILD")
SIGN_IN_VARIABLES = ("AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID")

Opener = Callable[[], "MLClient"]


def check_azure(config: Path | None, open_client: Opener, job: "DistillationJob | None") -> Iterator[Check]:
    """The workspace of `config`, and what `job` needs of it, up to a finding behind which there is nothing to see."""
    try:
        client = open_client()
    except InputError as problem:
        yield from_error("workspace", problem, "unknown" if _none_is_named(config) else "wrong")
        return
    address = WorkspaceAddress(client.subscription_id, client.resource_group_name, client.workspace_name or "")
    yield Check("config.json", "ok", str(address))
    signed_in = _login(client, os.environ)
    yield signed_in
    if signed_in.state == "ok":
        yield from _inside(client, job)


def _none_is_named(config: Path | None) -> bool:
    """Whether there is no config.json, so that the variables of a job would count: no mistake, but no workspace."""
    try:
        return find_address(config, environ=dict.fromkeys(FIELDS.values(), NOWHERE)).workspace_name == NOWHERE
    except InputError:
        return False


def _inside(client: "MLClient", job: "DistillationJob | None") -> Iterator[Check]:
    found = list(check_workspace(client) if job is None else _for_job(client, job))
    yield from found
    reads_connections = job is None or any(teacher.connection for teacher in job.teacher.teachers)
    if found[0].state == "ok" and reads_connections:
        yield _secrets_role(client, job.compute.cpu if job else SERVERLESS)


def _for_job(client: "MLClient", job: "DistillationJob") -> Iterator[Check]:
    with tempfile.TemporaryDirectory() as folder:
        yield from check_bundle(client, compile_job(job, Path(folder, job.name)).parent)


def _login(client: "MLClient", environ: Mapping[str, str]) -> Check:
    from azure.core.exceptions import ClientAuthenticationError

    try:
        with asking("login"):
            try:
                return Check("login", "ok", str(caller_of(client)))
            except ClientAuthenticationError as problem:
                return Check("login", "wrong", _no_token(str(problem)), *_sign_in(client, environ))
    except AzdistillError as problem:
        return from_error("login", problem)


def _no_token(told: str) -> str:
    """Entra's refusals have a code; where none is told, nobody asked it."""
    code = re.search(r"AADSTS\d+", told)
    return f"Entra refuses it ({code[0]}), so it has expired or is not enough" if code else "nobody is signed in"


def _sign_in(client: "MLClient", environ: Mapping[str, str]) -> tuple[str, str]:
    """Move and command."""
    if given := [name for name in SIGN_IN_VARIABLES if environ.get(name)]:
        return "correct what counts before az login, or leave it out", f"unset {' '.join(given)}"
    if any(environ.get(name) for name in CI_VARIABLES):
        return "in CI have azure/login go before, with permissions id-token: write; by hand", "az login"
    return "sign in", f"az login && az account set {in_subscription(client)}"


def _secrets_role(client: "MLClient", compute: str) -> Check:
    """Of the step that asks the teacher: serverless has the workspace's identity, a cluster its own."""
    cluster = None if compute == SERVERLESS else compute
    whose = f"compute {cluster!r}" if cluster else "the workspace"
    told = f"whether the identity of {whose} may read connections can't be seen from here"
    command = grant_job(client, SECRETS_READER_ID, workspace_scope(client), cluster)
    return Check("role of jobs", "unknown", told, f"it needs '{SECRETS_READER}'", command)
