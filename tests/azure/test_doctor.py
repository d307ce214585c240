"""`azdistill doctor` in front of the workspace stand-in: what it finds, and the commands that it gives."""

import json
import re
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from azure.ai.ml.entities import ServerlessConnection
from azure.core.credentials import AccessToken
from azure.identity import AzureCliCredential

from azdistill.cli.main import main
from tests.azure.conftest import STUDENT
from tests.cli.conftest import Command, Done, folder
from tests.workspace.azurite import ACCOUNT
from tests.workspace.clients import client_for
from tests.workspace.credential import SIGNING_KEY, SimulatedCredential
from tests.workspace.simulated import GROUP, NAME, SUBSCRIPTION

__all__ = ["folder"]

PAGE = Path(__file__).parents[2] / "docs/doctor.md"
CONFIG = {"subscription_id": SUBSCRIPTION, "resource_group": GROUP, "workspace_name": NAME}
YOU = {
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
    "az role assignment create --role 'AzureML Data Scientist' "
    f"--assignee-object-id {YOU['oid']} --assignee-principal-type User --scope {SCOPE}"
)
JOB = f"""\
name: tickets
task: conversation
data:
  training_data: ./rows.jsonl
  test_data: ./rows.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek
student:
  model: {STUDENT}
"""


class Anna(SimulatedCredential):
    """Tokens that say for whom they are, as Entra's do."""

    def get_token(self, *scopes, **options) -> AccessToken:
        given = super().get_token(*scopes, **options)
        claims = jwt.decode(given.token, options={"verify_signature": False})
        return AccessToken(jwt.encode({**claims, **YOU}, SIGNING_KEY, "HS256"), given.expires_on)


@pytest.fixture
def credential() -> Anna:
    return Anna()


