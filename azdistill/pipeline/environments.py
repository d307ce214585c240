"""Read environments: what a command runs in on Azure ML, as the text that reuse depends on."""

from collections.abc import Mapping
from pathlib import Path

from azdistill.document import Unreadable, parse_document
from azdistill.pipeline.documents import Environment
from azdistill.pipeline.reading import Part


def read_environment(part: Part) -> Environment:
    """The definition of an environment with the files that it names. `azureml:NAME:VERSION` stays a name."""
    if isinstance(part.value, Mapping):
        return Environment(
            repr(sorted(part.value.items(), key=str)), _files(part, part.value, part.document.path.parent)
        )
    text = part.text() or ""
    if text.endswith("@latest"):
        part.warning("it changes when someone registers a newer one; name a version")
    if text.startswith("file:") or (text.endswith((".yml", ".yaml")) and not text.startswith("azureml:")):
        return _environment_file(part, text)
    return Environment(text)


def _environment_file(part: Part, text: str) -> Environment:
    path = part.document.path.parent / text.removeprefix("file:")
    if not text.startswith("file:"):
        part.error(f"Azure ML takes the path of an environment as 'file:{text}'", "azure")
    try:
        document = parse_document(path, "definition of an environment")
    except Unreadable as problem:
        part.error(f"{path}: {problem}")
        return Environment(text)
    return Environment(path.read_text(encoding="utf-8"), _files(part, document.value, path.parent))


def _files(part: Part, raw: Mapping[str, object], folder: Path) -> tuple[Path, ...]:
    """The conda file and the build context that a definition names."""
    build = raw.get("build")
    named = [raw.get("conda_file"), build.get("path") if isinstance(build, Mapping) else None]
    paths = [folder / name.removeprefix("file:") for name in named if isinstance(name, str)]
    for path in paths:
        if not path.exists():
            part.error(f"{path}: no such file or folder; the environment names it", value=None)
    return tuple(path for path in paths if path.exists())
