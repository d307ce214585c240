"""The Bicep files are Bicep, and their parameters, API versions, properties and settings are the intended ones."""

import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from pycep import BicepParser

from azdistill.job.sections import ComputeSection
from tests.infra.bicep import (
    BICEP_FILES,
    INFRA,
    PARAMETER_FILES,
    Expression,
    Parameter,
    Resource,
    read,
    read_parameters,
    syntax_errors,
    used_names,
)

ROOT = INFRA.parent
FILES = [path.relative_to(INFRA).as_posix() for path in BICEP_FILES]
SOURCES: dict[str, Any] = yaml.safe_load((INFRA / "api-versions.yaml").read_text(encoding="utf-8"))
# Properties whose keys are chosen freely.
FREE = ("metadata", "parameters", "policyRule", "notifications", "outboundRules")
TYPES = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
# Functions of Bicep: https://learn.microsoft.com/azure/azure-resource-manager/bicep/bicep-functions
FUNCTIONS = set(
    "concat empty guid last loadJsonContent replace resourceGroup resourceId split subscriptionResourceId tenant union "
    "uniqueString".split()
)
SECRET = re.compile(r"list\w*(keys|secrets|tokens)|secret|password|token|InstrumentationKey|ConnectionString", re.I)

MAIN = read("main.bicep")


def named(paths: list[Path]) -> list[Any]:
    return [pytest.param(path, id=path.relative_to(INFRA).as_posix()) for path in paths]


@pytest.mark.parametrize("path", named(BICEP_FILES))
def test_two_parsers_accept_the_file(path: Path) -> None:
    assert syntax_errors(path) == []
    assert BicepParser().parse(text=path.read_text(encoding="utf-8"))


def test_a_syntax_error_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "wrong.bicep"
    path.write_text("resource a 'b@c' = {\n  name: \n}\n")
    assert syntax_errors(path) != []


@pytest.mark.parametrize("name", FILES)
def test_modules_get_the_parameters_that_they_declare(name: str) -> None:
    for module in read(name).modules:
        target = (INFRA / name).parent / module.target
        declared = read(target.relative_to(INFRA).as_posix()).params
        arguments = module.body["params"]
        assert set(arguments) - set(declared) == set(), module.target
        assert {key for key, param in declared.items() if param.is_required} - set(arguments) == set(), module.target
        assert [key for key, argument in arguments.items() if not accepts(declared[key], argument)] == [], module.target


def accepts(parameter: Parameter, argument: Any) -> bool:
    """True if a literal has the type of a parameter and is among its allowed values. Expressions are not evaluated."""
    if isinstance(argument, Expression):
        return True
    return isinstance(argument, TYPES[parameter.type]) and (not parameter.allowed or argument in parameter.allowed)


@pytest.mark.parametrize("name", FILES)
def test_names_are_declared(name: str) -> None:
    file = read(name)
    declared = {*file.params, *file.variables, *(item.symbol for item in (*file.resources, *file.modules))}
    names, functions = used_names(INFRA / name)
    assert names - declared == set()
    assert functions - FUNCTIONS == set()


@pytest.mark.parametrize("name", FILES)
def test_outputs_of_modules_exist(name: str) -> None:
    targets = {module.symbol: (INFRA / name).parent / module.target for module in read(name).modules}
    for symbol, output in re.findall(r"(\w+)\.outputs\.(\w+)", read(name).text):
        assert output in read(targets[symbol].relative_to(INFRA).as_posix()).outputs, f"{symbol}.outputs.{output}"


@pytest.mark.parametrize("name", FILES)
def test_defaults_have_the_type_of_their_parameter(name: str) -> None:
    params = read(name).params
    assert [key for key, param in params.items() if not param.is_required and not accepts(param, param.value)] == []


@pytest.mark.parametrize("name", FILES)
def test_every_parameter_and_variable_is_used(name: str) -> None:
    file = read(name)
    words = re.findall(r"\w+", re.sub(r"//.*", "", file.text))
    assert [key for key in (*file.params, *file.variables) if words.count(key) < 2] == []


