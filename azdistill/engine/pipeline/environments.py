"""Read environments: what a command runs in on Azure ML, as the text that reuse depends on."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.documents import Environment
from azdistill.engine.pipeline.reading import Part
from azdistill.engine.yaml_document import read_document


def read_environment(part: Part) -> Environment:
    """The definition of an environment with the files that it names. `azureml:NAME:VERSION` stays a name."""
    if isinstance(part.value, Mapping):
        return _defined(part, part.value, part.document.path.parent, repr(sorted(part.value.items(), key=str)), "")
    text = part.text() or ""
    if text.endswith("@latest"):
        part.warning("it changes when someone registers a newer one; name a version")
    if text.startswith("file:") or (text.endswith((".yml", ".yaml")) and not text.startswith("azureml:")):
        return _environment_file(part, text)
    return Environment(text, name=text)


def _environment_file(part: Part, text: str) -> Environment:
    path = part.document.path.parent / text.removeprefix("file:")
    if not text.startswith("file:"):
        part.error(f"Azure ML takes the path of an environment as 'file:{text}'", "azure")
    try:
        document = read_document(path, PipelineError, "environment file")
    except PipelineError as error:
        part.error(str(error))
        return Environment(text)
    return _defined(part, document.value, path.parent, path.read_text(encoding="utf-8"), path.stem)


def _defined(part: Part, raw: Mapping[str, Any], folder: Path, text: str, name: str) -> Environment:
    """`name` is what it goes by where it has none."""
    inline, build = raw.get("conda_file"), raw.get("build")
    conda = inline if isinstance(inline, Mapping) else _named(part, inline, folder)
    context = _named(part, build.get("path") if isinstance(build, Mapping) else None, folder)
    files = tuple(path for path in (conda, context) if isinstance(path, Path))
    return Environment(text, files, _name(raw) or name, conda, context)


def _named(part: Part, name: object, folder: Path) -> Path | None:
    """A file or folder that the definition names, None when there is none."""
    if not isinstance(name, str):
        return None
    path = folder / name.removeprefix("file:")
    if not path.exists():
        part.error(f"{path}: no such file or folder; the environment names it", value=None)
        return None
    return path


def _name(raw: Mapping[str, Any]) -> str:
    return ":".join(str(raw[key]) for key in ("name", "version") if raw.get("name") and raw.get(key) is not None)
