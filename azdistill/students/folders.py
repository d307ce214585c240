"""Where a model's parts lie in its folder: plain, as transformers saves it, or in an MLflow layout."""

import hashlib
from pathlib import Path

from azdistill.contracts.errors import DataError
from azdistill.contracts.manifest import sha256_file

PARTS = {".safetensors", ".json", ".jinja", ".model", ".txt"}
"""Endings of the files that a model is loaded from."""


def model_part(folder: Path) -> Path:
    """The folder of config.json and the weights. Raises DataError when there is none."""
    return _nearest(folder, "config.json", "the model's architecture")


def tokenizer_part(folder: Path) -> Path:
    """The folder of the tokenizer. Raises DataError when there is none."""
    return _nearest(folder, "tokenizer_config.json", "its tokenizer")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files beside config.json; empty for a student that starts from random weights."""
    return _weights(model_part(folder))


def fingerprint(folder: Path) -> str:
    """A digest of what the student is loaded from: another student has another one."""
    places = sorted({model_part(folder), tokenizer_part(folder)})
    files = [path for place in places for path in sorted(place.iterdir()) if path.suffix in PARTS and path.is_file()]
    told = "\n".join(f"{path.name} {sha256_file(path)}" for path in files)
    return hashlib.sha256(told.encode()).hexdigest()


def _nearest(folder: Path, name: str, what: str) -> Path:
    """MLflow puts the parts in folders below (`data/model`, `components/tokenizer`); the one that is least deep counts.

    Some layouts repeat config.json in a folder of its own, so one with weights beside it goes first.
    Source: the layouts of Azure ML's registry models.
    """
    found = [path.parent for path in folder.rglob(name)]
    if not found:
        raise DataError(f"student {str(folder)!r}: no {name} ({what}); name the folder of a Hugging Face model")
    return min(found, key=lambda path: (len(path.parts), not _weights(path), path))


def _weights(place: Path) -> list[Path]:
    return sorted(place.glob("*.safetensors"))
