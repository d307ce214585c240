"""Checks of a bundle against a workspace, each with what to do about it."""

from datetime import date
from urllib.parse import urlsplit

import jwt
import pytest
from azure.ai.ml.constants import _common
from azure.ai.ml.entities import ServerlessConnection
from azure.core.credentials import AccessToken

from azdistill.azure.checks.bundle import check_bundle, check_workspace, stop_at_problems
from azdistill.azure.checks.result import CheckResult, ok
from azdistill.azure.checks.teachers import _create_command
from azdistill.contracts.errors import InputError
from azdistill.engine.problems import Problem
from azdistill.job.catalog import built_in
from tests.workspace.clients import client_for
from tests.workspace.clouds import US_GOVERNMENT
from tests.workspace.credential import SIGNING_KEY, USER, SimulatedCredential
from tests.workspace.first_day import FOUNDRY, prepare
from tests.workspace.resources.managed_identities import ACR_PULL, JOBS, REGISTRY_USER


def problems(results: list[CheckResult]) -> list[Problem]:
    return [result.problem for result in results if result.status == "problem"]


def only_problem(results) -> Problem:
    (problem,) = problems(results)
    return problem


@pytest.fixture
def connection(client):
    client.connections.create_or_update(ServerlessConnection(name="deepseek", endpoint="https://h", api_key="k"))


def test_a_bundle_without_problems(bundle, client, workspace, connection):
    workspace.computes.quota["standardESv3Family"] = (4, 100)
    results = stop_at_problems(check_bundle(client, bundle()))
    assert [result.checked for result in results] == [
        "workspace",
        "serverless Standard_E4s_v3",
        "serverless Standard_NC24ads_A100_v4",
        "identity on serverless compute",
        "role 'AcrPull' of identity 'jobs' on simulated",
        "role 'AzureML Data Scientist' of identity 'jobs' on simulated",
        "role 'Azure Machine Learning Workspace Connection Secrets Reader' of identity 'jobs' on simulated",
        "connection 'deepseek'",
        "inputs.student",
        "environment 'azdistill-cpu'",
        "environment 'azdistill-gpu'",
        "default datastore",
    ]
    assert {(result.status, result.problem) for result in results} == {("ok", None)}


@pytest.mark.parametrize(
    ("sections", "subject", "code", "words"),
    [
        (
            {"compute": {"cpu": "cpu-cluster", "gpu": "no-cluster"}},
            "compute 'no-cluster'",
            "not_found",
            "az ml compute create",
        ),
        (
            {"compute": {"gpu_instance_type": "Standard_ND99"}},
            "serverless Standard_ND99",
            "no_such_vm_size",
            "compute.*_instance_type",
        ),
        (
            {"compute": {"gpu_instance_type": "Standard_NC24ads_A100_v4", "teacher_instances": 30}},
            "serverless Standard_E4s_v3",
            "quota_exceeded",
            "120 cores needed (30 of this size), and the limit of standardESv3Family in eastus2 is 100",
        ),
        (
            {"teacher": {"teachers": [{"model": "m", "endpoint": "https://h", "key_variable": "KEY"}]}},
            "teacher 'm'",
            "local_key",
            "put the key into a connection",
        ),
        (
            {"data": {"training_data": "azureml:rows:3"}},
            "inputs.training_data 'azureml:rows:3'",
            "not_found",
            "az ml data list",
        ),
        ({"student": {"model": "azureml:tiny:1"}}, "inputs.student 'azureml:tiny:1'", "not_found", "az ml model list"),
    ],
)
def test_what_is_missing_is_reported_before_anything_is_sent(
    bundle, client, connection, sections, subject, code, words
):
    with pytest.raises(InputError) as error:
        stop_at_problems(check_bundle(client, bundle(**sections)))
    (problem,) = error.value.problems
    assert (problem.subject, problem.code) == (subject, code)
    assert words in str(problem)


@pytest.mark.parametrize("variable", ["AzureUSGovernment", "AzureCloud"])
def test_a_workspace_in_azure_government_is_checked_at_its_own_addresses(
    bundle, workspace, credential, monkeypatch, variable
):
    prepare(workspace)
    workspace.cloud = US_GOVERNMENT
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", variable)
    with client_for(workspace, credential) as client:
        results = list(check_bundle(client, bundle()))
        command = _create_command(client, "deepseek")
    if variable == "AzureCloud":
        assert [result.status for result in results] == ["problem"]
        workspace.requests.all.clear()  # they went to addresses that this workspace does not have
        return
    assert {(result.status, result.problem) for result in results} == {("ok", None)}
    assert {urlsplit(scope).hostname for scope in credential.scopes} == {"management.usgovcloudapi.net"}
    assert "endpoint: https://RESOURCE.services.ai.azure.us/" in command


