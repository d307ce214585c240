"""Run a command as one process, or as the processes of its distribution with the variables that Azure ML sets.

Source of the variables: Azure ML's guide to distributed training (per-process launch of PyTorch, MPI).
"""

import socket
from collections.abc import Mapping
from contextlib import ExitStack

from azdistill.engine.local.attempts import TIMED_OUT, Deadline, NodeAttempt, wait_until
from azdistill.engine.local.processes import Running
from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.run_settings import ProcessLayout, process_layout, timeout

LOOPBACK = "127.0.0.1"
POLL_INTERVAL_S = 0.05


def run_command(attempt: NodeAttempt) -> int:
    """Run a node's command to its end and return the exit code; of several processes, that of the first that failed.

    Raises Stopped and OSError as `Processes.start` does.
    """
    deadline, processes = Deadline(timeout(attempt.node.settings)), process_layout(attempt.node.settings)
    command = render(attempt.node.component.command, attempt.resolved.ports)
    if processes:
        code = _run_distributed(attempt, command, processes, deadline)
    else:
        with attempt.processes.start(attempt.launch(command)) as running:
            code = wait_until(running, deadline)
    if code is None:
        attempt.note(f"ended after limits.timeout={deadline.seconds:g} seconds")
        return TIMED_OUT
    return code


def _run_distributed(attempt: NodeAttempt, command: str, processes: ProcessLayout, deadline: Deadline) -> int | None:
    """Run all processes concurrently. Rank 0 writes the node's log, every other rank `log.RANK.txt`."""
    port = _free_port()
    logs = [attempt.log, *(attempt.log.with_name(f"log.{rank}.txt") for rank in range(1, processes.size))]
    with ExitStack() as stack:
        ranks = [
            stack.enter_context(attempt.processes.start(attempt.launch(command, variables, log)))
            for variables, log in zip(rank_variables(processes, port), logs, strict=True)
        ]
        code = _wait_for_all(ranks, deadline)
        for running in ranks if code != 0 else ():
            running.end()
    return code


def _wait_for_all(ranks: list[Running], deadline: Deadline) -> int | None:
    """0 when all have succeeded, else the exit code of the first that failed. None at the deadline."""
    alive = list(ranks)
    while alive:
        for running in list(alive):
            code = running.wait(deadline.within(POLL_INTERVAL_S))
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
    node, local_rank = divmod(rank, processes.per_instance)
    if processes.kind == "mpi":
        return {
            "OMPI_COMM_WORLD_RANK": str(rank),
            "OMPI_COMM_WORLD_SIZE": str(processes.size),
            "OMPI_COMM_WORLD_LOCAL_RANK": str(local_rank),
            "OMPI_COMM_WORLD_LOCAL_SIZE": str(processes.per_instance),
            "AZ_BATCHAI_MPI_MASTER_NODE": LOOPBACK,
        }
    return {
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": str(port),
        "NODE_RANK": str(node),
        "RANK": str(rank),
        "LOCAL_RANK": str(local_rank),
        "WORLD_SIZE": str(processes.size),
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])
