"""Checks of doctor for the endpoint of a job."""

from typing import TYPE_CHECKING

from azdistill.azure.checks.deployment import check_deployment
from tests.azure.deployments import Deployments, job_with

if TYPE_CHECKING:
    from pathlib import Path

    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace

FAMILY = "standardNCADSA100v4Family"


def test_quota_and_endpoint(client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: "Path") -> None:
    workspace.computes.quota[FAMILY] = (0, 48)
    quota, endpoint = check_deployment(client, job_with())
    assert str(quota).startswith(
        "endpoint 'support': 48 cores needed (1 of Standard_NC24ads_A100_v4, and 20% more), 48 of"
    )
    assert (quota.status, str(endpoint)) == ("ok", "endpoint 'support': does not exist; azdistill deploy creates it")
    Deployments(client, workspace, tmp_path).roll_out("1")
    assert str(list(check_deployment(client, job_with()))[1]) == "endpoint 'support': exists, traffic: blue 100%"
    workspace.online["support"].state = "Failed"
    state = list(check_deployment(client, job_with()))[1]
    assert (state.status, "its provisioning state is Failed" in str(state)) == ("unknown", True)


def test_too_little_quota_is_no_problem_of_the_job(client: "MLClient", workspace: "SimulatedWorkspace") -> None:
    workspace.computes.quota[FAMILY] = (24, 48)
    quota, _ = check_deployment(client, job_with())
    assert (quota.status, "24 of 48 left in eastus2; request quota" in str(quota)) == ("unknown", True)
    size, _ = check_deployment(client, job_with(instance_type="Standard_NC1new_v9"))
    assert (size.status, "eastus2 has no VM size Standard_NC1new_v9" in str(size)) == ("unknown", True)


def test_a_job_without_an_endpoint_has_no_result(client: "MLClient") -> None:
    job = job_with().model_copy(update={"deployment": None})
    assert list(check_deployment(client, job)) == []
