"""`azdistill doctor` with the simulated workspace: results, and the commands of the fixes."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jwt
import pytest
from azure.ai.ml import load_connection, load_workspace
from azure.ai.ml.entities import ServerlessConnection
from azure.core.credentials import AccessToken
from azure.identity import AzureCliCredential

from azdistill.cli.main import main
from tests.cli.conftest import Command, Done, folder
from tests.workspace.azurite import ACCOUNT
from tests.workspace.clients import client_for
from tests.workspace.credential import SIGNING_KEY, SimulatedCredential
from tests.workspace.first_day import STUDENT
from tests.workspace.resources.managed_identities import JOBS
from tests.workspace.simulated import GROUP, NAME, SUBSCRIPTION

__all__ = ["folder"]

PAGE = Path(__file__).parents[2] / "docs/doctor.md"
CONFIG = {"subscription_id": SUBSCRIPTION, "resource_group": GROUP, "workspace_name": NAME}
USER = {
    "oid": "22222222-2222-2222-2222-222222222222",
    "tid": "33333333-3333-3333-3333-333333333333",
    "upn": "you@example.com",
}
TENANT = "44444444-4444-4444-4444-444444444444"
CHALLENGE = {
    "www_authenticate": f'Bearer authorization_uri="https://login.windows.net/{TENANT}", error="invalid_token"'
}
GROUP_ID = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
SCOPE = f"{GROUP_ID}/providers/Microsoft.MachineLearningServices/workspaces/{NAME}"
WHERE = f"--workspace-name {NAME} --resource-group {GROUP} --subscription {SUBSCRIPTION}"
SCIENTIST = (
    "az role assignment create --role f6c7c914-8db3-469d-8ca1-694a8f32e121 "
    f"--assignee-object-id {USER['oid']} --assignee-principal-type User --scope {SCOPE}"
)
JOB = f"""\
name: tickets
task: conversation
data:
  training_data: ./rows.jsonl
  test_data: ./test.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek
student:
  model: {STUDENT}
"""


class UserCredential(SimulatedCredential):
    """Credential whose tokens have the claims of a user."""

    def get_token(self, *scopes, **options) -> AccessToken:
        token = super().get_token(*scopes, **options)
        claims = jwt.decode(token.token, options={"verify_signature": False})
        return AccessToken(jwt.encode({**claims, **USER}, SIGNING_KEY, "HS256"), token.expires_on)


@pytest.fixture
def credential() -> UserCredential:
    return UserCredential()


@pytest.fixture
def bare_path(tmp_path, monkeypatch) -> Path:
    """The only folder on PATH: without az and nvidia-smi of this machine. Variables of CI are unset."""
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.fixture
def doctor(folder, bare_path, monkeypatch, capfd, client) -> Command:
    """Run `azdistill doctor` with the client of the user, or with `mine`."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    for name, text in (("rows.jsonl", "hello"), ("test.jsonl", "good morning")):
        row = {"messages": [{"role": "user", "content": text}], "gold": "yes"}
        (folder / name).write_text(json.dumps(row) + "\n")
    (folder / "job.yaml").write_text(JOB)

    def call(*arguments, ml_client=client) -> Done:
        monkeypatch.setattr(sys, "argv", ["azdistill", "doctor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main(lambda _address: ml_client)
        return Done(ended.value.code, *capfd.readouterr())

    return call


def results(done: Done) -> dict[str, dict[str, Any]]:
    return {result["checked"]: result for result in json.loads(done.out)}


def test_the_example_in_the_documentation_is_what_it_prints(doctor):
    done = doctor("job.yaml")
    assert (done.code, done.err) == (2, "")
    (shown,) = re.findall(r"```\n\$ azdistill doctor job.yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert masked(done.out.replace(NAME, "distillation")) == masked(shown)


def masked(text: str) -> str:
    """Without versions and the path of the interpreter, which differ between machines."""
    return re.sub(r"(?<=, )/\S+python\S*", "PYTHON", re.sub(r"\b\d+(\.\d+)+[\w.+]*", "VERSION", text))


def test_a_workspace_without_problems(doctor, client):
    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="s3cret"))
    done = doctor("job.yaml", "--format", "json")
    checks = results(done)
    assert checks["connection 'deepseek'"]["detail"] == "category Serverless, authentication ApiKey, host h"
    assert done.code == 0
    assert checks["login"]["detail"] == f"as you@example.com, tenant {USER['tid']}"
    assert checks["workspace"]["status"] == checks["connection 'deepseek'"]["status"] == "ok"
    assert checks["role 'AzureML Data Scientist' of identity 'jobs' on simulated"]["status"] == "ok"
    assert [name for name, check in checks.items() if check["status"] == "unknown"] == ["teacher 'DeepSeek-V3.2'"]
    assert "s3cret" not in done.out


def test_a_judge_is_checked_like_a_teacher(doctor, folder, client):
    judge = "judge: {judge_model: {model: gpt-5.1, connection: boss}, rubric: Be right.}\n"
    (folder / "job.yaml").write_text(JOB + judge)
    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="k"))
    checks = results(doctor("job.yaml", "--format", "json"))
    assert checks["connection 'boss'"]["status"] == "problem"
    assert checks["judge 'gpt-5.1'"]["problem"]["code"] == "connection_only"
    client.connections.create_or_update(ServerlessConnection(name="boss", endpoint="https://j", api_key="k"))
    reachable = "endpoint: http://127.0.0.1:9/v1, key_variable: JUDGE_KEY"
    (folder / "job.yaml").write_text(JOB + judge.replace("connection: boss", f"connection: boss, {reachable}"))
    checks = results(doctor("job.yaml", "--format", "json"))
    assert checks["connection 'boss'"]["status"] == "ok"
    assert checks["judge 'gpt-5.1'"]["problem"]["code"] == "no_key"


