"""The manifest: the last file written into a folder, so a folder that has one is complete."""

import hashlib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, write_json

NAME = "manifest.json"


class Manifest(BaseModel):
    """What a step left in a folder: sha256 of each file, and counts worth reading."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    files: dict[str, str]
    counts: dict[str, Any]


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_folder(folder: Path) -> Path:
    """Make `folder` ready to be written again: a manifest of an earlier try is taken away."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).unlink(missing_ok=True)
    return folder


def close_folder(folder: Path, step: str, counts: dict[str, Any]) -> Manifest:
    """Hash what lies in `folder` and write its manifest, which declares it complete."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: sha256_file(folder / name) for name in names if name != NAME}
    manifest = Manifest(step=step, files=files, counts=counts)
    write_json(folder / NAME, manifest.model_dump())
    return manifest


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a complete folder. Raises DataError when the folder isn't complete."""
    if not (folder / NAME).is_file():
        raise DataError(f"{folder}: no {NAME}, so the step that writes this folder did not finish")
    return Manifest.model_validate(read_json(folder / NAME))