def test_a_connection_is_described_without_its_key(bundle, client, workspace):
    key = "canary-s3cret"
    workspace.connections.by_name["deepseek"] = {**FOUNDRY, "credentials": {"key": key}}
    results = {result.checked: result for result in check_bundle(client, bundle())}
    detail = "category AIServices, authentication ApiKey, host r.cognitiveservices.azure.com"
    assert results["connection 'deepseek'"] == ok("connection 'deepseek'", detail)
    for path, code in (("score", "other_api"), ("?code=canary", "secret_in_url")):
        workspace.connections.by_name["deepseek"]["target"] += path
        problem = only_problem(results := list(check_bundle(client, bundle())))
        assert (problem.subject, problem.code) == ("connection 'deepseek'", code)
        assert f"({detail})" in problem.message
        assert "canary" not in "\n".join(map(str, results))
    assert workspace.requests.of("POST", "/listsecrets") == []


def test_the_connection_of_a_judge_is_checked_too(bundle, client, connection):
    judge = {"judge_model": {"model": "gpt-5.1", "connection": "boss"}, "rubric": "Be right."}
    judged = bundle(judge=judge)
    assert only_problem(check_bundle(client, judged)).subject == "connection 'boss'"
    client.connections.create_or_update(ServerlessConnection(name="boss", endpoint="https://j", api_key="k"))
    assert problems(check_bundle(client, judged)) == []


def test_all_problems_are_reported_at_once(bundle, client, workspace):
    workspace.computes.quota["standardNCADSA100v4Family"] = (0, 12)
    quota, missing = problems(check_bundle(client, bundle()))
    assert (quota.code, missing.code) == ("quota_exceeded", "not_found")
    assert "the limit of standardNCADSA100v4Family in eastus2 is 12" in quota.message
    assert " && az ml connection create --name deepseek " in missing.command


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "not_signed_in", "az login"),
        (403, "forbidden", "AzureML Data Scientist"),
        (404, "not_found", "config.json"),
        (503, "unavailable", "outage"),
    ],
)
def test_a_workspace_that_does_not_open_is_the_only_result(bundle, client, workspace, status, code, words):
    workspace.faults.inject("GET", workspace.name, status, times=50)
    (result,) = check_bundle(client, bundle())
    assert (result.status, result.problem.code, result.problem.subject) == ("problem", code, "workspace")
    assert words in str(result)


@pytest.mark.parametrize(
    ("model", "message", "command"),
    [
        ("azureml/models/Phi-4-mini-instruct/versions/2", "it has 1", ""),
        ("azureml/models/Phi-9/versions/1", "none of that name", "az ml model list --registry-name azureml"),
        ("house/models/Phi-4/versions/1", "there is no registry 'house'", "az ml registry list"),
    ],
)
def test_a_student_is_looked_up_in_its_registry(bundle, client, connection, model, message, command):
    address = f"azureml://registries/{model}"
    problem = only_problem(check_bundle(client, bundle(student={"model": address})))
    assert (problem.subject, problem.code, problem.command) == (f"inputs.student {address!r}", "not_found", command)
    assert message in problem.message


def test_the_jobs_need_a_role_on_a_registry_of_your_own(bundle, client, workspace, connection):
    assets = workspace.registries.create("house")
    assets.put(
        "models", "Phi-4", "1", {"modelType": "custom_model", "modelUri": "https://storage.example/models/Phi-4"}
    )
    folder = bundle(student={"model": "azureml://registries/house/models/Phi-4/versions/1", "type": "custom_model"})
    (result,) = [result for result in check_bundle(client, folder) if result.status != "ok"]
    assert (result.checked, result.status) == ("role 'Reader' of identity 'jobs' on registry 'house'", "unknown")
    registry = f"{workspace.group_id}/providers/Microsoft.MachineLearningServices/registries/house"
    assert result.problem.command.endswith(f" --scope {registry}")
    workspace.roles.assign(JOBS.principal_id, REGISTRY_USER, registry)
    assert all(result.status == "ok" for result in check_bundle(client, folder))


def test_a_registry_without_access_leaves_the_student_unknown(bundle, client, workspace, connection):
    workspace.faults.inject("GET", "/models/Phi-4-mini-instruct", 403, times=9)
    (result,) = [result for result in check_bundle(client, bundle()) if result.status != "ok"]
    assert (result.status, result.problem.code, result.problem.severity) == ("unknown", "forbidden", "warning")


