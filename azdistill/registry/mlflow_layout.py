"""Lay out a student's folder as an MLflow model, for a workspace that expects one."""

import json
import os
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_json, write_text
from azdistill.contracts.layout import MANIFEST_FILE, MODEL_CARD_FILE
from azdistill.contracts.progress import Progress

CHAT = "llm/v1/chat"

# Packages that loading the model needs.
REQUIREMENTS = ("accelerate", "mlflow>=3.5", "torch", "transformers>=5.0")
ENVIRONMENT = "conda.yaml"


# File that MLflow reads first. It is written last: a folder that has it is complete.
MLMODEL = "MLmodel"

MEGABYTE = 2**20
CHUNK = 64 * MEGABYTE


def write_mlflow_layout(folder: Path, target: Path, card: str) -> None:
    """Copy the model in `folder` to `target` in MLflow's layout with a model card, unless it is complete there.

    Each file is on the disk, or in the storage that is mounted there, when this returns. Raises AzdistillError when
    pandas is missing, which MLflow needs for signatures.
    """
    if (target / MLMODEL).is_file():
        return
    mlmodel = _mlmodel(read_json(folder / "config.json"))  # fails before gigabytes are copied
    _copy_files(folder, target)
    write_text(target / "requirements.txt", "".join(f"{name}\n" for name in REQUIREMENTS))
    write_text(target / MODEL_CARD_FILE, card)
    write_text(target / ENVIRONMENT, json.dumps(_environment(), indent=2))  # JSON is YAML
    write_text(target / MLMODEL, mlmodel)


def _copy_files(folder: Path, target: Path) -> None:
    """Copy to where MLflow's transformers flavor reads; files other than weights may be the tokenizer's.

    A folder, such as that of an adapter, is not copied: its weights are merged into the model.
    """
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and path.name != MANIFEST_FILE]
    copies = [
        (path, target / subfolder / path.name)
        for path in files
        for subfolder in (["model"] if path.suffix == ".safetensors" else ["model", "components/tokenizer"])
    ]
    total = sum(source.stat().st_size for source, _ in copies)
    progress = Progress("register: MB written", max(total // MEGABYTE, 1))
    for source, copy in copies:
        _copy_file(source, copy, progress)


def _copy_file(source: Path, copy: Path, progress: Progress) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, copy.open("wb") as writer:
        while chunk := reader.read(CHUNK):
            writer.write(chunk)
            progress.advance(len(chunk) // MEGABYTE)
        writer.flush()
        os.fsync(writer.fileno())


def _environment() -> dict[str, Any]:
    return {
        "name": "student",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", {"pip": list(REQUIREMENTS)}],
    }


def _mlmodel(config: dict[str, Any]) -> str:
    """The MLmodel file, without loading the weights, as `mlflow.transformers.save_model` writes it.

    Source: build_flavor_config_from_local_checkpoint and save_model of MLflow 3.15.
    """
    try:
        from mlflow import pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types.llm import CHAT_MODEL_INPUT_SCHEMA, CHAT_MODEL_OUTPUT_SCHEMA
    except ImportError as error:
        raise AzdistillError(
            f"needs pandas ({error})",
            code="missing_package",
            field=("model_type",),
            value="mlflow_model",
            fix="install pandas, or set model_type to custom_model",
        ) from None
    signature = ModelSignature(inputs=CHAT_MODEL_INPUT_SCHEMA, outputs=CHAT_MODEL_OUTPUT_SCHEMA)
    model = Model(signature=signature, metadata={"task": CHAT})
    model.add_flavor("transformers", transformers_version=config.get("transformers_version"), **_flavor(config))
    pyfunc.add_to_model(model, loader_module="mlflow.transformers", conda_env=ENVIRONMENT)
    text: str = model.to_yaml()
    return text


def _flavor(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "text-generation",
        "inference_task": CHAT,
        "instance_type": "TextGenerationPipeline",
        "pipeline_model_type": config["architectures"][0],
        "model_binary": "model",
        "components": ["tokenizer"],
        "tokenizer_type": "AutoTokenizer",
    }
