"""All checks of a bundle against a workspace."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.checks.assets import check_assets, check_published
from azdistill.azure.checks.computes import check_computes, read_clusters, vm_sizes
from azdistill.azure.checks.environments import check_environments
from azdistill.azure.checks.identity import check_identities, check_serverless_identity
from azdistill.azure.checks.nodes import compute_nodes
from azdistill.azure.checks.result import CheckResult, from_problem
from azdistill.azure.checks.roles import check_registry, check_roles, required_roles
from azdistill.azure.checks.storage import check_writing, open_datastore, open_named_datastore
from azdistill.azure.checks.teachers import (
    asked_models,
    check_connections,
    check_retired,
    endpoint_accesses,
    read_connections,
)
from azdistill.azure.checks.workspace import open_workspace
from azdistill.azure.identities import JobIdentity
from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.engine.yaml_document import read_document
from azdistill.job.memory import training_of_pipeline

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_workspace(client: "MLClient") -> Iterator[CheckResult]:
    """The workspace, its identity on serverless compute, which only some jobs need, and the right to write blobs.

    A workspace that does not open is the only result.
    """
    workspace, result = open_workspace(client)
    yield result
    if workspace is not None:
        _, identity = check_serverless_identity(client, workspace, JobIdentity())
        yield from_problem(identity.checked, identity.problem, "unknown") if identity.problem else identity
        datastore, problem = open_datastore(client)
        yield problem or check_writing(client, workspace, datastore)


def check_bundle(
    client: "MLClient", bundle: Path, registry: str | None = None, today: date | None = None
) -> Iterator[CheckResult]:
    """Everything that a bundle needs: workspace, computes and quota, identities and their roles, connections and
    teachers, data and models, environments, published components of `registry`, and the right to write blobs.

    A workspace that does not open is the only result. Teachers that are retired by `today` are reported; give no day
    where the job file has been checked for them already.
    """
    document = read_document(bundle / PIPELINE_FILE, InputError, "pipeline").value
    workspace, result = open_workspace(client)
    yield result
    if workspace is None:
        return
    datastore, no_datastore = open_datastore(client)
    named, no_named = open_named_datastore(client, document)
    if no_named:
        yield no_named
    nodes, asked = compute_nodes(document), asked_models(bundle, document)
    teachers = [model for models in asked.values() for model in models]
    clusters, connections = read_clusters(client, nodes), read_connections(client, teachers)
    yield from check_computes(client, nodes, clusters, workspace.location, training_of_pipeline(document))
    identities = list(check_identities(client, workspace, nodes, clusters))
    yield from (result for _, result in identities)
    principals = [known for known, _ in identities if known]
    accesses = endpoint_accesses(asked, connections)
    assets = list(check_assets(client, document))
    sources = [source for source, _ in assets if source]
    required = required_roles(client, workspace, [datastore, named], principals, accesses, sources)
    yield from check_registry(workspace)
    yield from check_roles(client, required)
    yield from check_connections(teachers, connections)
    if today is not None:
        yield from check_retired(teachers, today)
    yield from (result for _, result in assets)
    yield from check_environments(bundle, vm_sizes(nodes, clusters))
    if registry is not None:
        yield check_published(client, bundle, registry)
    yield no_datastore or check_writing(client, workspace, datastore)


def stop_at_problems(results: Iterable[CheckResult]) -> list[CheckResult]:
    """The results, when none is a problem. Raises InputError with all problems."""
    results = list(results)
    problems = [result.problem for result in results if result.status == "problem" and result.problem]
    if problems:
        raise InputError(problems=problems)
    return results
