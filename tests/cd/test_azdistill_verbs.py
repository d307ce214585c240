"""Verbs that run `azdistill`: publish and deploy, with its exit codes."""

import pytest

from tests.cd.conftest import wait_for
from tests.cd.simulated_azure import SimulatedJob

URI = "azureml://registries/house/models/student/versions/3"
SUBSCRIPTION = {"AZURE_SUBSCRIPTION_ID": "subscription"}


@pytest.fixture
def deploy(cd):
    def call(*arguments, **variables):
        return cd("deploy", "--job", "job.yaml", "--model", URI, *arguments, **SUBSCRIPTION, **variables)

    return call


@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_deploy_ends_with_the_exit_code_of_azdistill(deploy, az, code):
    az.azdistill_codes = [code]
    assert deploy("--", "--take-over").code == code
    ((verb, *arguments),) = az.azdistill_calls
    assert (verb, arguments[:4]) == ("deploy", ["job.yaml", "--model", URI, "--take-over"])
    assert az.configs == [{"subscription_id": "subscription", "resource_group": "group", "workspace_name": "workspace"}]


def test_deploy_to_another_workspace_brings_the_answers_of_the_training(deploy, az, azure):
    azure.jobs["job-1.prepare"] = SimulatedJob(["Completed"], {"prompts": {"prompts.jsonl": "rows"}})
    azure.jobs["job-1.predict_student"] = SimulatedJob(["Completed"], {"predictions": {"predictions.jsonl": "answers"}})
    done = deploy("--answers", "job-1", SOURCE_RESOURCE_GROUP="dev", SOURCE_ML_WORKSPACE="mlw-dev")
    assert done.code == 0, done.err
    assert az.runs == [{"prepare/prompts/prompts.jsonl", "predict_student/predictions/predictions.jsonl"}]
    assert {call[call.index("--workspace-name") + 1] for call in az.calls} == {"mlw-dev"}


def test_a_job_without_answers_deploys_nothing(deploy, az):
    done = deploy("--answers", "job-1")
    assert (done.code, az.azdistill_calls) == (2, [])
    assert "job 'job-1': it has no node prepare" in done.err


@pytest.mark.parametrize(
    ("codes", "code", "calls"), [([0], 0, 1), ([1, 0], 0, 2), ([1, 1, 1, 0], 1, 3), ([2, 0], 2, 1)]
)
def test_publish_repeats_what_may_pass(cd, az, codes, code, calls):
    az.azdistill_codes = codes
    assert cd("publish", "--job", "job.yaml", "--wait", "0").code == code
    assert az.azdistill_calls == [("publish", "job.yaml", "--registry", "house")] * calls


def test_a_dry_run_prints_the_command(cd, az):
    done = cd("publish", "--job", "job.yaml", "--dry-run")
    assert (done.code, done.out.strip(), az.azdistill_calls) == (0, "azdistill publish job.yaml --registry house", [])


def test_a_long_deployment_logs_in_again(cd, az, azure, oidc):
    az.azdistill_seconds = 0.5
    done = cd("deploy", "--job", "job.yaml", "--model", URI, "--renew", "0.1", **oidc.variables)
    assert done.code == 0
    assert azure.logins[0] == "oidc-token-1"


def test_an_interrupted_deployment_lets_azdistill_end_by_itself(start, az):
    az.azdistill_seconds = 90
    with start("deploy", "--job", "job.yaml", "--model", URI, **SUBSCRIPTION) as process:
        wait_for(lambda: az.azdistill_calls)
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 130
