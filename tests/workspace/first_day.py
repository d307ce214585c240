"""Faults of a workspace or a job that end the first day's job on Azure, each with the check result that reports it.

`FAULTS` is the table. tests/azure/test_first_day.py plants each one in a simulated workspace and runs the checks of
`azdistill submit`; the benchmark counts how many are reported.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.workspace.resources.managed_identities import (
    ACR_PULL,
    BLOB_CONTRIBUTOR,
    BLOB_READER,
    DATA_SCIENTIST,
    JOBS,
    SECRETS_READER,
    Identities,
    UserAssigned,
)

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

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
    `command`. What other tools fail on and a job survives has the status ok.
    """

    name: str
    plant: Plant
    checked: str
    code: str = ""
    status: "Status" = "problem"
    sections: Mapping[str, Any] = field(default_factory=dict)
    command: str = ""
    edit: Callable[[Path], None] = lambda _: None

    def report(self, results: Iterable["CheckResult"]) -> "CheckResult | None":
        """The result that reports this fault."""
        for result in results:
            code, command = (result.problem.code, result.problem.command) if result.problem else ("", "")
            about = (result.checked, result.status, code)
            if about == (self.checked, self.status, self.code) and self.command in command:
                return result
        return None


STUDENT = "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1"
BLOB_STORE = "azureml://datastores/workspaceblobstore/paths/"


def compile_small_job(folder: Path, **sections: object) -> Path:
    """The bundle of a job for a workspace, in `folder`. `sections` replace those of the job."""
    from azdistill.job.bundle import compile_job
    from azdistill.job.model import DistillationJob

    return compile_job(DistillationJob.model_validate(small_job(folder, **sections)), folder / "bundle").parent


def small_job(folder: Path, **sections: object) -> dict[str, object]:
    """Values of that job, whose rows are written to `folder`."""
    rows = [{"messages": [{"role": "user", "content": f"row {n}"}], "gold": "yes"} for n in range(30)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {
        "name": "small",
        "task": "conversation",
        "data": {"training_data": str(folder / "rows.jsonl")},
        "teacher": {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]},
        "student": {"model": STUDENT},
        "train": {"gradient_checkpointing": True},  # so that it fits the GPU of the clusters
        **sections,
    }


def check_with(
    fault: FirstDayFault, workspace: "SimulatedWorkspace", client: "MLClient", folder: Path
) -> "list[CheckResult]":
    """Plant a fault in an empty workspace and run the checks of `azdistill submit`."""
    from azdistill.azure.checks.bundle import check_bundle

    prepare(workspace)
    fault.plant(workspace)
    bundle = compile_small_job(folder, **fault.sections)
    fault.edit(bundle)
    return list(check_bundle(client, bundle))


def prepare(workspace: "SimulatedWorkspace") -> None:
    """Add what the job of a bundle needs, and an empty workspace does not have."""
    workspace.connections.by_name["deepseek"] = {
        "category": "Serverless",
        "target": "https://deepseek.eastus2.models.ai.azure.com",
        "authType": "ApiKey",
        "credentials": {"key": "a key"},
    }
    _put_rows(workspace, "uri_file")
    for container in workspace.datastores.containers.values():
        workspace.blobs.write(container, "rows", b"{}")


def _put_rows(workspace: "SimulatedWorkspace", type: str) -> None:
    workspace.assets.put("data", "rows", "1", {"dataType": type, "dataUri": f"{BLOB_STORE}rows"})


def _no_connection(workspace: "SimulatedWorkspace") -> None:
    workspace.connections.by_name.clear()


def _rows_in_a_folder(workspace: "SimulatedWorkspace") -> None:
    _put_rows(workspace, "uri_folder")


def _folder_of_rows(workspace: "SimulatedWorkspace") -> None:
    workspace.blobs.write(workspace.datastores.containers["workspaceblobstore"], "rows/1.jsonl", b"{}")


