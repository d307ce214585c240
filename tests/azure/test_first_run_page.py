"""The files of docs/azure-first-run.md are what the SDK and azdistill accept."""

import io
import re
from string import Template

from azure.ai.ml import load_connection
from azure.ai.ml.entities._load_functions import load_workspace  # not among the public names
from typer.testing import CliRunner

from azdistill.azure import roles
from azdistill.cli.main import app
from tests.workspace.first_day_page import PAGE

TEXT = PAGE.read_text(encoding="utf-8")
IDENTITY = "/subscriptions/s/resourcegroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/jobs"


def test_the_workspace_has_the_user_assigned_identity() -> None:
    document = re.search(r"cat > workspace.yml <<END\n(.*?)END\n", TEXT, re.DOTALL)
    assert document
    values = {"WORKSPACE": "w", "REGION": "swedencentral", "IDENTITY": IDENTITY}
    text = Template(document[1].replace("\\$schema", "$$schema")).substitute(values)
    workspace = load_workspace(io.StringIO(text))
    assert workspace.identity.type == "userAssigned"
    assert [identity.resource_id for identity in workspace.identity.user_assigned_identities] == [IDENTITY]
    assert workspace.primary_user_assigned_identity == IDENTITY


def test_the_connection_is_one_to_a_foundry_resource() -> None:
    document = re.search(r"```yaml\n# connection.yml\n(.*?)```", TEXT, re.DOTALL)
    assert document
    connection = load_connection(io.StringIO(document[1]), params_override=[{"api_key": "a key"}])
    assert (connection.type, connection.name, connection.api_key) == ("azure_ai_services", "teacher", "a key")


def test_every_command_of_azdistill_exists() -> None:
    commands = set(re.findall(r"^azdistill ([a-z]+)", TEXT, re.MULTILINE))
    assert {"init", "validate", "plan", "run", "doctor", "submit", "stream", "download"} <= commands
    for command in sorted(commands):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_roles_have_their_ids() -> None:
    named = dict(re.findall(r"\| jobs \| ([^|]+) \| `([0-9a-f-]{36})`", TEXT))
    needed = (roles.DATA_SCIENTIST, roles.BLOB_CONTRIBUTOR, roles.SECRETS_READER, roles.ACR_PULL, roles.COGNITIVE_USER)
    assert named == {role.name: role.id for role in needed}
