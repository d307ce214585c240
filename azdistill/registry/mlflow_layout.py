"""Lay out a student's folder as an MLflow model, for a workspace that expects one."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_json, write_text
from azdistill.contracts.layout import MANIFEST_FILE, MODEL_CARD_FILE
from azdistill.registry.transfer import TransferProgress

CHAT = "llm/v1/chat"

# Packages that loading the model needs.
REQUIREMENTS = ("accelerate", "mlflow>=3.5", "torch", "transformers>=5.0")
ENVIRONMENT = "conda.yaml"

# File that MLflow reads first.
MLMODEL = "MLmodel"

CHUNK_BYTES = 64 * 2**20


def mlflow_layout(folder: Path, card: str) -> dict[str, Path | str]:
    """The files of MLflow's layout of the model in `folder`, by their paths in it: existing files, or texts.

    MLMODEL is the last one: a folder that has it is complete. Raises AzdistillError when pandas is missing, which
    MLflow needs for signatures.
    """
    mlmodel = _mlmodel(read_json(folder / "config.json"))
    return {
        **_model_files(folder),
        "requirements.txt": "".join(f"{name}\n" for name in REQUIREMENTS),
        MODEL_CARD_FILE: card,
        ENVIRONMENT: json.dumps(_environment(), indent=2),  # JSON is YAML
        MLMODEL: mlmodel,
    }


def write_mlflow_layout(folder: Path, target: Path, card: str) -> None:
    """Copy the model in `folder` to `target` in MLflow's layout with a model card, unless it is complete there.

    Each file is on the disk, or in the storage that is mounted there, when this returns. Raises AzdistillError as
    `mlflow_layout` does.
    """
    if (target / MLMODEL).is_file():
        return
    layout = mlflow_layout(folder, card)
    progress, done = TransferProgress("register: MB written", layout.values()), 0
    for path, content in layout.items():
        if isinstance(content, str):
            write_text(target / path, content)
        else:
            _copy_file(content, target / path, partial(progress.reach, done))
            done += content.stat().st_size


def _model_files(folder: Path) -> dict[str, Path]:
    """Files of the model where MLflow's transformers flavor reads them: all but weights may be the tokenizer's.

    A folder, such as that of an adapter, is left out: its weights are merged into the model.
    """
    return {
        f"{subfolder}/{path.name}": path
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST_FILE
        for subfolder in (["model"] if path.suffix == ".safetensors" else ["model", "components/tokenizer"])
    }


def _copy_file(source: Path, copy: Path, progress: Callable[[int], None]) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with source.open("rb") as reader, copy.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
            written += len(chunk)
            progress(written)
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
