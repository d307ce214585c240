"""Identities and roles of the simulated workspace, as the real client reads them, and refused requests."""

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model
from azure.core.exceptions import HttpResponseError

from azdistill.azure.identities import assigned_identities
from azdistill.azure.submission import submit
from azdistill.contracts.errors import InputError
from tests.workspace.clients import client_for
from tests.workspace.credential import SimulatedCredential
from tests.workspace.first_day import IDENTITIES, FirstDayFault, compile_small_job, nothing, prepare
from tests.workspace.resources.managed_identities import DATA_SCIENTIST, JOBS, SECRETS_READER, Identities, UserAssigned
from tests.workspace.simulated import NAME, SimulatedWorkspace


def test_the_client_reads_the_identities_of_workspace_and_clusters(
    client: MLClient, workspace: SimulatedWorkspace
) -> None:
    """The principal of a mixed workspace is its user-assigned identity; its ids are raw fields of the SDK."""
    workspace.managed_identities.computes["cpu-cluster"] = Identities()
    of_workspace = assigned_identities(client.workspaces.get(NAME))
    assert of_workspace.system == workspace.managed_identities.workspace.system
    (jobs,) = of_workspace.user_assigned
    assert (jobs.name, jobs.client_id, jobs.principal_id) == ("jobs", JOBS.client_id, JOBS.principal_id)
    assert jobs.principal.object_id == JOBS.principal_id != of_workspace.system
    assert assigned_identities(client.compute.get("gpu-cluster")).user_assigned == (jobs,)
    without = assigned_identities(client.compute.get("cpu-cluster"))
    assert (without.system, without.user_assigned) == ("", ())


@pytest.mark.parametrize("role", [DATA_SCIENTIST, SECRETS_READER])
def test_without_a_role_the_operations_of_a_step_are_refused(workspace: SimulatedWorkspace, role: str) -> None:
    """AzureML Data Scientist writes models and reads connections, the secrets reader does the latter only."""
    prepare(workspace)
    workspace.roles.remove(DATA_SCIENTIST, JOBS.principal_id)
    workspace.roles.remove(SECRETS_READER, JOBS.principal_id)
    workspace.roles.assign(JOBS.principal_id, role, workspace.arm_id)
    model = Model(name="student", path="azureml://datastores/workspaceblobstore/paths/student", type="custom_model")
    with client_for(workspace, SimulatedCredential(JOBS.principal_id)) as step:
        step.connections.get("deepseek", populate_secrets=True)
        if role == DATA_SCIENTIST:
            step.models.create_or_update(model)
            return
        with pytest.raises(HttpResponseError, match="does not have authorization"):
            step.models.create_or_update(model)
    with (
        client_for(workspace, SimulatedCredential(UserAssigned("others").principal_id)) as other,
        pytest.raises(HttpResponseError, match="does not have authorization"),
    ):
        other.connections.get("deepseek", populate_secrets=True)


REFUSED = {
    "no_user_assigned_identity": "Compute 'serverless' needs a user-assigned identity of the workspace",
    "no_identity": "Compute 'cpu-cluster' needs a managed identity",
    "unknown_client_id": "has no identity with client id",
}


@pytest.mark.parametrize(
    "fault", [fault for fault in IDENTITIES if fault.code in REFUSED], ids=lambda fault: fault.name
)
def test_a_job_without_the_identity_of_its_compute_is_refused(
    client: MLClient, workspace: SimulatedWorkspace, tmp_path: Path, fault: FirstDayFault
) -> None:
    """Without the checks of `azdistill submit`, the workspace refuses the same jobs."""
    bundle = compile_small_job(tmp_path, **fault.sections)
    if fault.plant is not nothing:
        assert submit(client, bundle).status == "NotStarted"
        workspace.jobs.by_name.clear()
    fault.plant(workspace)
    with pytest.raises(InputError, match=REFUSED[fault.code]):
        submit(client, bundle)
    assert workspace.jobs.by_name == {}
