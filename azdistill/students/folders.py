"""Find the model and the tokenizer in a student's folder: as transformers saves it, or in an MLflow layout."""

import hashlib
from pathlib import Path

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json
from azdistill.contracts.manifest import sha256_file

# Folder of a student's adapter, whose weights are merged into the model next to it. Nothing loads it.
ADAPTER_FOLDER = "adapter"

# Files of an adapter in the format of peft.
ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"

# Suffixes of the files that a model and its tokenizer are loaded from.
LOADED_SUFFIXES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


def model_folder(folder: Path) -> Path:
    """The folder that holds config.json and the weights.

    Raises DataError when no folder has them, or when it holds an adapter: transformers would load that too.
    """
    if not any(folder.rglob("config.json")):
        _refuse_adapter(folder, next((path.parent for path in sorted(folder.rglob(ADAPTER_CONFIG))), folder))
    model = _folder_of("config.json", folder, "the model's architecture")
    _refuse_adapter(folder, model)
    return model


def adapter_base(folder: Path) -> Path | None:
    """The folder of the base model of an adapter, which its config names, if it is on this machine.

    None for a folder that holds no adapter, or one next to a complete model.
    """
    if not (folder / ADAPTER_CONFIG).is_file() or (folder / "config.json").is_file():
        return None
    config = read_json(folder / ADAPTER_CONFIG)
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    return folder / base if isinstance(base, str) and (folder / base).is_dir() else None


def _refuse_adapter(folder: Path, parent: Path) -> None:
    if not (parent / ADAPTER_CONFIG).is_file():
        return
    config = read_json(parent / ADAPTER_CONFIG)
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    raise DataError(
        f"holds an adapter{f' of {base}' if base else ''} ({ADAPTER_CONFIG}), not a complete model",
        subject=f"student {str(folder)!r}",
        code="adapter",
        fix="merge it into its base model (merge_and_unload of peft) and set the folder of the merged model",
    )


def tokenizer_folder(folder: Path) -> Path:
    """The folder that holds the tokenizer. Raises DataError when no folder has them."""
    return _folder_of("tokenizer_config.json", folder, "its tokenizer")


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of the model; empty for a student that starts from random weights."""
    return _safetensors(model_folder(folder))


def fingerprint(folder: Path) -> str:
    """A hash of the files that the student is loaded from, the base of an adapter included."""
    base = adapter_base(folder)
    folders = [folder, base] if base else sorted({model_folder(folder), tokenizer_folder(folder)})
    files = [path for parent in folders for path in sorted(parent.iterdir())]
    lines = [f"{path.name} {sha256_file(path)}" for path in files if path.suffix in LOADED_SUFFIXES and path.is_file()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _folder_of(name: str, folder: Path, what: str) -> Path:
    """The folder with the file `name` that is the fewest levels below `folder`.

    MLflow puts model and tokenizer into separate folders (`data/model`, `components/tokenizer`). Some layouts
    repeat config.json in a separate folder, so a folder with weights wins. Source: the models of Azure ML's registry.
    """
    parents = [path.parent for path in folder.rglob(name)]
    if not parents:
        raise DataError(
            f"no {name} ({what})",
            subject=f"student {str(folder)!r}",
            code="missing_file",
            fix="set the folder of a Hugging Face model",
        )
    return min(parents, key=lambda parent: (len(parent.parts), not _safetensors(parent), parent))


def _safetensors(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.safetensors") if path.name != ADAPTER_WEIGHTS)
