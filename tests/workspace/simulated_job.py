"""A job of the simulated workspace. It runs nothing: a script lists its statuses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

ENDED = {"Completed", "Failed", "Canceled"}


@dataclass
class SimulatedJob:
    """`script` lists its statuses. Each GET of the job, its run or the run's details moves to the next one, up to the
    last.

    `error` is the message of run history for a failed job. `children` are the nodes of a pipeline, each with its own
    script; `node` is a child's name in its pipeline.
    """

    name: str
    properties: dict[str, Any]
    script: list[str]
    node: str | None = None
    error: str = "Execution failed. User process exited with status code 1."
    children: list["SimulatedJob"] = field(default_factory=list)

    @classmethod
    def submitted(cls, name: str, properties: dict[str, Any], script: Sequence[str]) -> "SimulatedJob":
        """A submitted job, with a child for each node of a pipeline."""
        nodes = properties.get("jobs") or {}
        children = [cls(f"{name}-{node}", {}, list(script), node) for node in nodes]
        return cls(name, properties, list(script), children=children)

    @property
    def status(self) -> str:
        return self.script[0]

    def next_status(self) -> str:
        """The status now; the next call returns the next one."""
        now = self.status
        if len(self.script) > 1:
            self.script.pop(0)
        return now

    def child(self, node: str) -> "SimulatedJob":
        return next(child for child in self.children if child.node == node)

    def child_run(self, name: str) -> "SimulatedJob":
        return next(child for child in self.children if child.name == name)

    def end(self, status: str, failed: Sequence[str] = ()) -> None:
        """Let a pipeline end with `status`, its nodes `failed` with Failed, and its other nodes with Completed.

        A pipeline with failed nodes that continues on their failure is reported as Failed or as Completed; any other
        one as Failed.
        """
        continues = (self.properties.get("settings") or {}).get("continue_on_step_failure")
        possible = {"Failed", "Completed"} if failed and continues else {"Failed"} if failed else {"Completed"}
        assert status in possible, f"Azure ML does not report {status} for this pipeline"
        self.script = ["Running", status]
        for child in self.children:
            child.script = ["Failed" if child.node in failed else "Completed"]

    def cancel(self) -> None:
        for job in (self, *self.children):
            if job.status not in ENDED:
                job.script = ["Canceled"]