@pytest.mark.parametrize(
    ("status", "headers", "command"),
    [
        (401, {}, f"az login && az account set --subscription {SUBSCRIPTION}"),
        (401, CHALLENGE, f"az login --tenant {TENANT} && az account set --subscription {SUBSCRIPTION}"),
        (403, {}, SCIENTIST),
        (404, {}, f"workspaces --subscription {SUBSCRIPTION} --output table"),
    ],
)
def test_for_a_workspace_that_does_not_open_it_prints_the_command(doctor, workspace, status, headers, command):
    workspace.faults.inject("GET", workspace.name, status, times=50, **headers)
    done = doctor("--format", "json")
    checks = list(results(done).values())
    assert done.code == 2
    assert [check["checked"] for check in checks if check["status"] == "problem"] == ["workspace"]
    assert checks[-1]["problem"]["command"].endswith(command)


def test_without_write_access_it_prints_the_role_on_the_account(doctor, workspace, credential):
    workspace.datastores.identity = True
    credential.audiences["https://storage.azure.com/.default"] = "https://vault.azure.net"
    check = results(doctor("--format", "json"))["default datastore"]
    account = f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    assert check["status"] == "problem"
    command = check["problem"]["command"]
    assert f"--role ba92f5b4-2d11-453d-a403-e96b0029c9fe --assignee-object-id {USER['oid']}" in command
    assert command.endswith(f" --scope {account}")


def test_the_command_that_adds_an_identity_to_the_workspace_can_be_pasted(doctor, folder, bare_path, workspace):
    """It writes YAML that the SDK reads: both kinds of identity, so that the workspace keeps its own."""
    workspace.managed_identities.workspace.user.clear()
    problem = results(doctor("job.yaml", "--format", "json"))["identity on serverless compute"]["problem"]
    pasted = paste(problem["command"], folder, bare_path)
    options = f"--resource-group {GROUP} --subscription {SUBSCRIPTION}"
    assert pasted == [
        f"identity create --name {NAME}-jobs {options} --query id --output tsv",
        f"ml workspace update --name {NAME} --file identity.yml {options}",
    ]
    loaded = load_workspace(folder / "identity.yml", params_override=[{"name": NAME}])
    sent = loaded.identity._to_workspace_rest_object().as_dict()
    assert sent["type"].lower() == "systemassigned,userassigned"  # the SDK's spelling; Azure ignores case
    assert sent["userAssignedIdentities"] == {"someone": {}}