def _rows_in_another_account(workspace: "SimulatedWorkspace") -> None:
    """A datastore without a key, of an account on which the jobs have no role."""
    workspace.datastores.identity = True
    workspace.datastores.accounts["workspaceartifactstore"] = "lakeaccount"


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
    FirstDayFault(
        "the student is declared with another type than it is registered with",
        nothing,
        f"inputs.student {STUDENT!r}",
        "type_mismatch",
        "unknown",
        sections={"student": {"model": STUDENT, "type": "custom_model"}},
    ),
    FirstDayFault(
        "the training data is registered as a folder",
        _rows_in_a_folder,
        "inputs.training_data 'azureml:rows:1'",
        "type_mismatch",
        sections={"data": {"training_data": "azureml:rows:1"}},
    ),
    FirstDayFault(
        "the student is not where its address says",
        nothing,
        f"inputs.student {BLOB_STORE + 'phi-4-mini'!r}",
        "not_found",
        sections={"student": {"model": f"{BLOB_STORE}phi-4-mini"}},
    ),
    FirstDayFault(
        "the address of a folder in a datastore has no slash at its end",
        _folder_of_rows,
        f"inputs.training_data {BLOB_STORE + 'rows'!r}",
        "type_mismatch",
        sections={"data": {"training_data": f"{BLOB_STORE}rows"}},
    ),
    FirstDayFault(
        "the datastore of the training data is missing",
        nothing,
        "inputs.training_data 'azureml://datastores/lake/paths/rows/'",
        "not_found",
        sections={"data": {"training_data": "azureml://datastores/lake/paths/rows/"}},
        command="az ml datastore list",
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
        "torch for CUDA 13 on a cluster with Azure's GRID driver",
        lambda workspace: workspace.computes.sizes.update({"gpu-cluster": "STANDARD_NV36ADS_A10_V5"}),
        "environment 'azdistill-gpu'",
        "driver_too_old",
        "unknown",
        {"compute": CLUSTERS},
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


def _system_assigned_only(workspace: "SimulatedWorkspace") -> None:
    """The workspace has only a system-assigned identity, as `az ml workspace create` creates it."""
    workspace.managed_identities.workspace.user.clear()


def _two_on_workspace(workspace: "SimulatedWorkspace") -> None:
    workspace.managed_identities.workspace.user.append(UserAssigned("others"))


def _two_on_cluster(workspace: "SimulatedWorkspace") -> None:
    workspace.managed_identities.computes["gpu-cluster"] = Identities(user=[JOBS, UserAssigned("others")])


def _cluster_without_identity(workspace: "SimulatedWorkspace") -> None:
    workspace.managed_identities.computes["cpu-cluster"] = Identities()


def _kubernetes(workspace: "SimulatedWorkspace") -> None:
    workspace.computes.types["gpu-cluster"] = "Kubernetes"


SERVERLESS_IDENTITY, CPU_IDENTITY, GPU_IDENTITY = (
    f"identity on {compute}" for compute in ("serverless compute", "compute 'cpu-cluster'", "compute 'gpu-cluster'")
)
OTHER_CLIENT = "55555555-5555-5555-5555-555555555555"

IDENTITIES = [
    FirstDayFault(
        "serverless compute, and the workspace has a system-assigned identity only",
        _system_assigned_only,
        SERVERLESS_IDENTITY,
        "no_user_assigned_identity",
        command="az identity create --name simulated-jobs",
    ),
    FirstDayFault(
        "the workspace has two user-assigned identities, and the job names none",
        _two_on_workspace,
        SERVERLESS_IDENTITY,
        "ambiguous_identity",
    ),
    FirstDayFault(
        "the cluster has two user-assigned identities, and the job names none",
        _two_on_cluster,
        GPU_IDENTITY,
        "ambiguous_identity",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the client id is of no identity of the workspace",
        nothing,
        SERVERLESS_IDENTITY,
        "unknown_client_id",
        sections={"compute": {"identity": {"client_id": OTHER_CLIENT}}},
    ),
    FirstDayFault(
        "a client id, and the cluster has a system-assigned identity",
        nothing,
        CPU_IDENTITY,
        "unknown_client_id",
        sections={"compute": CLUSTERS | {"identity": {"client_id": JOBS.client_id}}},
    ),
    FirstDayFault(
        "the cluster has no identity",
        _cluster_without_identity,
        CPU_IDENTITY,
        "no_identity",
        sections={"compute": CLUSTERS},
        command="az ml compute update --name cpu-cluster --identity-type SystemAssigned",
    ),
    FirstDayFault(
        "on behalf of the user, on Kubernetes",
        _kubernetes,
        GPU_IDENTITY,
        "user_not_on_cluster",
        sections={"compute": CLUSTERS | {"identity": {"type": "user_identity"}}},
    ),
]


def without_role(role: str) -> Plant:
    """Remove a role from the user-assigned identity of the jobs."""
    return lambda workspace: workspace.roles.remove(role, JOBS.principal_id)


def _no_role_on_storage(workspace: "SimulatedWorkspace") -> None:
    workspace.datastores.identity = True
    without_role(BLOB_CONTRIBUTOR)(workspace)


def _no_container_registry(workspace: "SimulatedWorkspace") -> None:
    workspace.has_container_registry = False


def _hidden_roles(workspace: "SimulatedWorkspace") -> None:
    workspace.roles.readable = False


def _conditional_role(workspace: "SimulatedWorkspace") -> None:
    """A role with a condition may not allow what the steps do."""
    without_role(DATA_SCIENTIST)(workspace)
    condition = "@Resource[...] StringEquals 'a'"
    workspace.roles.assign(JOBS.principal_id, DATA_SCIENTIST, workspace.arm_id, condition)


SCIENTIST_OF_JOBS = "role 'AzureML Data Scientist' of identity 'jobs' on simulated"
ROLES = [
    FirstDayFault(
        "register may not write models",
        without_role(DATA_SCIENTIST),
        SCIENTIST_OF_JOBS,
        "role_missing",
        command=f"--role {DATA_SCIENTIST} --assignee-object-id {JOBS.principal_id}",
    ),
    FirstDayFault(
        "the teacher step may not read connections",
        without_role(SECRETS_READER),
        "role 'Azure Machine Learning Workspace Connection Secrets Reader' of identity 'jobs' on simulated",
        "role_unknown",  # AzureML Data Scientist may allow it
        "unknown",
        command=f"--role {SECRETS_READER} --assignee-object-id {JOBS.principal_id}",
    ),
    FirstDayFault(
        "the compute may not pull images",
        without_role(ACR_PULL),
        "role 'AcrPull' of identity 'jobs' on simulated",
        "role_missing",
        command=f"--role {ACR_PULL} --assignee-object-id {JOBS.principal_id}",
    ),
    FirstDayFault(
        "no image has been built in the workspace yet",
        _no_container_registry,
        "container registry",
        "no_registry",
        "unknown",
    ),
    FirstDayFault(
        "steps may not write to a storage account without keys",
        _no_role_on_storage,
        "role 'Storage Blob Data Contributor' of identity 'jobs' on simulated",
        "role_missing",
        command=f"--role {BLOB_CONTRIBUTOR} --assignee-object-id {JOBS.principal_id}",
    ),
    FirstDayFault(
        "steps may not read the storage account of the training data",
        _rows_in_another_account,
        "role 'Storage Blob Data Reader' of identity 'jobs' on lakeaccount",
        "role_unknown",
        "unknown",
        {"data": {"training_data": "azureml://datastores/workspaceartifactstore/paths/rows"}},
        command=f"--role {BLOB_READER} --assignee-object-id {JOBS.principal_id}",
    ),
    FirstDayFault("the user may not list roles", _hidden_roles, SCIENTIST_OF_JOBS, "role_unknown", "unknown"),
    FirstDayFault("a role has a condition", _conditional_role, SCIENTIST_OF_JOBS, "role_unknown", "unknown"),
]


def with_quota(used: int, limit: int) -> Plant:
    """Quota of the GPU VM size of the jobs, in cores."""
    return lambda workspace: workspace.computes.quota.update({"standardNCADSA100v4Family": (used, limit)})


def with_size(size: str) -> Plant:
    """VM size of the GPU cluster."""
    return lambda workspace: workspace.computes.sizes.update({"gpu-cluster": size})


def with_type(name: str, type: str, state: str = "Running") -> Plant:
    """Type of a compute, and the state of a compute instance."""

    def plant(workspace: "SimulatedWorkspace") -> None:
        workspace.computes.types[name], workspace.computes.states[name] = type, state

    return plant


SERVERLESS_GPU, GPU_CLUSTER = "serverless Standard_NC24ads_A100_v4", "compute 'gpu-cluster'"
QUOTA = [
    FirstDayFault(
        "the quota is below what a VM needs", with_quota(0, 12), SERVERLESS_GPU, "quota_exceeded", command="list-usage"
    ),
    FirstDayFault("the quota is in use", with_quota(40, 48), SERVERLESS_GPU, "quota_in_use", "unknown"),
    FirstDayFault(
        "the quota is below what a node of the cluster needs",
        with_quota(0, 12),
        GPU_CLUSTER,
        "quota_exceeded",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "more instances than the cluster has nodes",
        nothing,
        "compute 'cpu-cluster'",
        "too_few_instances",
        sections={"compute": CLUSTERS | {"teacher_instances": 20}},
        command="az ml compute update --name cpu-cluster --max-instances 20",
    ),
    FirstDayFault(
        "more instances than a compute instance has",
        with_type("cpu-cluster", "ComputeInstance"),
        "compute 'cpu-cluster'",
        "too_few_instances",
        sections={"compute": CLUSTERS | {"teacher_instances": 2}},
    ),
    FirstDayFault(
        "the compute instance is stopped",
        with_type("gpu-cluster", "ComputeInstance", "Stopped"),
        GPU_CLUSTER,
        "not_running",
        "unknown",
        sections={"compute": CLUSTERS},
        command="az ml compute start --name gpu-cluster",
    ),
    FirstDayFault(
        "the compute is a Spark pool",
        with_type("gpu-cluster", "SynapseSpark"),
        GPU_CLUSTER,
        "no_command_jobs",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the compute is one that the client cannot read",
        with_type("gpu-cluster", "Databricks"),
        GPU_CLUSTER,
        "unknown_type",
        "unknown",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the GPU cluster has no GPU",
        with_size("STANDARD_E4S_V3"),
        GPU_CLUSTER,
        "too_few_gpus",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the VM size of the GPU steps has no GPU",
        nothing,
        "serverless Standard_E4s_v3",
        "too_few_gpus",
        sections={"compute": {"gpu_instance_type": "Standard_E4s_v3"}},
    ),
    FirstDayFault(
        "the GPU of the cluster is too small for the student",
        with_size("Standard_NC4as_T4_v3"),
        GPU_CLUSTER,
        "gpu_memory",
        "unknown",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the GPU that answers the test rows is too small for the student",
        nothing,
        "serverless Standard_NC4as_T4_v3",
        "prediction_memory",
        "unknown",
        sections={"compute": {"predict_instance_type": "Standard_NC4as_T4_v3"}},
    ),
    FirstDayFault(
        "the job uses one of several GPUs of the cluster's nodes",
        with_size("STANDARD_NC48ADS_A100_V4"),
        GPU_CLUSTER,
        "idle_gpus",
        "unknown",
        sections={"compute": CLUSTERS},
    ),
    FirstDayFault(
        "the region does not list the VM size of the cluster",
        with_size("STANDARD_NC6"),
        GPU_CLUSTER,
        "unknown_vm_size",
        "unknown",
        sections={"compute": CLUSTERS},
        command="az ml compute list-sizes",
    ),
]

FOUNDRY = {"category": "AIServices", "authType": "ApiKey", "target": "https://r.cognitiveservices.azure.com/"}
CREATE_CONNECTION = "az ml connection create --name deepseek"


def _connection(name: str, code: str = "", **properties: Any) -> FirstDayFault:
    """A connection to a Foundry resource with other `properties`."""

    def plant(workspace: "SimulatedWorkspace") -> None:
        workspace.connections.by_name["deepseek"] = {**FOUNDRY, "credentials": {"key": "a key"}, **properties}

    status: Status = "problem" if code else "ok"
    return FirstDayFault(name, plant, "connection 'deepseek'", code, status, command=CREATE_CONNECTION if code else "")


CONNECTIONS = [
    _connection("a connection to AI Services has no ResourceId, which the SDK cannot read"),
    _connection("a connection to AI Services has no metadata at all", metadata=None),
    _connection("a connection has no key but Entra ID", authType="AAD", credentials=None),
    _connection("the SDK does not know the authentication of a connection", "other_authentication", authType="New"),
    _connection("a connection has a user name and password", "other_authentication", authType="UsernamePassword"),
    _connection("the connection is one to Git", "other_category", category="Git", authType="PAT"),
    _connection("the connection is one to Redis", "other_category", category="Redis"),
    _connection("the connection is one to blob storage", "other_category", category="AzureBlob", authType="AccountKey"),
    _connection("a custom connection has no target", "no_target", category="CustomKeys", target=None),
    _connection("the target of a custom connection is no URL", "invalid_url", category="CustomKeys", target="_"),
    _connection(
        "the target is the scoring route of an online endpoint",
        "other_api",
        target="https://e.eastus2.inference.ml.azure.com/score",
    ),
    _connection(
        "the target is the Responses API", "other_api", target="https://r.openai.azure.com/openai/v1/responses"
    ),
]


def _local_model(section: str, **sections: Any) -> FirstDayFault:
    return FirstDayFault(
        f"the {section} runs on the user's machine",
        nothing,
        "teacher 'local'",
        "local_endpoint",
        sections=sections,
    )


LOCAL_MODEL = {"model": "local", "endpoint": "http://localhost:8000/v1"}
ENDPOINTS = [
    _local_model("teacher", teacher={"teachers": [LOCAL_MODEL]}),
    _local_model("judge", judge={"judge_model": LOCAL_MODEL, "rubric": "It is right."}),
]

FAULTS = [*RESOURCES, *ENVIRONMENTS, *IDENTITIES, *ROLES, *QUOTA, *CONNECTIONS, *ENDPOINTS]