@pytest.fixture
def bare_path(tmp_path, monkeypatch) -> Path:
    """The only folder on PATH: no az and no nvidia-smi of this machine's. No variable of a CI either."""
    for name in ("CI", "GITHUB_ACTIONS", "TF_BUILD", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path / "bin"


@pytest.fixture
def doctor(folder, bare_path, monkeypatch, capfd, client) -> Command:
    """`azdistill doctor`, with the client of Anna or another one."""
    (folder / "config.json").write_text(json.dumps(CONFIG))
    row = json.dumps({"messages": [{"role": "user", "content": "hello"}], "gold": "yes"})
    (folder / "rows.jsonl").write_text(row + "\n")
    (folder / "job.yaml").write_text(JOB)

    def call(*arguments, mine=client) -> Done:
        monkeypatch.setattr(sys, "argv", ["azdistill", "doctor", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main(lambda _address: mine)
        return Done(ended.value.code, *capfd.readouterr())

    return call


def found(done: Done) -> dict[str, dict[str, str]]:
    return {check["what"]: check for check in json.loads(done.out)}


def test_the_example_of_the_page_is_what_it_prints(doctor):
    done = doctor("job.yaml")
    assert (done.code, done.err) == (2, "")
    (shown,) = re.findall(r"```\n\$ azdistill doctor job.yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert masked(done.out.replace(NAME, "distillation")) == masked(shown)


def masked(text: str) -> str:
    """Without what differs from machine to machine: versions and the interpreter's place."""
    return re.sub(r"(?<=, )/\S+python\S*", "PYTHON", re.sub(r"\b\d+(\.\d+)+[\w.+]*", "VERSION", text))


def test_all_is_there(doctor, client):
    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="s3cret"))
    done = doctor("job.yaml", "--format", "json")
    checks = found(done)
    assert done.code == 0
    assert checks["login"]["detail"] == f"as you@example.com, tenant {YOU['tid']}"
    assert checks["workspace"]["state"] == checks["connection 'deepseek'"]["state"] == "ok"
    assert {name for name, check in checks.items() if check["state"] == "unknown"} >= {
        "role of jobs",
        "teacher 'DeepSeek-V3.2'",
    }
    assert "s3cret" not in done.out


@pytest.mark.parametrize(
    ("status", "headers", "command"),
    [
        (401, {}, f"az login && az account set --subscription {SUBSCRIPTION}"),
        (401, CHALLENGE, f"az login --tenant {TENANT} && az account set --subscription {SUBSCRIPTION}"),
        (403, {}, SCIENTIST),
        (404, {}, f"workspaces --subscription {SUBSCRIPTION} --output table"),
    ],
)
def test_a_workspace_that_does_not_open_comes_with_the_command_that_opens_it(
    doctor, workspace, status, headers, command
):
    workspace.faults.inject("GET", workspace.name, status, times=50, **headers)
    done = doctor("--format", "json")
    checks = list(found(done).values())
    assert done.code == 2
    assert [check["what"] for check in checks if check["state"] == "wrong"] == ["workspace"]
    assert checks[-1]["command"].endswith(command)


def test_a_store_that_may_not_be_written_to_comes_with_the_role_on_its_account(doctor, workspace, credential):
    workspace.datastores.identity = True
    credential.audiences["https://storage.azure.com/.default"] = "https://vault.azure.net"
    check = found(doctor("--format", "json"))["default datastore"]
    account = f"{GROUP_ID}/providers/Microsoft.Storage/storageAccounts/{ACCOUNT}"
    assert check["state"] == "wrong"
    assert f"--role 'Storage Blob Data Contributor' --assignee-object-id {YOU['oid']}" in check["command"]
    assert check["command"].endswith(f" --scope {account}")


@pytest.mark.parametrize(
    ("compute", "shown"),
    [
        ("serverless", f"ml workspace show --name {NAME} --resource-group {GROUP}"),
        ("cpu-cluster", f"ml compute show --name cpu-cluster {WHERE}"),
    ],
)
def test_the_role_that_nobody_can_see_comes_with_a_command_to_paste(doctor, folder, bare_path, compute, shown):
    (folder / "job.yaml").write_text(JOB + f"compute: {{cpu: {compute}}}\n")
    check = found(doctor("job.yaml", "--format", "json"))["role of jobs"]
    assert check["state"] == "unknown"
    (bare_path / "az").write_text(
        '#!/bin/sh\ncase $1 in ml) echo "$*" >&2; echo someone;; *) printf "%s\\n" "$@";; esac\n'
    )
    (bare_path / "az").chmod(0o755)
    pasted = subprocess.run(["/bin/sh", "-c", check["command"]], capture_output=True, text=True, check=True)
    assert pasted.stderr.startswith(shown)
    assert pasted.stdout.split("\n") == [
        *("role", "assignment", "create", "--role", "ea01e6af-a1c1-4350-9563-ad00f8c72ec5"),
        *("--assignee-object-id", "someone", "--assignee-principal-type", "ServicePrincipal", "--scope", SCOPE, ""),
    ]


def test_what_a_job_lacks_comes_with_commands_in_full(doctor, folder, workspace):
    (folder / "job.yaml").write_text(JOB + "compute: {cpu: no-cluster, gpu_instance_type: Standard_NC24ads_A100_v4}\n")
    workspace.computes.quota["standardNCADSA100v4Family"] = (40, 48)
    checks = found(doctor("job.yaml", "--format", "json"))
    assert checks["compute 'no-cluster'"]["command"].endswith(
        f"--name no-cluster --size VM_SIZE --min-instances 0 --max-instances 1 {WHERE}"
    )
    assert checks["connection 'deepseek'"]["command"].endswith(f"--name deepseek --file connection.yml {WHERE}")
    assert checks["serverless Standard_NC24ads_A100_v4"]["command"].endswith(f" {WHERE}")


NOT_SIGNED_IN = "ERROR: Please run 'az login' to setup account."
EXPIRED = "ERROR: AADSTS700082: The refresh token has expired due to inactivity. Run: az login --scope X"
SIGN_IN = f"az login && az account set --subscription {SUBSCRIPTION}"


@pytest.mark.parametrize(
    ("says", "variables", "detail", "command"),
    [
        (None, {}, "nobody is signed in", SIGN_IN),
        (NOT_SIGNED_IN, {}, "nobody is signed in", SIGN_IN),
        (EXPIRED, {}, "Entra refuses it (AADSTS700082), so it has expired or is not enough", SIGN_IN),
        (None, {"CI": "true"}, "nobody is signed in", "az login"),
        (None, {"AZURE_CLIENT_SECRET": "s3cret"}, "nobody is signed in", "unset AZURE_CLIENT_SECRET"),
    ],
)
def test_who_is_not_signed_in_is_told_how(doctor, bare_path, workspace, monkeypatch, says, variables, detail, command):
    if says:
        (bare_path / "az").write_text(f'#!/bin/sh\necho "{says}" >&2\nexit 1\n')
        (bare_path / "az").chmod(0o755)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with client_for(workspace, AzureCliCredential()) as nobody:
        done = doctor("--format", "json", mine=nobody)
    last = list(found(done).values())[-1]
    assert done.code == 2
    assert [last[part] for part in ("what", "state", "detail", "command")] == ["login", "wrong", detail, command]
    assert "s3cret" not in done.out
    assert workspace.requests.all == []


def test_a_job_that_is_wrong_is_told_by_line_and_the_rest_is_looked_at(doctor, folder):
    (folder / "job.yaml").write_text(JOB.replace("rows.jsonl", "nowhere.jsonl"))
    done = doctor("job.yaml")
    assert done.code == 2
    assert re.search(
        r"^wrong    job.yaml:4: data.training_data='./nowhere.jsonl': no such file", done.out, re.MULTILINE
    )
    assert re.search(r"^ok       workspace: ", done.out, re.MULTILINE)


def test_a_retired_teacher_is_told_once_by_its_line(doctor, folder):
    (folder / "job.yaml").write_text(JOB.replace("DeepSeek-V3.2", "DeepSeek-R1"))
    checks = json.loads(doctor("job.yaml", "--format", "json").out)
    assert [check["what"] for check in checks if "Azure names" in check["move"]] == ["job.yaml:8"]


def test_a_config_that_is_broken_is_wrong(doctor, folder):
    (folder / "config.json").write_text('{"workspace_name": "w"}')
    done = doctor("--format", "json")
    assert (done.code, found(done)["workspace"]["state"]) == (2, "wrong")
    assert "has no subscription_id, resource_group" in found(done)["workspace"]["detail"]
