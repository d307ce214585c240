"""One table of roles: the Bicep files deploy it, the doctor checks roles of it, and the pages show it."""

import re

import pytest

from azdistill.azure import roles
from azdistill.azure.checks.roles import INFERENCE_ROLES
from azdistill.azure.roles import ASSIGNMENTS, PRINCIPALS
from benchmarks.ship_infra import BY_HAND, role_assignments
from tests.infra.bicep import BICEP_FILES, INFRA, PARAMETER_FILES, read, read_parameters

ROOT = INFRA.parent
TABLE = roles.TABLE
ASSIGNMENT = "Microsoft.Authorization/roleAssignments@2022-04-01"
GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# The module of the assignments on each scope, and the resource that is the scope.
SCOPES = {
    "storage": ("roles-of-principal", "storage"),
    "keyVault": ("roles-of-principal", "keyVault"),
    "containerRegistry": ("roles-of-principal", "containerRegistry"),
    "applicationInsights": ("roles-of-principal", "applicationInsights"),
    "foundry": ("roles-of-principal", "foundry"),
    "servingIdentity": ("roles-of-principal", "servingIdentity"),
    "resourceGroup": ("roles-of-principal", None),
    "workspace": ("roles-on-workspace", "workspace"),
    "registry": ("roles-on-registry", "registry"),
}


def test_the_table_is_consistent() -> None:
    assert {item.principal for item in ASSIGNMENTS} == set(PRINCIPALS)
    assert {item["role"] for item in TABLE["assignments"]} | {"aiUser"} == set(TABLE["roles"])
    assert len({(item.principal, item.role, item.scope) for item in ASSIGNMENTS}) == len(ASSIGNMENTS)
    assert all(GUID.fullmatch(role["id"]) for role in TABLE["roles"].values())


def test_every_scope_of_the_table_is_assigned_once() -> None:
    assert {item.scope for item in ASSIGNMENTS} == set(SCOPES)
    deployed = {}
    for path in BICEP_FILES:
        for resource in read(path.relative_to(INFRA).as_posix()).resources:
            if resource.target != ASSIGNMENT:
                continue
            assert resource.loop == "[for item in table.assignments:"
            match = re.fullmatch(r"\(item.principal == principal && item.scope == '(\w+)'\)", resource.condition)
            assert match
            assert match[1] not in deployed
            deployed[match[1]] = path.stem, resource.body.get("scope")
            role = "table.roles[item.role].id"
            properties = resource.body["properties"]
            assert (
                properties["roleDefinitionId"]
                == f"subscriptionResourceId('Microsoft.Authorization/roleDefinitions', {role})"
            )
            assert properties["principalId"] == "principalId"
            assert resource.body["name"].endswith(f".id, principalId, {role})")
    assert deployed == SCOPES


def test_the_bicep_files_read_the_table_and_contain_no_role() -> None:
    for path in BICEP_FILES:
        file = read(path.relative_to(INFRA).as_posix())
        assert GUID.findall(file.text) == []
        if any(resource.target == ASSIGNMENT for resource in file.resources):
            assert file.variables["table"] == "loadJsonContent('../../azdistill/azure/roles.json')"


def test_every_principal_of_the_table_gets_its_roles() -> None:
    own = re.findall(r"name: '(\w+)'\n\s+label", read("modules/identities.bicep").text)
    from_github = {
        item["principal"] for path in PARAMETER_FILES for item in read_parameters(path.name)["githubEnvironments"]
    }
    users = re.findall(r"name: '(\w+)'\n\s+label", read("main.bicep").text)
    assert {*own, *from_github, *users} == set(PRINCIPALS)
    loops = [module for name in ("roles", "roles-after-workspace") for module in read(f"modules/{name}.bicep").modules]
    assert {module.target for module in loops} == {f"{module}.bicep" for module, _ in SCOPES.values()}
    for module in loops:
        assert (module.loop, module.condition) == ("[for principal in principals:", f"(principal.name != '{BY_HAND}')")


def test_roles_by_hand_are_those_of_the_page() -> None:
    """The condition in the page excludes Owner, User Access Administrator and the role that assigns roles."""
    page = (INFRA / "README.md").read_text(encoding="utf-8").partition("<!-- end -->")[2]
    commands = page[: page.index("## GitHub")]
    by_hand = {item.role.id for item in ASSIGNMENTS if item.principal == BY_HAND}
    assert set(GUID.findall(commands)) - by_hand == {roles.OWNER, "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9"}
    assert by_hand <= set(GUID.findall(commands))
    assert role_assignments() == len(ASSIGNMENTS) - len(by_hand)


def test_jobs_get_every_role_that_the_doctor_checks() -> None:
    jobs = {item.role.id for item in ASSIGNMENTS if item.principal == "jobs"}
    checked = (roles.DATA_SCIENTIST, roles.BLOB_CONTRIBUTOR, roles.SECRETS_READER, roles.ACR_PULL, roles.COGNITIVE_USER)
    assert {role.id for role in checked} <= jobs
    # The alternative for a teacher in a Foundry project.
    assert {role.name for role in INFERENCE_ROLES.values()} == {roles.COGNITIVE_USER.name, roles.AI_USER.name}


@pytest.mark.parametrize("name", ["docs/doctor.md", "docs/azure-first-run.md", "infra/README.md"])
def test_pages_name_roles_with_their_ids(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = re.findall(rf"\| ([^|(]+?) (?:\(|\| )`({GUID.pattern})`", text)
    known = {role["id"]: role["name"].partition(" (")[0] for role in TABLE["roles"].values()}
    assert rows
    assert [(role, guid) for role, guid in rows if known.get(guid) != role] == []


def test_the_first_run_page_assigns_what_the_table_says() -> None:
    scopes = {"storage account": "storage", "container registry": "containerRegistry", "Foundry resource": "foundry"}
    text = (ROOT / "docs" / "azure-first-run.md").read_text(encoding="utf-8")
    rows = re.findall(rf"^\| (jobs|you) \| [^|]+ \| `({GUID.pattern})` \| ([\w ]+) \|", text, re.MULTILINE)
    table = {(item.principal, item.role.id, item.scope) for item in ASSIGNMENTS}
    assert {({"you": "users"}.get(who, who), guid, scopes.get(scope, scope)) for who, guid, scope in rows} <= table
    assert len(rows) == 7
