"""The local registry of components: `components/NAME/VERSION/component.yml` in the home folder."""

import re
from collections.abc import Callable
from pathlib import Path

from azdistill.engine.local.assets import LATEST, parse_asset

COMPONENT_FILE = "component.yml"


def registered_in(home: Path) -> Callable[[str], Path | None]:
    """A function from the address of a registered component to the path of its file, which need not exist.

    It returns None for an address that is not one of a component. The latest version is the highest; numbers in
    versions are compared as numbers.
    """

    def find(address: str) -> Path | None:
        component = parse_asset(address)
        if component is None or component.label not in (None, LATEST):
            return None
        folder = home / "components" / component.name
        return folder / (component.version or _latest(folder)) / COMPONENT_FILE

    return find


def _latest(folder: Path) -> str:
    versions = [path.parent.name for path in folder.glob(f"*/{COMPONENT_FILE}")]
    return max(versions, key=_sort_key, default="1")


def _sort_key(version: str) -> list[tuple[int, int, str]]:
    """Sorts 1.10 after 1.9."""
    tokens = re.findall(r"\d+|[A-Za-z]+", version)
    return [(1, int(token), "") if token.isdigit() else (0, 0, token) for token in tokens]
