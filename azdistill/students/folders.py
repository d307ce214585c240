"""Where a model's parts lie in its folder: plain, as transformers saves it, or in an MLflow layout."""

from pathlib import Path

from azdistill.contracts.errors import DataError


def model_part(folder: Path) -> Path:
    """The folder of config.json and the weights. Raises DataError when there is none."""
    return _nearest(folder, "config.json", "the model's architecture")


def tokenizer_part(folder: Path) -> Path:
    """The folder of the tokenizer. Raises DataError when there is none."""
    return _nearest(folder, "tokenizer_config.json", "its tokenizer")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files beside config.json; empty for a student that starts from random weights."""
    return sorted(model_part(folder).glob("*.safetensors"))


def _nearest(folder: Path, name: str, what: str) -> Path:
    """MLflow puts the parts in folders below (`data/model`, `components/tokenizer`); the one that is least deep counts.

    Source: the layouts of Azure ML's registry models.
    """
    found = sorted(folder.rglob(name), key=lambda path: (len(path.parts), path))
    if not found:
        raise DataError(f"student {str(folder)!r}: no {name} ({what}); name the folder of a Hugging Face model")
    return found[0].parent
