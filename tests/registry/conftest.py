"""Folders as the steps leave them, and a real registry on disk."""

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import write_json, write_text
from azdistill.contracts.manifest import close_folder, open_folder

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # MLflow reads it once, when the tests below import it

METRICS: dict[str, Any] = {
    "task": "conversation",
    "reference": "gold",
    "rows": 500,
    "unscored": 0,
    "models": {
        name: {
            "accuracy": {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02},
            "agreement": {"value": accuracy, "low": accuracy - 0.02, "high": accuracy + 0.02},
            "bleu": 100 * accuracy,
            "bleu_signature": "nrefs:1|tok:13a",
            "answered": 500,
        }
        for name, accuracy in {"teacher": 0.978, "baseline": 0.0, "student": 0.948}.items()
    },
    "retention": {"value": 0.969, "low": 0.951, "high": 0.986},
    "gain": {"value": 0.948, "low": 0.93, "high": 0.96},
}

USAGE = {"teacher": "deepseek-v3", "route": "simulated"} | dict.fromkeys(
    ("asked", "answered", "rejected", "from_store"), 500
)


def folder(path: Path, step: str, files: Mapping[str, Any]) -> Path:
    """Write a complete folder: text is written unchanged, other values as JSON."""
    open_folder(path)
    for name, content in files.items():
        write_text(path / name, content) if isinstance(content, str) else write_json(path / name, content)
    close_folder(path, step, {})
    return path


def gate(decision: str, *, enforced: bool = True) -> dict[str, Any]:
    low, high = {"passed": (0.951, 0.986), "refused": (0.68, 0.742), "inconclusive": (0.88, 0.93)}[decision]
    result = {"name": "min_retention", "bound": 0.9, "value": (low + high) / 2, "low": low, "high": high}
    registers = decision == "passed" or not enforced
    return {
        "decision": decision,
        "enforced": enforced,
        "register": registers,
        "gates": [result | {"outcome": decision}],
    }


Evaluated = Callable[..., Path]


@pytest.fixture
def evaluated(tmp_path: Path) -> Evaluated:
    """Write the folder of an evaluation with a decision."""

    def make(decision: str, *, enforced: bool = True) -> Path:
        files = {"metrics.json": METRICS, "gate.json": gate(decision, enforced=enforced)}
        return folder(tmp_path / f"evaluation-{decision}", "evaluate", files)

    return make


@pytest.fixture
def inputs(tmp_path: Path, evaluated: Evaluated) -> dict[str, Path]:
    return {
        "model": folder(tmp_path / "model", "train", {"config.json": {"hidden": 8}, "model.safetensors": "weights"}),
        "prompts": folder(tmp_path / "prompts", "prepare", {"prompts.jsonl": ""}),
        "training": folder(tmp_path / "training", "train", {"metrics.json": {}}),
        "completions": folder(tmp_path / "completions", "teacher", {"usage.json": USAGE, "completions.jsonl": ""}),
        "curated": folder(tmp_path / "curated", "curate", {"train.jsonl": "", "validation.jsonl": ""}),
        "evaluation": evaluated("passed"),
    }


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry's tables, made once: that takes MLflow seconds."""
    from mlflow.tracking import MlflowClient

    path = tmp_path_factory.mktemp("registry") / "mlflow.db"
    MlflowClient(tracking_uri=f"sqlite:///{path}").search_registered_models()
    return path


@pytest.fixture
def registry(empty_registry: Path, tmp_path: Path) -> str:
    path = tmp_path / "home" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_registry, path)
    return f"sqlite:///{path}"
