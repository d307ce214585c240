"""Section `deployment` of a job: the endpoints that serve the student. No step of the pipeline reads it.

Limits: https://learn.microsoft.com/azure/machine-learning/how-to-manage-quotas (managed online endpoints), and the name
pattern of azure-ai-ml.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from azdistill.contracts.problems import Problem
from azdistill.engine.pipeline.vm_sizes import check_name, gpu_count
from azdistill.job.partial_model import run_checks

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

ENDPOINT_NAME = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
MAX_NAME_LENGTH = 32
MAX_INSTANCES = 50
MAX_REQUEST_TIMEOUT_MS = 180_000
MAX_MIRROR_PERCENT = 50

# The image of vLLM 0.28.0 for amd64 and arm64. Several public repositories pin this digest; it was not pulled here.
DEFAULT_IMAGE = (
    "docker.io/vllm/vllm-openai:v0.28.0@sha256:61fc8a896b0a4fbbbdc063bc4b0dbc25ce98e02b5050c24aeb7830ac02039b14"
)

Percent = Annotated[int, Field(ge=1, le=100)]


class DeploymentModel(BaseModel):
    """Base of the models of this section."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class AutoscaleSection(DeploymentModel):
    """Number of VMs by the utilization of their GPUs."""

    min_instances: int = Field(
        1, ge=1, le=MAX_INSTANCES, description="Least number of VMs. An online deployment cannot have none."
    )
    max_instances: int = Field(ge=1, le=MAX_INSTANCES, description="Largest number of VMs.")
    target_utilization: int = Field(
        70,
        ge=10,
        le=95,
        description="Utilization of the GPUs above which a VM is added, percent. Below half of it one is removed.",
    )


class DeploymentSection(DeploymentModel):
    """The managed online endpoint that serves the student, and its rollout by `azdistill deploy`."""

    endpoint_name: str = Field(
        pattern=ENDPOINT_NAME,
        min_length=3,
        max_length=MAX_NAME_LENGTH,
        description="Name of the endpoint, unique in the region. An endpoint that does not exist is created.",
    )
    batch_endpoint_name: str | None = Field(
        None,
        pattern=ENDPOINT_NAME,
        min_length=3,
        max_length=MAX_NAME_LENGTH,
        description="Name of the batch endpoint of `azdistill deploy --batch`, unique in the region. Default: "
        "endpoint_name followed by -batch.",
    )
    engine: Literal["vllm"] = Field("vllm", description="Server that answers the requests.")
    image: str = Field(
        DEFAULT_IMAGE,
        pattern=r"^[a-z0-9][a-z0-9._:/-]*@sha256:[0-9a-f]{64}$",
        description="Image of the server, by digest.",
    )
    instance_type: str = Field("Standard_NC24ads_A100_v4", pattern=r"^\w+$", description="VM size.")
    instance_count: int = Field(1, ge=1, le=MAX_INSTANCES, description="Number of VMs without section autoscale.")
    autoscale: AutoscaleSection | None = Field(
        None, description="Change the number of VMs with the load. Default: instance_count VMs."
    )
    max_model_length: int | None = Field(
        None, ge=16, description="Most tokens of a request with its answer. Default: the context of the student."
    )
    max_concurrent_requests: int = Field(
        64, ge=1, le=1000, description="Most requests that one VM answers at the same time. More of them get HTTP 429."
    )
    request_timeout_ms: int = Field(
        MAX_REQUEST_TIMEOUT_MS, ge=1000, le=MAX_REQUEST_TIMEOUT_MS, description="Time limit of a request, milliseconds."
    )
    startup_seconds: int = Field(
        500, ge=10, le=3600, description="Time that a VM has to load the student before it is restarted."
    )
    identity: str | None = Field(
        None,
        pattern=r"^(/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.ManagedIdentity/"
        r"userAssignedIdentities/)?[A-Za-z0-9][A-Za-z0-9_-]{2,127}$",
        description="User-assigned identity of the endpoint: its resource id, or its name in the resource group of the "
        "workspace. Default: a system-assigned identity, which Azure creates with the endpoint.",
    )
    public_network_access: Literal["enabled", "disabled"] = Field(
        "enabled",
        description="disabled: only networks with a private endpoint of the workspace reach the endpoint, so "
        "`azdistill deploy` has to run in one.",
    )
    egress_public_network_access: Literal["enabled", "disabled"] = Field(
        "disabled",
        description="disabled: the VMs reach no public network. In a workspace with a managed virtual network, its "
        "rules apply instead.",
    )
    smoke_rows: int = Field(20, ge=1, le=200, description="Number of test rows that a new deployment has to answer.")
    smoke_agreement: float = Field(
        0.8,
        ge=0,
        le=1,
        description="Least fraction of these rows that have the answer of the evaluation. Another GPU and another "
        "server compute slightly different numbers, which changes a few long answers.",
    )
    mirror_percent: int = Field(
        10,
        ge=0,
        le=MAX_MIRROR_PERCENT,
        description="Percent of the requests that are copied to a new deployment before it answers any. 0: none.",
    )
    traffic: tuple[Percent, ...] = Field(
        (10, 50, 100),
        min_length=1,
        max_length=10,
        description="Percent of the requests that a new deployment answers, step by step.",
    )
    step_minutes: float = Field(
        5,
        ge=0,
        le=1440,
        allow_inf_nan=False,
        description="Time to wait while requests are mirrored, and after each step of traffic, before the next check.",
    )

    @property
    def min_instances(self) -> int:
        """Number of VMs that are always rented."""
        return self.autoscale.min_instances if self.autoscale else self.instance_count