@pytest.mark.parametrize(("day", "retired"), [(date(2028, 2, 19), False), (date(2028, 2, 20), True)])
def test_a_retired_teacher_is_reported_from_its_retirement_date_on(bundle, client, connection, day, retired):
    folder = bundle(teacher={"teachers": [{"model": "deepseek-v4-flash", "connection": "deepseek"}]})
    results = [result for result in check_bundle(client, folder, today=day) if result.status != "ok"]
    assert [(result.checked, result.status, result.problem.code) for result in results] == (
        [("teacher 'deepseek-v4-flash'", "unknown", "retired_model")] if retired else []
    )
    assert all(f"on 2028-02-20 (as of {built_in().as_of})" in result.problem.message for result in results)


SPOT_NODE = """\
    compute: serverless
    resources: {instance_type: Standard_NC24ads_A100_v4}
    queue_settings: {job_tier: Spot}
"""


@pytest.mark.parametrize(
    ("quota", "offered", "code", "words"),
    [
        ((0, 48), True, None, ""),
        ((0, 12), True, "quota_exceeded", "24 cores needed (1 of this size), and the limit of TotalLowPriorityCores"),
        ((0, 48), False, "no_spot_instances", "eastus2 does not offer this size as spot"),
    ],
)
def test_a_spot_node_uses_the_quota_that_all_families_share(small, client, workspace, quota, offered, code, words):
    """The family's own quota has no limit (-1) for spot and is ignored."""
    pipeline = small / "pipeline.yml"
    pipeline.write_text(pipeline.read_text().replace("    compute: azureml:cpu-cluster\n", SPOT_NODE))
    workspace.computes.quota |= {"TotalLowPriorityCores": quota, "standardNCADSA100v4Family": (0, -1)}
    workspace.computes.spot_offered["Standard_NC24ads_A100_v4"] = offered
    reported = problems(check_bundle(client, small))
    assert [problem.code for problem in reported] == ([code] if code else [])
    assert all(problem.subject == "serverless Standard_NC24ads_A100_v4 (spot)" for problem in reported)
    assert all(words in problem.message for problem in reported)


CLUSTERS = {"cpu": "cpu-cluster", "gpu": "gpu-cluster"}


def test_steps_of_a_user_need_the_roles_of_the_user_and_clusters_pull_images(bundle, client, workspace, connection):
    workspace.roles.assigned.clear()
    folder = bundle(compute={**CLUSTERS, "identity": {"type": "user_identity"}})
    reported = problems(check_bundle(client, folder))
    scientist, secrets = "f6c7c914-8db3-469d-8ca1-694a8f32e121", "ea01e6af-a1c1-4350-9563-ad00f8c72ec5"
    system = workspace.managed_identities.of_compute("cpu-cluster").system
    assert [(problem.subject.partition(" of ")[2], assigned(problem)) for problem in reported] == [
        ("the identity of compute 'cpu-cluster' on simulated", (ACR_PULL, system, "ServicePrincipal")),
        ("you on simulated", (scientist, USER, "User")),
        ("you on simulated", (secrets, USER, "User")),
        ("identity 'jobs' on simulated", (ACR_PULL, JOBS.principal_id, "ServicePrincipal")),
    ]


def assigned(problem: Problem) -> tuple[str, str, str]:
    """Role, assignee and type of the principal in the command of a problem."""
    options = problem.command.split()
    names = ("--role", "--assignee-object-id", "--assignee-principal-type")
    role, assignee, kind = (options[options.index(name) + 1] for name in names)
    return role, assignee, kind


@pytest.mark.parametrize(
    ("target", "role", "resource", "command"),
    [
        ("https://house.services.ai.azure.com", "Cognitive Services User", "house", "cognitiveservices account list"),
        ("https://house.services.ai.azure.com/api/projects/p", "Azure AI User", "house", "customSubDomainName"),
        (
            "https://house.eastus2.inference.ml.azure.com/v1",
            "AzureML Data Scientist",
            "the workspace of endpoint 'house'",
            "onlineEndpoints",
        ),
    ],
)
def test_a_connection_without_a_key_needs_a_role_on_its_resource(
    bundle, client, workspace, target, role, resource, command
):
    workspace.connections.by_name["deepseek"] = {"category": "AIServices", "target": target, "authType": "AAD"}
    (result,) = [result for result in check_bundle(client, bundle()) if result.status != "ok"]
    assert (result.status, result.checked) == ("unknown", f"role {role!r} of identity 'jobs' on {resource}")
    assert command in result.problem.command
    assert f"--assignee-object-id {JOBS.principal_id}" in result.problem.command


