"""One job of the stand-in, which is where the test's script says it is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

ENDED = {"Completed", "Failed", "Canceled"}


@dataclass
class Job:
    """`script` is the way it goes: each look moves it on by one status, and it stays at the last.

    Looks are a GET of the job and a GET of its run or the run's details. `error` is
    what run history says of a failed one. `children` are the nodes of a pipeline, each
    with a script of its own; `node` is a child's name in its pipeline.
    """

    name: str
    properties: dict[str, Any]
    script: list[str]
    node: str | None = None
    error: str = "Execution failed. User process exited with status code 1."
    children: list["Job"] = field(default_factory=list)

    @classmethod
    def sent(cls, name: str, properties: dict[str, Any], script: Sequence[str]) -> "Job":
        """A job as it was sent, with a child for each node of a pipeline."""
        nodes = properties.get("jobs") or {}
        children = [cls(f"{name}-{node}", {}, list(script), node) for node in nodes]
        return cls(name, properties, list(script), children=children)

    @property
    def status(self) -> str:
        return self.script[0]

    def look(self) -> str:
        """Its status now; then it moves on."""
        now = self.status
        if len(self.script) > 1:
            self.script.pop(0)
        return now

    def child(self, node: str) -> "Job":
        return next(child for child in self.children if child.node == node)

    def child_run(self, name: str) -> "Job":
        return next(child for child in self.children if child.name == name)

    def cancel(self) -> None:
        for job in (self, *self.children):
            if job.status not in ENDED:
                job.script = ["Canceled"]
