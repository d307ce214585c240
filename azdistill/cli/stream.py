"""azdistill stream: show the log of a job in Azure ML until the job ends."""

from typing import TYPE_CHECKING

import typer

from azdistill.cli.render import PrintableStream, print_text
from azdistill.cli.workspace import Config, JobName

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.azure.nodes import NodeStatus


def stream(context: typer.Context, name: JobName, config: Config = None) -> None:
    """Show the log of a job in Azure ML until the job ends.

    A line tells each new status of a node, and why a node waits. Ctrl-C ends only the display: the job continues.

    Example: azdistill stream phi-4-mini-3f2a9c1b04de-1

    Exit codes: 0 the job completed, 1 it failed, 2 wrong input, 3 the gate refused the student, 4 gate.json cannot be
    read, 130 interrupted.
    """
    from azdistill.cli.workspace import workspace_client

    stream_job(workspace_client(context, config), name)


def _print_node(node: "NodeStatus") -> None:
    print_text(f"{node.node}: {' - '.join(filter(None, (node.status, node.waits_for)))}", flush=True)


def stream_job(client: "MLClient", name: str) -> None:
    """Print the log of a job until it ends. Raises NodeFailed, GateRefused or GateUnknown if it did not succeed."""
    import contextlib
    import sys

    from azdistill.azure import jobs

    with contextlib.redirect_stdout(PrintableStream(sys.stdout)):  # the SDK prints the log
        job = jobs.stream(client, name, on_node=_print_node)
    print_text(f"job {job.name}: {job.status}")
    print_text(f"download its outputs:  azdistill download {job.name}")