@pytest.mark.parametrize("path", named(PARAMETER_FILES))
def test_a_parameter_file_sets_declared_parameters(path: Path) -> None:
    values = read_parameters(path.name)
    assert path.read_text(encoding="utf-8").startswith("using 'main.bicep'\n")
    assert set(values) - set(MAIN.params) == set()
    assert {key for key, param in MAIN.params.items() if param.is_required} - set(values) == set()
    assert [key for key, setting in values.items() if not accepts(MAIN.params[key], setting)] == []
    assert values["environmentName"] == path.stem


def resources() -> Iterator[Resource]:
    for name in FILES:
        yield from read(name).resources


def test_every_resource_type_has_a_version_with_a_source() -> None:
    used = {tuple(resource.target.split("@")) for resource in resources()}
    assert used == {(kind, str(source["version"])) for kind, source in SOURCES.items()}
    assert [kind for kind, source in SOURCES.items() if not source.get("source")] == []


def property_names(body: Any) -> Iterator[str]:
    if isinstance(body, list):
        for item in body:
            yield from property_names(item)
    elif isinstance(body, dict):
        for key, item in body.items():
            yield key
            yield from () if key in FREE else property_names(item)


def test_every_property_was_looked_up() -> None:
    used: dict[str, set[str]] = {kind: set() for kind in SOURCES}
    for resource in resources():
        used[resource.target.partition("@")[0]] |= set(property_names(resource.body.get("properties", {})))
    assert used == {kind: {*source["properties"], *source.get("unverified", ())} for kind, source in SOURCES.items()}


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_resources_names_the_verified_module(name: str) -> None:
    file = read(name)
    has_own = any(not resource.is_existing for resource in file.resources)
    assert has_own == bool(re.search(r"^// AVM: (br/public:avm/|no module)", file.text, re.MULTILINE))


@pytest.mark.parametrize("name", FILES)
def test_no_output_is_a_secret(name: str) -> None:
    assert [key for key, text in read(name).outputs.items() if SECRET.search(f"{key} {text}")] == []
    assert not re.search(r"list(Keys|Secrets|AccountSas)\(", read(name).text, re.I)


def test_resources_accept_no_keys_and_public_access_is_off_by_default() -> None:
    account = read("modules/storage.bicep").resource("account")["properties"]
    assert account["allowSharedKeyAccess"] is False
    assert account["allowBlobPublicAccess"] is False
    assert account["minimumTlsVersion"] == "TLS1_2"
    vault = read("modules/key-vault.bicep").resource("vault")["properties"]
    assert (vault["enableRbacAuthorization"], vault["enablePurgeProtection"]) == (True, True)
    registry = read("modules/container-registry.bicep").resource("registry")["properties"]
    assert (registry["adminUserEnabled"], registry["anonymousPullEnabled"]) == (False, False)
    assert read("modules/foundry.bicep").resource("account")["properties"]["disableLocalAuth"] is True
    for name in ("key-vault", "container-registry", "foundry", "workspace"):
        assert read(f"modules/{name}.bicep").params["publicNetworkAccess"].value == "Disabled"
    assert read_parameters("prod.bicepparam")["publicNetworkAccess"] == "Disabled"


def test_the_workspace_uses_identities_and_a_managed_network() -> None:
    body = read("modules/workspace.bicep").resource("workspace")
    properties = body["properties"]
    assert body["identity"]["type"] == "UserAssigned"
    assert properties["primaryUserAssignedIdentity"] == "workspaceIdentityId"
    assert properties["systemDatastoresAuthMode"] == "Identity"
    assert properties["managedNetwork"]["isolationMode"] == "AllowOnlyApprovedOutbound"
    connection = read("modules/workspace.bicep").resource("connection")["properties"]
    assert (connection["category"], connection["authType"]) == ("AIServices", "AAD")
    assert "credentials" not in connection
    build = MAIN.resource("imageBuildCluster")["params"]
    assert build["name"] == MAIN.resource("workspace")["params"]["imageBuildCompute"] == "imageBuildCompute"


