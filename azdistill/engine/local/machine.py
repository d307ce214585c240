"""What a run has of this machine."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from azdistill.engine.local.faults import NO_FAULTS, Faults
from azdistill.engine.local.processes import GRACE_S

NONE: Mapping[str, str] = MappingProxyType({})
NO_PATHS: Mapping[str, Path] = MappingProxyType({})


def silent(text: str) -> None:
    """Says nothing."""


@dataclass(frozen=True)
class Machine:
    """`home` holds what runs share. `data` are local copies by name or address, `interpreters` by the name of the
    environment that they stand for; with `make_environments` the others are made. `variables` are added to all
    processes. `jobs` is how many nodes run side by side, and `grace` the seconds that they are given to end. `say`
    gets a line for what takes long before the first node. `faults` are what goes wrong on purpose."""

    home: Path
    data: Mapping[str, Path] = field(default_factory=dict)
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    make_environments: bool = False
    variables: Mapping[str, str] = field(default_factory=dict)
    jobs: int = 1
    grace: float = GRACE_S
    say: Callable[[str], None] = silent
    faults: Faults = NO_FAULTS
