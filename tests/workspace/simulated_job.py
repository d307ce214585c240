"""A job of the simulated workspace. It runs nothing: a script of statuses says how it goes on."""

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

    def cancel(self) -> None:
        for job in (self, *self.children):
            if job.status not in ENDED:
                job.script = ["Canceled"]
