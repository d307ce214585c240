"""A command as one process, or as the processes of its distribution, with the variables that Azure ML gives them.

Source of the variables: Azure ML's guide to distributed training (per-process launch of PyTorch, MPI).
"""

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from azdistill.engine.local.processes import Running
from azdistill.engine.local.task import TIMED_OUT, Deadline, Task, finish
from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.run_settings import ProcessLayout, process_layout, timeout

LOOPBACK = "127.0.0.1"
TICK_S = 0.05


def run_command(task: Task) -> int:
    """Run a node's command to its end, and return the exit code: of the first process that failed, where there are
    several. Raises Stopped and OSError as `Processes.start` does."""
    limit, processes = Deadline(timeout(task.node.settings)), process_layout(task.node.settings)
    command = render(task.node.component.command, task.resolved.ports)
    code = _together(task, command, processes, limit) if processes else _alone(task, command, limit)
    if code is None:
        task.note(f"ended after limits.timeout={limit.seconds:g} seconds")
        return TIMED_OUT
    return code


def _alone(task: Task, command: str, deadline: Deadline) -> int | None:
    with task.processes.start(task.launch(command)) as running:
        return finish(running, deadline)


def _together(task: Task, command: str, processes: ProcessLayout, deadline: Deadline) -> int | None:
    """All processes side by side. The output of the first is the node's, each other one has a file beside it."""
    port = _free_port()
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(task.processes.start(task.launch(command, variables, _log(task.log, rank))))
            for rank, variables in enumerate(rank_variables(processes, port))
        ]
        code = _all_done(ranks, deadline)
        for running in ranks if code != 0 else ():
            running.end()
    return code


def _all_done(ranks: list[Running], deadline: Deadline) -> int | None:
    """0 when all are done, else the exit code of the first that failed; None at the deadline."""
    alive = list(ranks)
    while alive:
        for running in list(alive):
            code = running.wait(deadline.within(TICK_S))
            if code:
                return code
            if code == 0:
                alive.remove(running)
        if deadline.passed():
            return None
    return 0


def rank_variables(processes: ProcessLayout, port: int) -> list[Mapping[str, str]]:
    """The variables of each process, in the order of ranks."""
    return [_variables(processes, rank, port) for rank in range(processes.size)]


def _variables(processes: ProcessLayout, rank: int, port: int) -> Mapping[str, str]:
    node, local = divmod(rank, processes.per_instance)
    if processes.kind == "mpi":
        return {
            "OMPI_COMM_WORLD_RANK": str(rank),
            "OMPI_COMM_WORLD_SIZE": str(processes.size),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(local),
            "OMPI_COMM_WORLD_LOCAL_SIZE": str(processes.per_instance),
            "AZ_BATCHAI_MPI_MASTER_NODE": LOOPBACK,
        }
    return {
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
        "NODE_RANK": str(node),
        "RANK": str(rank),
        "LOCAL_RANK": str(local),
        "WORLD_SIZE": str(processes.size),
    }


def _log(log: Path, rank: int) -> Path:
    return log if rank == 0 else log.with_name(f"log.{rank}.txt")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((LOOPBACK, 0))
        return int(found.getsockname()[1])
