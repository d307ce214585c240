"""Read Azure's own distillation jobs (`type: distillation`) and convert them to jobs of azdistill."""

from collections.abc import Mapping
from typing import Any

TYPE = "distillation"


def is_native(values: Mapping[str, Any]) -> bool:
    """True if a document is Azure's own distillation job. Called for every job file, so it imports nothing."""
    return bool(values.get("type") == TYPE)
