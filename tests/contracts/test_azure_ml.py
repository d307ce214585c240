"""A process recognises a job of Azure ML by its workspace: a local run sets the id of the job too."""

import pytest

from azdistill.azure_rest.workspace import has_workspace
from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.engine.job_variables import GROUP, RUN_ID, SIMULATED_SUBSCRIPTION, SUBSCRIPTION, WORKSPACE
from tests.job_variables import job_variables

NAMES = {GROUP: "group", WORKSPACE: "workspace"}


@pytest.mark.parametrize(
    ("environ", "job"),
    [
        (job_variables("run-7"), "run-7"),
        ({RUN_ID: "run-7"}, None),
        ({RUN_ID: "run-7", SUBSCRIPTION: SIMULATED_SUBSCRIPTION}, None),
        ({SUBSCRIPTION: "11111111-1111-1111-1111-111111111111"}, None),
        ({}, None),
    ],
)
def test_a_job_of_azure_ml_has_an_id_and_a_workspace(environ, job):
    assert azure_ml_job(environ) == job
    assert has_workspace(environ | NAMES) == (
        environ.get(SUBSCRIPTION, SIMULATED_SUBSCRIPTION) != SIMULATED_SUBSCRIPTION
    )
