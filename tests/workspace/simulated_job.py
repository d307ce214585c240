"""A job of the simulated workspace. It runs nothing: a script lists its statuses."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

ENDED = {"Completed", "Failed", "Canceled"}
# Log of the build of an image. Source: "Monitor and view ML run logs" of the Azure ML documentation.
IMAGE_BUILD_LOG = "azureml-logs/20_image_build_log.txt"


@dataclass
class SimulatedJob:
    """`script` lists its statuses. Each GET of the job, its run or the run's details moves to the next one, up to the
    last.

    `error` is the message of run history for a failed job, and `image_failed` whether its image could not be built, in
    which case it never ran. `children` are the nodes of a pipeline, each with its own
    script; `node` is a child's name in its pipeline.
    """

    name: str
    properties: dict[str, Any]
    script: list[str]
    node: str | None = None
    error: str = "Execution failed. User process exited with status code 1."
    image_failed: bool = False
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

    def fail_to_build_image(self, node: str) -> None:
        """Let a pipeline end as Failed because the image of a node could not be built. The other nodes do not start."""
        self.end("Failed", [node])
        self.child(node).image_failed = True
        self.children = [child for child in self.children if child.image_failed]

    def root_error(self) -> dict[str, Any]:
        """The error of a failed job in run history. Source of that of an image: the output in
        https://github.com/MG-Cafe/MLOps_Workshop/issues/8."""
        if not self.image_failed:
            return {"code": "UserError", "message": self.error}
        text = "Image build failed. For more details, check log file {ArtifactPath}."
        return {
            "code": "UserError",
            "message": text.format(ArtifactPath=IMAGE_BUILD_LOG),
            "messageFormat": text,
            "messageParameters": {"ArtifactPath": IMAGE_BUILD_LOG},
            "details": [],
            "innerError": {"code": "BadArgument"},
        }

    def cancel(self) -> None:
        for job in (self, *self.children):
            if job.status not in ENDED:
                job.script = ["Canceled"]
