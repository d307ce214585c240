"""What can be known of a bundle's way through a workspace before it is submitted, one after the other."""

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.azure.checks.assets import check_assets
from azdistill.azure.checks.check import Check
from azdistill.azure.checks.computes import check_computes
from azdistill.azure.checks.environments import check_environments
from azdistill.azure.checks.registry import check_published
from azdistill.azure.checks.storage import check_writing
from azdistill.azure.checks.teachers import check_connections, check_retired
from azdistill.azure.checks.workspace import open_workspace
from azdistill.contracts.errors import InputError
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_workspace(client: "MLClient") -> Iterator[Check]:
    """The workspace, and the right to write blobs. A workspace that can't be reached is the only finding."""
    workspace, found = open_workspace(client)
    yield found
    if workspace is not None:
        yield check_writing(client, workspace)


def check_bundle(
    client: "MLClient", bundle: Path, registry: str | None = None, today: date | None = None
) -> Iterator[Check]:
    """Workspace, computes and quota, connections and teachers, data and models, environments, what the bundle runs out
    of a `registry`, and the right to write blobs, in the order in which one needs the other. A workspace that can't be
    reached is the only finding. Teachers that are retired by `today` are told; without a day none are, for whoever has
    told them by their line in the job file."""
    document = read_document(bundle / "pipeline.yml", InputError, "pipeline").value
    workspace, found = open_workspace(client)
    yield found
    if workspace is None:
        return
    yield from check_computes(client, document, workspace.location)
    yield from check_connections(client, bundle)
    if today is not None:
        yield from check_retired(bundle, today)
    yield from check_assets(client, document)
    yield from check_environments(bundle)
    if registry is not None:
        yield check_published(client, bundle, registry)
    yield check_writing(client, workspace)


def stop_at_wrong(found: Iterable[Check]) -> list[Check]:
    """The checks, when none is wrong. Raises InputError, one line a finding."""
    checks = list(found)
    if wrong := [check for check in checks if check.state == "wrong"]:
        raise InputError("\n".join(map(str, wrong)))
    return checks
