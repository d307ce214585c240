"""What each kind of node does when it runs."""

from collections.abc import Callable, Mapping

from azdistill.engine.local.commands import run_command
from azdistill.engine.local.parallel.nodes import run_parallel
from azdistill.engine.local.sweeps.running import run_sweep
from azdistill.engine.local.task import Task

WORK: Mapping[str, Callable[[Task], int]] = {"command": run_command, "parallel": run_parallel, "sweep": run_sweep}
"""By the kind of the component. Each returns an exit code."""


def perform(task: Task) -> int:
    """Do the work of a node. Raises Stopped when the run is being ended, OSError when nothing could be started."""
    return WORK[task.node.component.kind](task)