def test_the_training_needs_the_roles_for_its_scorer_and_the_teacher_step_does_not(
    bundle, client, workspace, connection
):
    """They run as the identities of two clusters."""
    workspace.connections.by_name["scorer"] = {
        "category": "AzureOpenAI",
        "target": "https://house.openai.azure.com",
        "authType": "AAD",
    }
    scorer = {"scorer": {"teacher": {"model": "big", "connection": "scorer"}}, "train": {"on_policy": {}}}
    results = list(check_bundle(client, bundle(compute=CLUSTERS, **scorer)))
    named = [result.checked for result in results if result.checked.startswith(("role 'Azure Machine", "role 'Cog"))]
    system = "the identity of compute 'cpu-cluster'"
    assert sorted(named) == [
        f"role 'Azure Machine Learning Workspace Connection Secrets Reader' of {name} on simulated"
        for name in ("identity 'jobs'", system)
    ] + ["role 'Cognitive Services User' of identity 'jobs' on house"]


def test_the_teacher_of_imported_completions_is_not_asked(bundle, client, tmp_path):
    """Its connection need not exist, nor may the jobs have to read it."""
    (tmp_path / "answers.jsonl").write_text('{"messages": [], "completion": ""}\n')
    teacher = {"teachers": [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]}
    imported = bundle(teacher={**teacher, "completions": str(tmp_path / "answers.jsonl")})
    results = list(check_bundle(client, imported))
    assert problems(results) == []
    assert not [result for result in results if "Secrets Reader" in result.checked]


STORE = "azureml://datastores/workspaceblobstore/paths/"


@pytest.mark.parametrize(
    "path",
    [
        "https://example.blob.core.windows.net/rows/rows.jsonl",
        "azureml://subscriptions/s/resourcegroups/g/workspaces/another/datastores/workspaceblobstore/paths/rows.jsonl",
        f"{STORE}rows/*.jsonl",
        "azureml://datastores/lake/paths/rows.jsonl",  # of an account that cannot be read from here
    ],
)
def test_data_that_is_not_looked_up_is_named(bundle, client, workspace, connection, path):
    workspace.datastores.containers["lake"], workspace.datastores.accounts["lake"] = "rows", "lakeaccount"
    results = check_bundle(client, bundle(data={"training_data": path}))
    (result,) = [result for result in results if result.status != "ok"]
    assert (result.status, result.checked) == ("unknown", f"inputs.training_data {path!r}")
    assert "check that it exists" in str(result)


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("rows.jsonl", None),
        ("folder/", None),
        ("fol", "not_found"),
        ("folder", "type_mismatch"),
        ("rows.jsonl/", "type_mismatch"),
    ],
)
def test_a_path_in_a_datastore_is_looked_up(bundle, client, workspace, connection, path, code):
    for blob in ("rows.jsonl", "folder/1.jsonl"):
        workspace.blobs.write(workspace.datastores.containers["workspaceblobstore"], blob, b"{}")
    reported = problems(check_bundle(client, bundle(data={"training_data": STORE + path})))
    assert [problem.code for problem in reported] == ([code] if code else [])


def test_only_the_steps_that_read_a_datastore_need_a_role_on_its_account(bundle, client, workspace, connection):
    """prepare reads the rows on the CPU cluster, and no step on the GPU cluster does."""
    workspace.datastores.identity = True
    workspace.datastores.containers["lake"], workspace.datastores.accounts["lake"] = "rows", "lakeaccount"
    compute = {"cpu": "cpu-cluster", "gpu": "gpu-cluster"}
    data = {"training_data": "azureml://datastores/lake/paths/rows.jsonl"}
    checked = [result.checked for result in check_bundle(client, bundle(data=data, compute=compute))]
    roles = [name for name in checked if "Storage Blob Data Reader" in name]
    assert roles == ["role 'Storage Blob Data Reader' of the identity of compute 'cpu-cluster' on lakeaccount"]


def test_the_datastore_of_the_outputs_must_exist_and_needs_a_role_on_its_account(bundle, client, workspace, connection):
    workspace.datastores.identity = True
    workspace.datastores.containers["outputs"] = "other-container"
    assert problems(check_bundle(client, bundle(compute={"default_datastore": "outputs"}))) == []
    missing = only_problem(check_bundle(client, bundle(compute={"default_datastore": "elsewhere"})))
    assert (missing.subject, missing.code) == ("datastore 'elsewhere'", "not_found")
    workspace.datastores.accounts["outputs"] = "otheraccount"
    results = list(check_bundle(client, bundle(compute={"default_datastore": "outputs"})))
    (other,) = [result for result in results if result.status != "ok"]
    assert other.checked == "role 'Storage Blob Data Contributor' of identity 'jobs' on otheraccount"
    assert other.problem.command.endswith('"$(az storage account show --name otheraccount --query id --output tsv)"')


