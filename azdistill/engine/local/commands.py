"""Run a command as one process, or as the processes of its distribution."""

import socket
from contextlib import ExitStack

from azdistill.engine.local.attempts import TIMED_OUT, Deadline, NodeAttempt, wait_until
from azdistill.engine.local.processes import Running
from azdistill.engine.local.variables import LOOPBACK, rank_variables
from azdistill.engine.pipeline.expressions import render
from azdistill.engine.pipeline.run_settings import ProcessLayout, process_layout, timeout

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


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return int(listener.getsockname()[1])
