"""Preemption to order: a node is taken away at some moment and begins again, as on a spot machine."""

from collections.abc import Callable
from dataclasses import replace
from threading import Timer

from azdistill.engine.local.processes import Stopped
from azdistill.engine.local.task import Task


def preempted(task: Task, work: Callable[[Task], int], seconds: float, prepare: Callable[[], None]) -> int:
    """Do the work of a node. `seconds` after its start, unless it is done by then, its processes are asked to end and
    ended after the time of grace; then `prepare` makes its folder ready, and it does its work from the beginning.

    Raises Stopped when the whole run is being ended.
    """
    first = replace(task, processes=task.processes.branch())
    timer = Timer(seconds, first.processes.stop)
    timer.start()
    try:
        return work(first)
    except Stopped:
        task.processes.check()
    finally:
        timer.cancel()
    task.note(f"preempted after {seconds:.1f} seconds; it begins again in the folder that it left")
    prepare()
    return work(task)
