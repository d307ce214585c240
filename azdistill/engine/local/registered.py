"""The local registry of components: a folder for each version of each."""

import re
from collections.abc import Callable
from pathlib import Path

from azdistill.engine.local.assets import LATEST, asset

FILE = "component.yml"


def registered_in(home: Path) -> Callable[[str], Path | None]:
    """What tells where in `home/components/NAME/VERSION` the file of a registered component lies, or would lie. None
    for what is no such address. The latest is the highest version, whose numbers count as numbers."""

    def find(address: str) -> Path | None:
        component = asset(address)
        if component is None or component.label not in (None, LATEST):
            return None
        folder = home / "components" / component.name
        return folder / (component.version or _latest(folder)) / FILE

    return find


def _latest(folder: Path) -> str:
    versions = [path.parent.name for path in folder.glob(f"*/{FILE}")]
    return max(versions, key=_numbers, default="1")


def _numbers(version: str) -> list[tuple[int, int, str]]:
    """What 1.10 is after 1.9 by."""
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [(1, int(part), "") if part.isdigit() else (0, 0, part) for part in parts]
