"""The manifest: the last file written into a folder, so a folder that has one is complete."""

import hashlib
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.layout import MANIFEST_FILE
from azdistill.contracts.problems import explain

PACKAGE = Path(__file__).parents[1]

# Distributions whose version can change what a step writes.
DISTRIBUTIONS = (
    "torch",
    "transformers",
    "tokenizers",
    "accelerate",
    "peft",
    "safetensors",
    "datasets",
    "numpy",
    "sacrebleu",
    "scipy",
)

# Reading a larger file takes longer than a tenth of a second.
SAMPLED_ABOVE = 64 * 1024 * 1024
SAMPLES, SAMPLE_BYTES = 32, 64 * 1024

WRITE_AGAIN = "run the step that writes it again"


class Provenance(BaseModel):
    """Provenance of a folder: the config, data, code and versions that a step made it with.

    `config` is the step's config without secrets, `data` the sha256 of inputs that no step wrote (the user's files,
    the student's folder). `code` is the sha256 of the azdistill sources that ran, `versions` are those of Python and
    installed packages; both are left empty in folders that costly steps read, because a folder's content decides
    whether later steps run again.
    """

    model_config = ConfigDict(frozen=True)

    config: dict[str, Any]
    data: dict[str, str] = {}
    code: str = ""
    versions: dict[str, str] = {}


class Manifest(BaseModel):
    """Content of a folder: sha256 of each file, counts of the step that wrote it, and how the step made it.

    `samples` has the `sample_digest` of each file that is too large to be read whenever the folder is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    step: str
    files: dict[str, str]
    counts: dict[str, Any]
    samples: dict[str, str] = Field({}, exclude_if=lambda samples: not samples)
    provenance: Provenance | None = None


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_path(path: Path) -> str:
    """Hex digest of a file's bytes, or of the names and bytes of the files in a folder."""
    if not path.is_dir():
        return sha256_file(path)
    files = sorted((file.relative_to(path).as_posix(), file) for file in path.rglob("*") if file.is_file())
    return hashlib.sha256("".join(f"{name} {sha256_file(file)}\n" for name, file in files).encode()).hexdigest()


def sample_digest(path: Path) -> str:
    """Hex digest of a file's size and of SAMPLES blocks, from the first to the last bytes, at equal distances."""
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as stream:
        for number in range(SAMPLES):
            stream.seek(max(size - SAMPLE_BYTES, 0) * number // (SAMPLES - 1))
            digest.update(stream.read(SAMPLE_BYTES))
    return digest.hexdigest()


def open_folder(folder: Path) -> Path:
    """Create `folder`, or prepare it to be written again: the manifest of an earlier attempt is removed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    return folder


def close_folder(folder: Path, step: str, counts: dict[str, Any], provenance: Provenance | None = None) -> Manifest:
    """Hash the files in `folder` and write its manifest, which declares it complete."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    files = {name: sha256_file(folder / name) for name in names if name != MANIFEST_FILE}
    samples = {name: sample_digest(folder / name) for name in files if (folder / name).stat().st_size > SAMPLED_ABOVE}
    manifest = Manifest(step=step, files=files, counts=counts, samples=samples, provenance=provenance)
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json", exclude_none=True))
    return manifest


def read_manifest(folder: Path, *, whole: bool = False) -> Manifest:
    """The manifest of a complete folder, whose files are as they were written.

    Of large files samples are compared, with `whole` all bytes. Raises DataError when the folder is not complete, its
    manifest is damaged, or a file is missing or has other content.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise DataError(
            f"no {MANIFEST_FILE}: the step that writes this folder did not finish", code="incomplete", file=folder
        )
    try:
        manifest = Manifest.model_validate(read_json(path))
    except ValidationError as error:
        raise DataError(
            f"not a manifest ({explain(error)})", code="invalid_manifest", fix=WRITE_AGAIN, file=path
        ) from None
    if changed := next((name for name in manifest.files if _has_changed(folder / name, manifest, name, whole)), None):
        raise DataError(
            f"missing or not as step {manifest.step} wrote it",
            code="changed_file",
            fix=WRITE_AGAIN,
            file=folder / changed,
        )
    return manifest


def _has_changed(path: Path, manifest: Manifest, name: str, whole: bool) -> bool:
    sample = None if whole else manifest.samples.get(name)
    try:
        return sha256_file(path) != manifest.files[name] if sample is None else sample_digest(path) != sample
    except (OSError, ValueError):  # missing, a folder, not readable; no name of a file
        return True


def settings_of(config: BaseModel, data: Mapping[str, str] | None = None) -> Provenance:
    """Provenance of a folder that costly steps read: without code and versions."""
    return Provenance(config=_without_credentials(config.model_dump(mode="json")), data=dict(data or {}))


def provenance_of(config: BaseModel, data: Mapping[str, str] | None = None) -> Provenance:
    """Complete provenance of a folder that this process writes."""
    return settings_of(config, data).model_copy(update={"code": code_digest(), "versions": installed_versions()})


def code_digest() -> str:
    """sha256 over the names and contents of azdistill's source files: on Azure ML those of the step's snapshot."""
    digest = hashlib.sha256()
    for path in sorted(PACKAGE.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(PACKAGE).as_posix()} {sha256_file(path)}\n".encode())
    return digest.hexdigest()


def installed_versions() -> dict[str, str]:
    """Versions of Python and of those `DISTRIBUTIONS` that are installed. Nothing is imported."""
    versions = {"python": platform.python_version()}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def _without_credentials(value: Any) -> Any:
    """A config value in which URLs have no user, password, query and fragment: an address may hold a key there."""
    if isinstance(value, dict):
        return {name: _without_credentials(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_credentials(item) for item in value]
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        parts = urlsplit(value)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return value
