"""Publish the components and environments of a bundle in an Azure ML registry, which several workspaces share.

An asset's version is a hash of its content: the same content is published once, and a bundle has the same meaning in
every workspace.
"""

import hashlib
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from azdistill.azure.errors import REGISTRY_FIXES, translate_errors
from azdistill.contracts.errors import PipelineError
from azdistill.contracts.layout import PIPELINE_FILE
from azdistill.contracts.manifest import sha256_file
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.engine.yaml_document import read_document

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

# Prefix of a path in a component's field `environment`.
FILE = "file:"
HASH_DIGITS = 12

Kind = Literal["environments", "components"]


@dataclass(frozen=True)
class RegistryAsset:
    """A component or environment of a bundle, with its version in a registry. `path` is its file in the bundle."""

    kind: Kind
    name: str
    version: str
    path: Path

    def address(self, registry: str) -> str:
        return f"azureml://registries/{registry}/{self.kind}/{self.name}/versions/{self.version}"


def bundle_assets(bundle: Path) -> dict[str, RegistryAsset]:
    """Components by their path in the pipeline (`./components/x/component.yml`), environments by their file's path."""
    nodes = _read_yaml(bundle / PIPELINE_FILE)["jobs"].values()
    assets: dict[str, RegistryAsset] = {}
    for reference in dict.fromkeys(str(node["component"]) for node in nodes):
        path = bundle / reference
        environment = _environment(path)
        name, version = str(_read_yaml(path)["name"]), _content_hash(path.parent, environment.path.parent)
        assets[str(environment.path)] = environment
        assets[reference] = RegistryAsset("components", name, version, path)
    return assets


def _environment(component: Path) -> RegistryAsset:
    path = (component.parent / str(_read_yaml(component)["environment"]).removeprefix(FILE)).resolve()
    return RegistryAsset("environments", str(_read_yaml(path)["name"]), _content_hash(path.parent), path)


def _content_hash(*folders: Path) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            digest.update(f"{path.relative_to(folder).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()[:HASH_DIGITS]


def pipeline_from_registry(bundle: Path, registry: str) -> io.StringIO:
    """The bundle's pipeline file with the components of the registry. Other paths still point into the bundle."""
    assets, document = bundle_assets(bundle), _read_yaml(bundle / PIPELINE_FILE)
    jobs = {
        name: {**node, "component": assets[str(node["component"])].address(registry)}
        for name, node in document["jobs"].items()
    }
    return io.StringIO(to_yaml({**document, "jobs": jobs}))


def publish(client: "MLClient", bundle: Path, registry: str) -> Iterator[tuple[str, bool]]:
    """Publish what the registry of `client` lacks. Yields the address of each asset, and whether it is new."""
    assets = bundle_assets(bundle)
    for asset in sorted(assets.values(), key=lambda asset: asset.kind, reverse=True):  # environments before components
        with translate_errors(f"registry {registry!r}, {asset.name} {asset.version}", REGISTRY_FIXES):
            is_new = not _is_published(client, asset)
            if is_new:
                getattr(client, asset.kind).create_or_update(sdk_entity(asset, registry, assets))
        yield asset.address(registry), is_new


def missing_assets(client: "MLClient", bundle: Path) -> list[RegistryAsset]:
    """Components and environments of the bundle that the registry of `client` lacks. Raises what the SDK raises."""
    return [asset for asset in bundle_assets(bundle).values() if not _is_published(client, asset)]


def sdk_entity(asset: RegistryAsset, registry: str, assets: Mapping[str, RegistryAsset]) -> Any:
    """The SDK's object of an asset: with its version, and for a component with the environment in the registry."""
    from azure.ai.ml import load_component, load_environment

    if asset.kind == "environments":
        return load_environment(asset.path, params_override=[{"version": asset.version}])
    environment = assets[str(_environment(asset.path).path)].address(registry)
    return load_component(asset.path, params_override=[{"version": asset.version}, {"environment": environment}])


def _is_published(client: "MLClient", asset: RegistryAsset) -> bool:
    from azure.core.exceptions import ResourceNotFoundError

    try:
        getattr(client, asset.kind).get(asset.name, asset.version)
    except ResourceNotFoundError:
        return False
    return True


def _read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = read_document(path, PipelineError, "file of a bundle").value
    return content
