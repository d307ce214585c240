"""What a bundle's environments pin."""

import re
from collections.abc import Iterator
from pathlib import Path

from azdistill.azure.checks.check import Check

MLFLOW_AT_LEAST = (1, 62)


def check_environments(bundle: Path) -> Iterator[Check]:
    """An older azureml-mlflow crashes when a job saves its first artifact, hours after the start."""
    for path in sorted(bundle.glob("environments/*/conda.yml")):
        pinned = re.search(r"azureml-mlflow\s*[=~>]=\s*(\d+)\.(\d+)", path.read_text(encoding="utf-8"))
        if pinned and tuple(map(int, pinned.groups())) < MLFLOW_AT_LEAST:
            told = f"azureml-mlflow {'.'.join(pinned.groups())} can't save artifacts with mlflow 3"
            yield Check(f"environment {path.parent.name!r}", "wrong", told, "ask for azureml-mlflow>=1.62")
