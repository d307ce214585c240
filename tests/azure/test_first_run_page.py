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


def heredoc(name: str, **variables: str) -> str:
    """The content of a file that the page writes, with the values of the shell's variables."""
    document = re.search(rf"cat > {name} <<END\n(.*?)END\n", TEXT, re.DOTALL)
    assert document
    return Template(document[1].replace("\\$schema", "$$schema")).substitute(variables)


def test_the_workspace_has_the_user_assigned_identity() -> None:
    text = heredoc("workspace.yml", WORKSPACE="w", REGION="swedencentral", IDENTITY=IDENTITY)
    workspace = load_workspace(io.StringIO(text))
    assert workspace.identity.type == "userAssigned"
    assert [identity.resource_id for identity in workspace.identity.user_assigned_identities] == [IDENTITY]
    assert workspace.primary_user_assigned_identity == IDENTITY


def test_the_connection_is_one_to_a_foundry_resource() -> None:
    text = heredoc("connection.yml", SUBSCRIPTION="s", GROUP="g", TEACHER="g-teacher-1a2b3c4d")
    connection = load_connection(io.StringIO(text), params_override=[{"api_key": "a key"}])
    assert (connection.type, connection.name, connection.api_key) == ("azure_ai_services", "teacher", "a key")
    assert connection.endpoint == "https://g-teacher-1a2b3c4d.services.ai.azure.com"
    assert connection.ai_services_resource_id.endswith("/accounts/g-teacher-1a2b3c4d")
    assert "--custom-domain $TEACHER " in TEXT  # a host name: without the subscription it is the same for all readers
    assert "export TEACHER=$GROUP-teacher-${SUBSCRIPTION%%-*}\n" in TEXT


def test_every_command_of_azdistill_exists() -> None:
    commands = set(re.findall(r"^azdistill ([a-z]+)", TEXT, re.MULTILINE))
    assert {"init", "validate", "plan", "run", "doctor", "submit", "stream", "download"} <= commands
    for command in sorted(commands):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_the_extras_of_its_commands_are_installed() -> None:
    """The dry run needs the steps' packages, and the other commands azure-ai-ml."""
    assert "pip install 'azdistill[azure,local]'" in TEXT
    assert "azdistill run job.yaml --dry-run" in TEXT


def test_the_roles_have_their_ids() -> None:
    named = dict(re.findall(r"\| jobs \| ([^|]+) \| `([0-9a-f-]{36})`", TEXT))
    needed = (roles.DATA_SCIENTIST, roles.BLOB_CONTRIBUTOR, roles.SECRETS_READER, roles.ACR_PULL, roles.COGNITIVE_USER)
    assert named == {role.name: role.id for role in needed}