def test_clusters_scale_from_zero_with_an_identity() -> None:
    body = read("modules/cluster.bicep").resource("cluster")
    properties = body["properties"]["properties"]
    assert properties["scaleSettings"]["minNodeCount"] == 0
    assert body["identity"]["type"] == "UserAssigned"
    assert (properties["enableNodePublicIp"], properties["remoteLoginPortPublicAccess"]) == (False, "Disabled")
    priorities = {cluster["name"]: cluster["vmPriority"] for cluster in MAIN.params["clusters"].value}
    assert priorities == {"cpu-cluster": "Dedicated", "gpu-cluster": "Dedicated", "gpu-spot": "LowPriority"}


def test_diagnostics_of_every_service_go_to_log_analytics() -> None:
    for name in ("storage", "key-vault", "container-registry", "foundry", "workspace"):
        properties = read(f"modules/{name}.bicep").resource("diagnostics")["properties"]
        assert properties["workspaceId"] == "logsId"
        assert [group["categoryGroup"] for group in properties["logs"]] == ["allLogs"]


def outbound_hosts() -> list[str]:
    rules = read("modules/workspace.bicep").variables["packageRules"]
    assert {rule["type"] for rule in rules.values()} == {"FQDN"}
    return [rule["destination"] for rule in rules.values()]


def needed_hosts() -> set[str]:
    """Hosts of the images, channels and package indexes of environments/."""
    hosts = {"pypi.org", "files.pythonhosted.org", "download.pytorch.org"}
    for path in (ROOT / "environments").glob("*/environment.yml"):
        hosts.add(yaml.safe_load(path.read_text(encoding="utf-8"))["image"].partition("/")[0])
    for path in (ROOT / "environments").glob("*/conda.yml"):
        text = path.read_text(encoding="utf-8")
        hosts |= {"conda.anaconda.org" for channel in yaml.safe_load(text)["channels"] if channel != "nodefaults"}
        hosts |= set(re.findall(r"https://([\w.-]+)", text))
    return hosts


@pytest.mark.parametrize("host", sorted(needed_hosts()))
def test_image_builds_reach_every_host_that_they_need(host: str) -> None:
    assert any(fnmatch(host, pattern) for pattern in outbound_hosts())


def test_the_teacher_is_reached_by_a_private_endpoint() -> None:
    (rule,) = read("modules/workspace.bicep").variables["teacherRules"].values()
    assert (rule["type"], rule["destination"]["subresourceTarget"]) == ("PrivateEndpoint", "account")


def test_defaults_are_those_of_the_ready_job() -> None:
    job = yaml.safe_load((ROOT / "pipelines" / "support" / "job.yaml").read_text(encoding="utf-8"))
    (teacher,) = job["teacher"]["teachers"]
    assert MAIN.params["connectionName"].value == teacher["connection"]
    assert MAIN.params["teacher"].value["deployment"] == teacher["model"]
    sizes = {cluster["vmSize"] for cluster in MAIN.params["clusters"].value}
    compute = ComputeSection()
    assert sizes == {compute.cpu_instance_type, compute.gpu_instance_type} == set(MAIN.params["allowedVmSizes"].value)


def test_only_checkpoints_are_deleted_by_the_lifecycle() -> None:
    rules = read("modules/storage-lifecycle.bicep").resource("lifecycle")["properties"]["policy"]["rules"]
    (prefix,) = (prefix for rule in rules for prefix in rule["definition"]["filters"]["prefixMatch"])
    golden = (ROOT / "pipelines" / "support" / "pipeline.golden.yml").read_text(encoding="utf-8")
    (folder,) = re.findall(r"workspaceblobstore/paths/(\S+/checkpoints)$", golden, re.MULTILINE)
    assert prefix == f"'azureml-blobstore-${{workspaceGuid}}/{folder}/'"