def paste(command: str, folder: Path, bare_path: Path) -> list[str]:
    """Run a command in `folder` with an `az` that prints "someone". Returns the calls of `az`."""
    (bare_path / "az").write_text(f'#!/bin/sh\necho "$*" >>{folder}/calls\necho someone\n')
    (bare_path / "az").chmod(0o755)
    subprocess.run(["/bin/sh", "-c", command], cwd=folder, capture_output=True, text=True, check=True)
    return (folder / "calls").read_text().splitlines()


ENTRA = JOB.replace(
    "connection: deepseek",
    "endpoint: https://house.openai.azure.com\n      entra_scope: https://cognitiveservices.azure.com/.default",
)


def test_the_command_for_the_role_on_a_teachers_resource_can_be_pasted(doctor, folder, bare_path):
    (folder / "job.yaml").write_text(ENTRA)
    checks = results(doctor("job.yaml", "--offline", "--format", "json"))
    check = checks["role 'Cognitive Services User' of identity 'jobs' on house"]
    assert check["status"] == "unknown"
    assert not [name for name in checks if "Secrets Reader" in name]
    query = "[?properties.customSubDomainName=='house'].id | [0]"
    assignee = f"--assignee-object-id {JOBS.principal_id} --assignee-principal-type ServicePrincipal"
    assert paste(check["problem"]["command"], folder, bare_path) == [
        f"cognitiveservices account list --subscription {SUBSCRIPTION} --query {query} --output tsv",
        f"role assignment create --role a97b65f3-24c7-4388-baec-2e87135dc908 {assignee} --scope someone",
    ]


def test_commands_for_missing_resources_are_complete(doctor, folder, workspace):
    (folder / "job.yaml").write_text(JOB + "compute: {cpu: no-cluster, gpu_instance_type: Standard_NC24ads_A100_v4}\n")
    workspace.computes.quota["standardNCADSA100v4Family"] = (0, 12)
    checks = results(doctor("job.yaml", "--format", "json"))
    commands = {name: check["problem"]["command"] for name, check in checks.items() if check["problem"]}
    assert commands["compute 'no-cluster'"].endswith(
        f"--name no-cluster --identity-type SystemAssigned --size VM_SIZE --min-instances 0 --max-instances 1 {WHERE}"
    )
    written, created = commands["connection 'deepseek'"].split(" && ")
    assert created.startswith("az ml connection create --name deepseek --file connection.yml --set api_key=")
    assert created.endswith(f" {WHERE}")
    subprocess.run(["/bin/sh", "-c", written], cwd=folder, check=True)
    loaded = load_connection(folder / "connection.yml", params_override=[{"name": "deepseek"}, {"api_key": "k"}])
    assert (loaded.type, loaded.endpoint) == ("azure_ai_services", "https://RESOURCE.services.ai.azure.com/")
    assert loaded.ai_services_resource_id.endswith("Microsoft.CognitiveServices/accounts/RESOURCE")
    assert commands["serverless Standard_NC24ads_A100_v4"].endswith(f" {WHERE}")


NOT_SIGNED_IN = "ERROR: Please run 'az login' to setup account."
EXPIRED = "ERROR: AADSTS700082: The refresh token has expired due to inactivity. Run: az login --scope X"
SIGN_IN = f"az login && az account set --subscription {SUBSCRIPTION}"


