"""A student's folder in the form that a registered model has in a workspace."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_json, write_text
from azdistill.contracts.manifest import NAME

CHAT = "llm/v1/chat"
REQUIREMENTS = ("accelerate", "mlflow>=3.5", "torch", "transformers>=5.0")
"""Of whoever loads it."""
ENVIRONMENT = "conda.yaml"


@contextmanager
def laid_out(folder: Path, model_type: str) -> Iterator[Path]:
    """`folder` itself as a custom_model; as an mlflow_model a folder of links for a while, with MLmodel and signature.

    Raises AzdistillError where pandas is missing, without which MLflow knows no signatures.
    """
    if model_type == "custom_model":
        yield folder
        return
    with tempfile.TemporaryDirectory() as place:
        _link(folder, Path(place))
        write_text(Path(place, "requirements.txt"), "".join(f"{name}\n" for name in REQUIREMENTS))
        write_text(Path(place, ENVIRONMENT), json.dumps(_environment(), indent=2))  # JSON is YAML
        _describe(read_json(folder / "config.json"), Path(place, "MLmodel"))
        yield Path(place)


def _link(folder: Path, target: Path) -> None:
    """Where MLflow's flavour for transformers looks; what is no weights may be the tokenizer's."""
    for path in sorted(folder.iterdir()):
        places = ["model"] if path.suffix == ".safetensors" else ["model", "components/tokenizer"]
        for place in places if path.name != NAME else []:
            (target / place).mkdir(parents=True, exist_ok=True)
            (target / place / path.name).symlink_to(path.resolve())


def _environment() -> dict[str, Any]:
    return {
        "name": "student",
        "channels": ["conda-forge"],
        "dependencies": ["python=3.11", "pip", {"pip": list(REQUIREMENTS)}],
    }


def _describe(config: dict[str, Any], file: Path) -> None:
    """Written here, since `mlflow.transformers.save_model` loads the weights, or of a folder fails with transformers 5.

    Source: build_flavor_config_from_local_checkpoint and save_model of MLflow 3.15.
    """
    try:
        from mlflow import pyfunc
        from mlflow.models import Model, ModelSignature
        from mlflow.types.llm import CHAT_MODEL_INPUT_SCHEMA, CHAT_MODEL_OUTPUT_SCHEMA
    except ImportError as problem:
        raise AzdistillError(
            f"register: model_type='mlflow_model' needs pandas ({problem}); install it, or leave model_type at "
            "custom_model"
        ) from None
    signature = ModelSignature(inputs=CHAT_MODEL_INPUT_SCHEMA, outputs=CHAT_MODEL_OUTPUT_SCHEMA)
    model = Model(signature=signature, metadata={"task": CHAT})
    model.add_flavor("transformers", transformers_version=config.get("transformers_version"), **_flavour(config))
    pyfunc.add_to_model(model, loader_module="mlflow.transformers", conda_env=ENVIRONMENT)
    model.save(str(file))


def _flavour(config: dict[str, Any]) -> dict[str, Any]:
    return {
        "task": "text-generation",
        "inference_task": CHAT,
        "instance_type": "TextGenerationPipeline",
        "pipeline_model_type": config["architectures"][0],
        "model_binary": "model",
        "components": ["tokenizer"],
        "tokenizer_type": "AutoTokenizer",
    }
