"""A bundle's components and environments in a registry of Azure ML, which workspaces of several stages share.

A version is the hash of what it is, so the same content is published once and a bundle means the same everywhere.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from azdistill.azure.problems import REGISTRY_MOVES, asking
from azdistill.azure.workspace import hushed
from azdistill.contracts.errors import PipelineError
from azdistill.contracts.manifest import sha256_file
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

PIPELINE, FILE = "pipeline.yml", "file:"
HASH_DIGITS = 12

Kind = Literal["environments", "components"]


@dataclass(frozen=True)
class Shared:
    """A component or an environment of a bundle, as a registry has it. `path` is its file in the bundle."""

    kind: Kind
    name: str
    version: str
    path: Path

    def address(self, registry: str) -> str:
        return f"azureml://registries/{registry}/{self.kind}/{self.name}/versions/{self.version}"


def shared_in(bundle: Path) -> dict[str, Shared]:
    """By the reference of a node (`./components/x/component.yml`) what it runs, and by an environment's folder what
    that runs in."""
    nodes = _read(bundle / PIPELINE)["jobs"].values()
    found: dict[str, Shared] = {}
    for reference in dict.fromkeys(str(node["component"]) for node in nodes):
        path = bundle / reference
        environment = _environment(path)
        found[str(environment.path)] = environment
        name = str(_read(path)["name"])
        found[reference] = Shared("components", name, _version(path.parent, environment.path.parent), path)
    return found


def _environment(component: Path) -> Shared:
    path = (component.parent / str(_read(component)["environment"]).removeprefix(FILE)).resolve()
    return Shared("environments", str(_read(path)["name"]), _version(path.parent), path)


def _version(*folders: Path) -> str:
    told = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            told.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    return told.hexdigest()[:HASH_DIGITS]


def from_registry(bundle: Path, registry: str) -> io.StringIO:
    """The bundle's pipeline with each node's component out of the registry; paths are still those of the bundle."""
    shared, document = shared_in(bundle), _read(bundle / PIPELINE)
    jobs = {
        name: {**node, "component": shared[str(node["component"])].address(registry)}
        for name, node in document["jobs"].items()
    }
    return io.StringIO(to_yaml({**document, "jobs": jobs}))


def publish(client: "MLClient", bundle: Path, registry: str) -> Iterator[tuple[str, bool]]:
    """Put what the bundle runs into the registry that `client` is for. Yields each address, and whether it is new."""
    shared = shared_in(bundle)
    for one in sorted(shared.values(), key=lambda one: one.kind, reverse=True):  # environments come first
        with asking(f"registry {registry!r}, {one.name} {one.version}", REGISTRY_MOVES):
            fresh = not _is_there(client, one)
            if fresh:
                with hushed():
                    getattr(client, one.kind).create_or_update(entity(one, registry, shared))
        yield one.address(registry), fresh


def unpublished(client: "MLClient", bundle: Path) -> list[Shared]:
    """What the bundle runs and the registry that `client` is for has not. Raises what the SDK raises."""
    return [one for one in shared_in(bundle).values() if not _is_there(client, one)]


def entity(one: Shared, registry: str, shared: Mapping[str, Shared]) -> Any:
    """The SDK's own, with its version, and a component with its environment in the registry."""
    from azure.ai.ml import load_component, load_environment

    if one.kind == "environments":
        return load_environment(one.path, params_override=[{"version": one.version}])
    environment = shared[str(_environment(one.path).path)].address(registry)
    return load_component(one.path, params_override=[{"version": one.version}, {"environment": environment}])


def _is_there(client: "MLClient", one: Shared) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        getattr(client, one.kind).get(one.name, one.version)
    except ResourceNotFoundError:
        return False
    return True


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_document(path, PipelineError, "file of a bundle").value
    return found
