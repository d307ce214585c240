"""Azure's own distillation jobs (`type: distillation`), read as jobs of ours."""

from collections.abc import Mapping
from typing import Any

TYPE = "distillation"


def is_native(values: Mapping[str, Any]) -> bool:
    """True if a document is a job of Azure's own. Asked of every job file, so here: only theirs need the rest."""
    return bool(values.get("type") == TYPE)
