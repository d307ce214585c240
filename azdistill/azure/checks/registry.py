"""A registry: whether it opens, and whether it has what a bundle runs."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure.checks.check import Check, looked_up
from azdistill.azure.registry import unpublished
from azdistill.azure.workspace import beside

if TYPE_CHECKING:
    from azure.ai.ml import MLClient


def check_published(client: "MLClient", bundle: Path, registry: str) -> Check:
    what = f"registry {registry!r}"
    opened, problem = open_registry(client, what, registry)
    if problem:
        return problem
    lacking, problem = looked_up(what, lambda: unpublished(opened, bundle))
    if problem or not lacking:
        return problem or Check(what, "ok", "it has all that the bundle runs")
    told = f"it has no {', '.join(f'{one.name} {one.version}' for one in lacking)}"
    command = f"azdistill publish {shlex.quote(str(bundle))} --registry {shlex.quote(registry)}"
    return Check(what, "wrong", told, "put it there", command)


def open_registry(client: "MLClient", what: str, registry: str) -> tuple[Any, Check | None]:
    """A client for a registry, or the finding that there is none."""
    missing = "correct its name by those that there are", "az ml registry list"
    return looked_up(what, lambda: beside(client, registry), *missing, told=f"there is no registry {registry!r}")
