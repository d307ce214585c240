"""The files of infra/yaml are what the SDK accepts, and have the values of the Bicep files."""

import pytest
import yaml
from azure.ai.ml import load_compute, load_connection, load_online_endpoint, load_registry

from tests.infra.bicep import INFRA, read

FOLDER = INFRA / "yaml"
CLUSTERS = ("cpu-cluster", "gpu-cluster", "gpu-spot")
IDENTITIES = "/providers/Microsoft.ManagedIdentity/userAssignedIdentities/"


def test_every_file_is_tested() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*CLUSTERS, "connection", "endpoint", "registry"}


@pytest.mark.parametrize("name", CLUSTERS)
def test_a_cluster_is_the_one_of_the_bicep_file(name: str) -> None:
    cluster = load_compute(FOLDER / f"{name}.yml")
    (expected,) = (item for item in read("main.bicep").params["clusters"].value if item["name"] == name)
    tier = {"Dedicated": None, "LowPriority": "low_priority"}[expected["vmPriority"]]
    assert (cluster.name, cluster.size, cluster.max_instances) == (name, expected["vmSize"], expected["maxNodes"])
    assert yaml.safe_load((FOLDER / f"{name}.yml").read_text()).get("tier") == tier
    assert (cluster.min_instances, cluster.enable_node_public_ip, cluster.ssh_public_access_enabled) == (
        0,
        False,
        False,
    )
    (identity,) = cluster.identity.user_assigned_identities
    assert identity.resource_id.endswith(f"{IDENTITIES}JOBS")


def test_the_connection_has_no_key_and_the_name_of_the_bicep_file() -> None:
    connection = load_connection(FOLDER / "connection.yml")
    assert connection.name == read("main.bicep").params["connectionName"].value
    assert (connection.type, connection.credentials.type) == ("azure_ai_services", "aad")
    assert connection.ai_services_resource_id.endswith("/accounts/RESOURCE")


def test_the_endpoint_accepts_tokens_and_has_an_identity() -> None:
    endpoint = load_online_endpoint(FOLDER / "endpoint.yml")
    assert (endpoint.auth_mode, endpoint.public_network_access) == ("aad_token", "disabled")
    (identity,) = endpoint.identity.user_assigned_identities
    assert identity.resource_id.endswith(f"{IDENTITIES}SERVING")


def test_the_registry_is_the_one_of_the_bicep_file() -> None:
    registry = load_registry(FOLDER / "registry.yml")
    assert registry.name == read("shared.bicep").params["name"].value
    (region,) = registry.replication_locations
    assert (region.location, region.storage_config.storage_account_type) == (registry.location, "standard_zrs")
