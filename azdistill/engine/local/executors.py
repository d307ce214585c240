"""Run an attempt of a node by the executor of its kind, and preempt it where the run injects that fault."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Timer

from azdistill.engine.local.attempts import NodeAttempt
from azdistill.engine.local.commands import run_command
from azdistill.engine.local.parallel.nodes import run_parallel
from azdistill.engine.local.processes import Stopped
from azdistill.engine.local.sweeps.trial_runs import run_sweep

# By the kind of the component. Each returns an exit code; it raises Stopped when the run ends, and OSError when no
# process could be started.
EXECUTORS: Mapping[str, Callable[[NodeAttempt], int]] = {
    "command": run_command,
    "parallel": run_parallel,
    "sweep": run_sweep,
}


def execute(attempt: NodeAttempt, prepare: Callable[[], None]) -> int:
    """Run a node to its end and return its exit code.

    If `faults.preempt` has the node, it is ended that many seconds after its start, with the usual grace time. Then
    `prepare` prepares its folder and it runs again, as on a spot VM. Raises Stopped and OSError as the executors do.
    """
    executor = EXECUTORS[attempt.node.component.kind]
    seconds = attempt.options.faults.preempt.get(attempt.node.name)
    if seconds is None:
        return executor(attempt)
    first = replace(attempt, processes=attempt.processes.branch())
    timer = Timer(seconds, first.processes.stop)
    timer.start()
    try:
        return executor(first)
    except Stopped:
        attempt.processes.check()
    finally:
        timer.cancel()
    attempt.note(f"preempted after {seconds:.1f} seconds; it starts again in the same folder")
    prepare()
    return executor(attempt)