def test_a_datastore_on_one_lake_needs_no_role_on_a_storage_account(bundle, client, workspace, connection):
    workspace.datastores.containers["lake"] = "unused"
    workspace.datastores.one_lake.add("lake")
    results = list(check_bundle(client, bundle(compute={"default_datastore": "lake"})))
    assert [str(result) for result in results if result.status != "ok"] == []
    assert not [result for result in results if "Storage Blob" in result.checked]


def test_a_registry_with_an_admin_user_needs_no_role(bundle, client, workspace, connection):
    workspace.roles.remove(ACR_PULL)
    workspace.roles.registry_admin = True
    assert problems(check_bundle(client, bundle())) == []


@pytest.mark.parametrize("type", ["ComputeInstance", "Kubernetes", "VirtualMachine", "SynapseSpark", "Databricks"])
def test_every_type_of_compute_has_a_result(bundle, client, workspace, connection, type):
    """Other types than AmlCompute have no tier, and some no VM size and no identity in the SDK."""
    workspace.computes.types["gpu-cluster"] = type
    results = list(check_bundle(client, bundle(compute=CLUSTERS)))
    statuses = {result.checked: result.status for result in results}
    is_visible = type not in ("VirtualMachine", "Databricks")
    assert statuses["identity on compute 'gpu-cluster'"] == ("ok" if is_visible else "unknown")
    other = {"SynapseSpark": "problem", "Databricks": "unknown"}
    assert statuses["compute 'gpu-cluster'"] == other.get(type, "ok")


def test_a_service_principal_is_no_user(bundle, workspace, connection):
    """In CI, a job on behalf of the user is refused before it is sent."""

    class Application(SimulatedCredential):
        def get_token(self, *scopes, **options):
            token = super().get_token(*scopes, **options)
            claims = jwt.decode(token.token, options={"verify_signature": False})
            return AccessToken(jwt.encode({**claims, "idtyp": "app"}, SIGNING_KEY, "HS256"), token.expires_on)

    with client_for(workspace, Application()) as application:
        folder = bundle(compute={**CLUSTERS, "identity": {"type": "user_identity"}})
        reported = problems(check_bundle(application, folder))
    assert {problem.code for problem in reported} == {"user_is_service_principal"}


def test_a_pipeline_on_serverless_compute_has_no_user(small, client):
    """A job file with these settings is not compiled; this is a pipeline file of another origin."""
    pipeline = small / "pipeline.yml"
    text = pipeline.read_text().replace("azureml:cpu-cluster", "serverless")
    pipeline.write_text(text.replace("{type: managed_identity}", "{type: user_identity}"))
    assert "user_on_serverless" in {problem.code for problem in problems(check_bundle(client, small))}


def test_without_a_job_the_identity_for_serverless_compute_is_a_warning(client, workspace):
    workspace.managed_identities.workspace.user.clear()
    (result,) = [result for result in check_workspace(client) if result.status != "ok"]
    assert (result.status, result.problem.code) == ("unknown", "no_user_assigned_identity")


@pytest.mark.parametrize(("identity", "access"), [(False, "its own key"), (True, "your own identity")])
def test_the_write_check_leaves_no_blob(client, workspace, identity, access):
    workspace.datastores.identity = identity
    *_, result = check_workspace(client)
    assert (result.checked, result.status) == ("default datastore", "ok")
    assert result.detail == f"workspaceblobstore, with {access}, may be written to"
    assert workspace.blobs.names(workspace.datastores.containers["workspaceblobstore"]) == []


def test_without_write_access_the_problem_names_the_role(client, workspace, credential):
    workspace.datastores.identity = True
    credential.audiences["https://storage.azure.com/.default"] = "https://vault.azure.net"
    problem = only_problem(check_workspace(client))
    assert (problem.subject, problem.code) == ("default datastore", "forbidden")
    assert "'Storage Blob Data Contributor'" in problem.fix
    assert problem.command.startswith("az role assignment create")


def test_an_unreachable_datastore_is_a_problem(client, monkeypatch):
    monkeypatch.setitem(_common.STORAGE_ACCOUNT_URLS, "AzureBlob", "https://127.0.0.1:1/{}")
    problem = only_problem(check_workspace(client))
    assert (problem.subject, problem.code) == ("default datastore", "unreachable")
    assert "private" in problem.fix
