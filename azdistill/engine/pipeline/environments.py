"""Read the environments of commands: their definition is part of what reuse depends on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.client_fields import check_environment, check_environment_name
from azdistill.engine.pipeline.model import Environment
from azdistill.engine.pipeline.yaml_node import YamlNode, read_azure_document


def read_environment(node: YamlNode) -> Environment:
    """The definition of an environment and the files it names. `azureml:NAME:VERSION` is a name only."""
    if isinstance(node.value, Mapping):
        check_environment(node)
        definition = repr(sorted(node.value.items(), key=str))
        return _defined(node, node.value, node.document.path.parent, definition, "")
    text = node.text() or ""
    if text.endswith("@latest"):
        warn_unpinned(node)
    if text.startswith("file:") or (text.endswith((".yml", ".yaml")) and not text.startswith("azureml:")):
        return _environment_file(node, text)
    if text:
        check_environment_name(node)
    return Environment(text, name=text)


def warn_unpinned(node: YamlNode) -> None:
    """Warn about an address without a version, such as `azureml:NAME@latest`."""
    node.warning("unpinned_version", "changes whenever someone registers a new version", "name a version")


def _environment_file(node: YamlNode, text: str) -> Environment:
    path = node.document.path.parent / text.removeprefix("file:")
    if not text.startswith("file:"):
        message = "Azure ML requires `file:` before the path of an environment"
        node.error("wrong_format", message, f"write 'file:{text}'", scope="azure")
    try:
        document = read_azure_document(path, "environment file")
    except PipelineError as error:
        node.error(error.problems[0].code, error.problems[0].unattributed)
        return Environment(text)
    check_environment(YamlNode(document, node.problems))
    return _defined(node, document.value, path.parent, path.read_text(encoding="utf-8"), path.stem)


def _defined(node: YamlNode, fields: Mapping[str, Any], folder: Path, text: str, default_name: str) -> Environment:
    conda_file, build = fields.get("conda_file"), fields.get("build")
    conda = conda_file if isinstance(conda_file, Mapping) else _existing(node, conda_file, folder)
    context = _existing(node, build.get("path") if isinstance(build, Mapping) else None, folder)
    files = tuple(path for path in (conda, context) if isinstance(path, Path))
    keys = [key for key in ("name", "version") if fields.get("name") and fields.get(key) is not None]
    name = ":".join(str(fields[key]) for key in keys)
    return Environment(text, files, name or default_name, conda, context)


def _existing(node: YamlNode, name: object, folder: Path) -> Path | None:
    """A file or folder that the definition names, None where it names none or it does not exist."""
    if not isinstance(name, str):
        return None
    path = folder / name.removeprefix("file:")
    if not os.path.exists(path):
        node.error("missing_file", f"the environment names {path}, which does not exist", value=None)
        return None
    return path
