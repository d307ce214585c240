"""Lay out a student's folder as an MLflow model, for a workspace that expects one."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_json, write_text
from azdistill.contracts.layout import MANIFEST_FILE

CHAT = "llm/v1/chat"

# Packages that loading the model needs.
REQUIREMENTS = ("accelerate", "mlflow>=3.5", "torch", "transformers>=5.0")
ENVIRONMENT = "conda.yaml"


@contextmanager
def mlflow_layout(folder: Path, model_type: str) -> Iterator[Path]:
    """The folder to upload: `folder` itself for a custom_model, a temporary folder of links for an mlflow_model.

    Raises AzdistillError when pandas is missing, which MLflow needs for signatures.
    """
    if model_type == "custom_model":
        yield folder
        return
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        _link(folder, target)
        write_text(target / "requirements.txt", "".join(f"{name}\n" for name in REQUIREMENTS))
        write_text(target / ENVIRONMENT, json.dumps(_environment(), indent=2))  # JSON is YAML
        _write_mlmodel(read_json(folder / "config.json"), target / "MLmodel")
        yield target


def _link(folder: Path, target: Path) -> None:
    """Link the files where MLflow's transformers flavor reads them; files other than weights may be the tokenizer's."""
    for path in sorted(folder.iterdir()):
        if path.name == MANIFEST_FILE:
            continue
        for subfolder in ["model"] if path.suffix == ".safetensors" else ["model", "components/tokenizer"]:
            (target / subfolder).mkdir(parents=True, exist_ok=True)
            (target / subfolder / path.name).symlink_to(path.resolve())


def _environment() -> dict[str, Any]:
    return {
        "name": "student",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", {"pip": list(REQUIREMENTS)}],
    }


def _write_mlmodel(config: dict[str, Any], file: Path) -> None:
    """Write the MLmodel file without loading the weights, as `mlflow.transformers.save_model` does.

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
    model.save(str(file))


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
