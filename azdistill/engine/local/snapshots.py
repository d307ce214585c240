"""The code snapshot of a component: the files that Azure ML would upload."""

import shutil
from collections.abc import Container, Iterator, Mapping
from pathlib import Path

from pathspec import GitIgnoreSpec

from azdistill.engine.errors import PipelineError
from azdistill.engine.local.hashing import files_under
from azdistill.engine.local.storage import own_folder, remove
from azdistill.engine.pipeline.model import Component

# Folders in the working folder of a command that exist from its start.
ARTIFACTS = ("outputs", "logs")

# Azure ML uploads a larger snapshot with every change of a file.
MAX_BYTES, MAX_FILES = 100_000_000, 2_000

_IGNORE_FILES = (".amlignore", ".gitignore")


def snapshot(component: Component, own: Container[Path] = ()) -> dict[str, Path]:
    """Name in the snapshot -> file, of `code` and `additional_includes`, without ignored files.

    The ignore file is that of the code folder, or the one next to the component file when there is no `code`.
    `.amlignore` takes precedence over `.gitignore`. Python's bytecode caches, run folders and those of `own`, which are
    absolute, are never included.
    """
    root = component.code if component.code is not None else component.folder
    files = dict(_files(component.code, "", own)) if component.code is not None else {}
    for include in component.includes:
        files |= dict(_files(include.resolve(), include.resolve().name, own))
    ignored = _ignored(root if root.is_dir() else root.parent) if files else GitIgnoreSpec([])
    return {name: path for name, path in sorted(files.items()) if not ignored.match_file(name)}


def large_snapshot(files: Mapping[str, Path]) -> str:
    """A sentence about a snapshot that takes long to upload, with its largest file; empty for any other."""
    sizes = {name: path.stat().st_size for name, path in files.items()}
    total = sum(sizes.values())
    if total <= MAX_BYTES and len(files) <= MAX_FILES:
        return ""
    largest = max(sizes, key=lambda name: sizes[name])
    return (
        f"its code snapshot has {len(files):,} files, {total / 1e6:,.0f} MB; the largest is {largest!r}, "
        f"{sizes[largest] / 1e6:,.1f} MB: list what the command does not need in .amlignore"
    )


def stage(files: dict[str, Path], folder: Path) -> None:
    """Copy these files into `folder`, each under its name, and remove everything else there. The folders of artifacts
    are there too, which Azure ML uploads to the job.

    Raises PipelineError for a folder that has the name of an included file.
    """
    own_folder(folder.parent)
    remove(folder)
    folder.mkdir()
    for name, source in files.items():
        try:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            fix = "rename one of them"
            raise PipelineError("a file and a folder of this snapshot have one name", subject=name, fix=fix) from None
    for name in ARTIFACTS:
        if not (folder / name).exists():
            (folder / name).mkdir()


def _files(path: Path, prefix: str, own: Container[Path]) -> Iterator[tuple[str, Path]]:
    if path.is_file():
        yield path.name, path
        return
    for name, file in files_under(path, own):
        if "__pycache__" not in name.split("/"):
            yield (Path(prefix) / name).as_posix(), file


def _ignored(root: Path) -> GitIgnoreSpec:
    path = next((root / name for name in _IGNORE_FILES if (root / name).is_file()), None)
    lines = path.read_text(encoding="utf-8").splitlines() if path else []
    return GitIgnoreSpec.from_lines([*lines, *_IGNORE_FILES])