@pytest.mark.parametrize(
    ("says", "variables", "message", "command"),
    [
        (None, {}, "not signed in", SIGN_IN),
        (NOT_SIGNED_IN, {}, "not signed in", SIGN_IN),
        (EXPIRED, {}, "Entra rejects the login (AADSTS700082): it has expired or lacks a right", SIGN_IN),
        (None, {"CI": "true"}, "not signed in", "az login"),
        (None, {"AZURE_CLIENT_SECRET": "s3cret"}, "not signed in", "unset AZURE_CLIENT_SECRET"),
    ],
)
def test_without_a_login_it_says_how_to_sign_in(
    doctor, bare_path, workspace, monkeypatch, says, variables, message, command
):
    if says:
        (bare_path / "az").write_text(f'#!/bin/sh\necho "{says}" >&2\nexit 1\n')
        (bare_path / "az").chmod(0o755)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with client_for(workspace, AzureCliCredential()) as signed_out:
        done = doctor("--format", "json", ml_client=signed_out)
    last = list(results(done).values())[-1]
    assert done.code == 2
    assert (last["checked"], last["status"], last["problem"]["code"]) == ("login", "problem", "not_signed_in")
    assert (last["problem"]["message"], last["problem"]["command"]) == (message, command)
    assert "s3cret" not in done.out
    assert workspace.requests.all == []


def test_az_in_another_cloud_than_the_sdk_is_a_problem_with_the_variable(doctor, workspace, monkeypatch, tmp_path):
    (tmp_path / "config").write_text("[cloud]\nname = AzureUSGovernment\n")
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    with client_for(workspace, AzureCliCredential()) as signed_out:
        check = results(doctor("--format", "json", ml_client=signed_out))["login"]
    assert check["problem"]["command"] == "export AZUREML_CURRENT_CLOUD=AzureUSGovernment"


@pytest.mark.parametrize("debug", ["", "1"])
def test_an_exception_inside_the_sdk_is_a_result_and_its_traceback_is_shown_on_request(
    doctor, folder, workspace, monkeypatch, debug
):
    """The SDK fails on a flavor without content."""
    monkeypatch.setenv("AZDISTILL_DEBUG", debug)
    workspace.assets.put("models", "tiny", "1", {"flavors": {"hf": None}})
    (folder / "job.yaml").write_text(JOB.replace(STUDENT, "azureml:tiny:1"))
    done = doctor("job.yaml", "--format", "json")
    check = results(done)["inputs.student 'azureml:tiny:1'"]
    assert (check["status"], check["problem"]["code"]) == ("unknown", "sdk_failed")
    assert ("azure/ai/ml" in done.err) == bool(debug)


def test_problems_of_the_job_file_have_a_line_and_the_workspace_is_checked_too(doctor, folder):
    (folder / "job.yaml").write_text(JOB.replace("rows.jsonl", "nowhere.jsonl"))
    done = doctor("job.yaml", "--format", "json")
    checks = results(done)
    assert done.code == 2
    problem = checks["job.yaml:4"]["problem"]
    assert (problem["field"], problem["value"], problem["line"]) == ("data.training_data", "./nowhere.jsonl", 4)
    assert checks["workspace"]["status"] == "ok"


def test_problems_as_annotations_of_github(doctor, folder):
    (folder / "job.yaml").write_text(JOB.replace("rows.jsonl", "nowhere.jsonl"))
    done = doctor("job.yaml", "--format", "github")
    assert done.code == 2
    assert re.search(r"^::error file=job.yaml,line=4,title=\w+::data.training_data", done.out, re.MULTILINE)


def test_a_retired_teacher_is_reported_once_at_its_line(doctor, folder):
    (folder / "job.yaml").write_text(JOB.replace("DeepSeek-V3.2", "DeepSeek-R1"))
    checks = json.loads(doctor("job.yaml", "--format", "json").out)
    assert [check["checked"] for check in checks if "retired" in str(check["problem"])] == ["job.yaml:8"]


def test_an_incomplete_config_is_a_problem(doctor, folder):
    (folder / "config.json").write_text('{"workspace_name": "w"}')
    done = doctor("--format", "json")
    check = results(done)["workspace"]
    assert (done.code, check["status"], check["problem"]["code"]) == (2, "problem", "missing_field")
    assert "has no subscription_id, resource_group" in check["problem"]["message"]
