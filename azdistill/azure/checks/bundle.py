"""All checks of a bundle against a workspace."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.checks.assets import check_assets, check_published
from azdistill.azure.checks.computes import check_computes
from azdistill.azure.checks.environments import check_environments
from azdistill.azure.checks.result import CheckResult
from azdistill.azure.checks.storage import check_writing
from azdistill.azure.checks.teachers import check_connections, check_retired
from azdistill.azure.checks.workspace import open_workspace
from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_workspace(client: "MLClient") -> Iterator[CheckResult]:
    """The workspace, and the right to write blobs. A workspace that does not open is the only result."""
    workspace, result = open_workspace(client)
    yield result
    if workspace is not None:
        yield check_writing(client, workspace)


def check_bundle(
    client: "MLClient", bundle: Path, registry: str | None = None, today: date | None = None
) -> Iterator[CheckResult]:
    """Everything that a bundle needs: workspace, computes and quota, connections and teachers, data and models,
    environments, published components of `registry`, and the right to write blobs.

    A workspace that does not open is the only result. Teachers that are retired by `today` are reported; give no day
    where the job file has been checked for them already.
    """
    document = read_document(bundle / PIPELINE_FILE, InputError, "pipeline").value
    workspace, result = open_workspace(client)
    yield result
    if workspace is None:
        return
    yield from check_computes(client, document, workspace.location)
    yield from check_connections(client, bundle)
    if today is not None:
        yield from check_retired(bundle, today)
    yield from check_assets(client, document)
    yield from check_environments(bundle, document)
    if registry is not None:
        yield check_published(client, bundle, registry)
    yield check_writing(client, workspace)


def stop_at_problems(results: Iterable[CheckResult]) -> list[CheckResult]:
    """The results, when none is a problem. Raises InputError with all problems."""
    results = list(results)
    problems = [result.problem for result in results if result.status == "problem" and result.problem]
    if problems:
        raise InputError(problems=problems)
    return results
