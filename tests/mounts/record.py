"""The recorded results of the file operations, observed.json: on mounts and on a local disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

RECORD = Path(__file__).with_name("observed.json")

# What an operation returned on each file system: {"mount": {"value": ...}, "local": {"error": "ENOENT"}}.
Observed = Mapping[str, Any]


def recorded() -> dict[str, Observed]:
    record: dict[str, Observed] = json.loads(RECORD.read_text(encoding="utf-8"))
    return record


def works(observed: Observed) -> bool:
    """True if a mount did what a local disk does."""
    return bool(observed["mount"] == observed["local"])
