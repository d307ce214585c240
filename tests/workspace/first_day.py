"""Faults of a workspace or a job that end the first day's job on Azure, each with the check result that reports it.

`FAULTS` is the table. tests/azure/test_first_day.py plants each one in a simulated workspace and runs the checks of
`azdistill submit`; the benchmark counts how many are reported.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azdistill.azure.checks.result import CheckResult, Status
    from tests.workspace.simulated import SimulatedWorkspace

Plant = Callable[["SimulatedWorkspace"], None]


def nothing(_: "SimulatedWorkspace") -> None:
    """The fault is in the job."""


@dataclass(frozen=True)
class FirstDayFault:
    """A fault, and what the checks of a bundle say about it.

    `plant` changes a prepared workspace, in which the job has no problem; `sections` replace sections of the job and
    `edit` changes its bundle. The result has this `status` and `code`, is about `checked`, and its command contains
    `command`.
    """

    name: str
    plant: Plant
    checked: str
    code: str
    status: "Status" = "problem"
    sections: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    edit: Callable[[Path], None] = lambda _: None

    def is_reported(self, results: Iterable["CheckResult"]) -> bool:
        """Whether one of the results reports this fault."""
        return any(
            result.problem is not None
            and (result.checked, result.status, result.problem.code) == (self.checked, self.status, self.code)
            and self.command in result.problem.command
            for result in results
        )


def prepare(workspace: "SimulatedWorkspace") -> None:
    """Add what the job of a bundle needs, and an empty workspace does not have."""
    workspace.connections.by_name["deepseek"] = {
        "category": "Serverless",
        "target": "https://deepseek.eastus2.models.ai.azure.com",
        "authType": "ApiKey",
        "credentials": {"key": "a key"},
    }


def _no_connection(workspace: "SimulatedWorkspace") -> None:
    workspace.connections.by_name.clear()


CLUSTERS = {"cpu": "cpu-cluster", "gpu": "gpu-cluster"}

RESOURCES = [
    FirstDayFault(
        "the connection is missing", _no_connection, "connection 'deepseek'", "not_found", command="--name deepseek"
    ),
    FirstDayFault(
        "the cluster is missing",
        nothing,
        "compute 'no-cluster'",
        "not_found",
        sections={"compute": CLUSTERS | {"gpu": "no-cluster"}},
        command="az ml compute create --type AmlCompute --name no-cluster",
    ),
    FirstDayFault(
        "the region has no such VM size",
        nothing,
        "serverless Standard_ND99",
        "no_such_vm_size",
        sections={"compute": {"gpu_instance_type": "Standard_ND99"}},
        command="az ml compute list-sizes",
    ),
]


def _replace(file: str, pattern: str, text: str) -> Callable[[Path], None]:
    """Replace every match of `pattern` in a file of the bundle."""

    def edit(bundle: Path) -> None:
        path = bundle / file
        content = path.read_text(encoding="utf-8")
        assert re.search(pattern, content), f"{file} has no {pattern!r}"
        path.write_text(re.sub(pattern, text, content), encoding="utf-8")

    return edit


GPU_ENVIRONMENT, GPU_PACKAGES = "environments/gpu/environment.yml", "environments/gpu/conda.yml"
ENVIRONMENTS = [
    FirstDayFault(
        "torch for CUDA 13 on a VM with Azure's GRID driver",
        nothing,
        "environment 'azdistill-gpu'",
        "driver_too_old",
        "unknown",
        {"compute": {"gpu_instance_type": "Standard_NV36ads_A10_v5"}},
        edit=_replace(GPU_PACKAGES, r"-cu12==", "-cu13=="),
    ),
    FirstDayFault(
        "the base image is off Microsoft's list",
        nothing,
        "environment 'azdistill-gpu'",
        "unsupported_image",
        "unknown",
        edit=_replace(GPU_ENVIRONMENT, r"openmpi5.0\S+", "openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04:20250101.v1"),
    ),
    FirstDayFault(
        "the base image has no dated tag",
        nothing,
        "environment 'azdistill-gpu'",
        "unpinned_image",
        "unknown",
        edit=_replace(GPU_ENVIRONMENT, r":\d{8}\.v\d+", ""),
    ),
    FirstDayFault(
        "azureml-mlflow is too old",
        nothing,
        "environment 'azdistill-gpu'",
        "old_package",
        edit=_replace(GPU_PACKAGES, r"azureml-mlflow==\S+", "azureml-mlflow==1.60.0"),
    ),
]

FAULTS = [*RESOURCES, *ENVIRONMENTS]
