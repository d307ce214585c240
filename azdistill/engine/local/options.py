"""Options of a local run: inputs, nodes to run, environments, data mappings, parallelism and fault injection."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from azdistill.engine.local.processes import GRACE_S
from azdistill.engine.local.selection import ALL_NODES, NodeSelection
from azdistill.engine.local.storage import home_folder


@dataclass(frozen=True)
class Faults:
    """Faults that a run injects on purpose, to test how nodes recover.

    `preempt` maps a node to the seconds after its start when it is preempted: it is ended once and starts again.
    `duplicates` is the fraction of a parallel node's mini-batches that are delivered twice, from 0 to 1; `seed`
    selects which, the same ones in every run.
    """

    preempt: Mapping[str, float] = field(default_factory=dict)
    duplicates: float = 0.0
    seed: int = 0


NO_FAULTS = Faults()


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of `run_pipeline` and `explain`. A new option is declared here and used where it takes effect."""

    # Values of pipeline inputs, as text.
    inputs: Mapping[str, str] = field(default_factory=dict)
    # Nodes to run.
    selection: NodeSelection = ALL_NODES
    # Environment variables that are added to every process. They do not count for reuse.
    variables: Mapping[str, str] = field(default_factory=dict)
    # Folder that runs share: datastores, downloads, registered components, environments, the model registry.
    # Default: $AZDISTILL_HOME, else the first `.azdistill` in the current folder or above it.
    home: Path = field(default_factory=home_folder)
    # Set the variables that name the workspace of a job, to one that does not exist. They do not count for reuse.
    simulate_workspace: bool = False
    # Local copies of registered data and of remote data, by name or address.
    data: Mapping[str, Path] = field(default_factory=dict)
    # Python interpreters, or folders of virtual environments, by the name of the environment that they replace.
    interpreters: Mapping[str, Path] = field(default_factory=dict)
    # Create a virtual environment for every other environment that lists pip packages.
    make_environments: bool = False
    # Run in spite of errors that only Azure's client or service refuses.
    force: bool = False
    # Maximum number of nodes that run at the same time. Default: the number of cores.
    jobs: int = field(default_factory=lambda: os.cpu_count() or 1)
    # Seconds that a process has to end after an interruption, before it is killed.
    grace: float = GRACE_S
    # Faults to inject.
    faults: Faults = NO_FAULTS