def deployment_problems(job: "DistillationJob") -> Iterator[Problem]:
    """The errors that need several fields of the section. Its invalid fields are reported elsewhere."""
    if job.deployment is not None:
        yield from run_checks((_vm_size, _instances, _traffic), job.deployment)
        yield from run_checks((_answer_length,), job)


def _error(code: str, field: tuple[str | int, ...], value: Any, message: str, fix: str) -> Problem:
    return Problem(code=code, message=message, fix=fix, field=("deployment", *field), value=value)


def _vm_size(deployment: DeploymentSection) -> Iterator[Problem]:
    """A VM size that exists and has a GPU."""
    name = deployment.instance_type
    problem = check_name(name)
    if problem and problem.severity == "error":
        yield _error(problem.code, ("instance_type",), name, problem.message, problem.fix)
    elif not problem and not gpu_count(name):
        yield _error("no_gpu", ("instance_type",), name, "has no GPU, and vLLM needs one", "choose another VM size")


def _instances(deployment: DeploymentSection) -> Iterator[Problem]:
    autoscale = deployment.autoscale
    if autoscale is None:
        return
    if autoscale.min_instances > autoscale.max_instances:
        message, fix = f"must be at least min_instances, {autoscale.min_instances}", "raise it, or lower min_instances"
        yield _error("out_of_range", ("autoscale", "max_instances"), autoscale.max_instances, message, fix)
    if deployment.instance_count != 1:
        message, fix = (
            "is for a fixed number of VMs, and autoscale sets it",
            "remove it, and use autoscale.min_instances",
        )
        yield _error("incompatible_fields", ("instance_count",), deployment.instance_count, message, fix)


def _traffic(deployment: DeploymentSection) -> Iterator[Problem]:
    """Steps rise, and the last one is all traffic."""
    steps = deployment.traffic
    for index, (before, after) in enumerate(pairwise(steps), 1):
        if after <= before:
            message = f"must be more than the step before it, {before}"
            yield _error("wrong_order", ("traffic", index), after, message, "write the steps in rising order")
    if steps[-1] != 100:
        field = ("traffic", len(steps) - 1)
        yield _error("out_of_range", field, steps[-1], "the last step must be 100: all requests", "add the step 100")


def _answer_length(job: "DistillationJob") -> Iterator[Problem]:
    """A request has room for the answers that were evaluated."""
    deployment, answer = job.deployment, job.predict.max_new_tokens
    limit = deployment.max_model_length if deployment else None
    if limit is not None and limit <= answer:
        message = f"leaves no room for a prompt: answers have up to predict.max_new_tokens, {answer}"
        yield _error("out_of_range", ("max_model_length",), limit, message, f"set at least {2 * answer}")
