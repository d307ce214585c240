"""Scenarios: what a user does with the real client on the files of examples/. Each has a golden of its requests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from azure.ai.ml import (
    MLClient,
    load_component,
    load_connection,
    load_data,
    load_environment,
    load_job,
    load_model,
    load_online_deployment,
    load_online_endpoint,
)
from azure.ai.ml.entities._load_functions import load_schedule  # not among the public names

EXAMPLES = Path(__file__).parent / "examples"


def job(client: MLClient, file: str, name: str) -> Any:
    """Submit a job of the examples under `name`."""
    return client.jobs.create_or_update(load_job(EXAMPLES / file, params_override=[{"name": name}]))


def environment(client: MLClient, folder: str) -> Any:
    return client.environments.create_or_update(load_environment(EXAMPLES / folder / "environment.yml"))


def data(client: MLClient) -> Any:
    return client.data.create_or_update(load_data(EXAMPLES / "data.yml"))


def model(client: MLClient) -> Any:
    return client.models.create_or_update(load_model(EXAMPLES / "model.yml"))


def component(client: MLClient) -> Any:
    """The example's component, with a registered environment."""
    loaded = load_component(EXAMPLES / "train.yml", params_override=[{"environment": "azureml:cpu:1"}])
    return client.components.create_or_update(loaded)


def connection(client: MLClient, file: str) -> Any:
    return client.connections.create_or_update(load_connection(EXAMPLES / file))


def schedule(client: MLClient) -> Any:
    return client.schedules.begin_create_or_update(load_schedule(EXAMPLES / "schedule.yml")).result()


def endpoint(client: MLClient) -> Any:
    return client.online_endpoints.begin_create_or_update(load_online_endpoint(EXAMPLES / "endpoint.yml")).result()


def deployment(client: MLClient, color: str) -> Any:
    """The example's deployment under another name."""
    loaded = load_online_deployment(EXAMPLES / "deployment.yml", params_override=[{"name": color}])
    return client.online_deployments.begin_create_or_update(loaded).result()


def _pipeline(client: MLClient) -> None:
    job(client, "pipeline.yml", "pipeline-1")


def _command(client: MLClient) -> None:
    environment(client, "environment")
    job(client, "command.yml", "command-1")


def _sweep(client: MLClient) -> None:
    job(client, "sweep.yml", "sweep-1")


def _environments(client: MLClient) -> None:
    environment(client, "environment")
    environment(client, "built")


def _assets(client: MLClient) -> None:
    data(client)
    model(client)
    component(client)


def _connections(client: MLClient) -> None:
    connection(client, "serverless.yml")
    connection(client, "services.yml")
    client.connections.get("deepseek", populate_secrets=True)
    list(client.connections.list())


def _schedule(client: MLClient) -> None:
    data(client)
    schedule(client)
    client.schedules.begin_disable("nightly").result()
    client.schedules.begin_delete("nightly").result()


def _online(client: MLClient) -> None:
    """A deployment, all traffic, its log, and its end."""
    model(client)
    endpoint(client)
    deployment(client, "blue")
    existing = client.online_endpoints.get("support")
    existing.traffic = {"blue": 100}
    client.online_endpoints.begin_create_or_update(existing).result()
    client.online_deployments.get_logs("blue", "support", 100, container_type="inference-server")
    client.online_endpoints.get_keys("support")
    client.online_endpoints.begin_delete("support").result()


def _sharing(client: MLClient) -> None:
    """A model of the workspace is shared with the registry."""
    model(client)
    client.models.share("student", "1", share_with_name="student", share_with_version="1", registry_name="house")


SCENARIOS: dict[str, Callable[[MLClient], None]] = {
    "pipeline": _pipeline,
    "command": _command,
    "sweep": _sweep,
    "environments": _environments,
    "assets": _assets,
    "connections": _connections,
    "schedule": _schedule,
    "online": _online,
    "sharing": _sharing,
}


def _registry(client: MLClient) -> None:
    """An environment, one with a build context, and a component that names the first."""
    environment(client, "environment")
    environment(client, "built")
    address = "azureml://registries/house/environments/cpu/versions/1"
    loaded = load_component(EXAMPLES / "train.yml", params_override=[{"environment": address}])
    client.components.create_or_update(loaded)
    client.components.get("train", "1")


# These need a client of the registry `house`.
REGISTRY_SCENARIOS: dict[str, Callable[[MLClient], None]] = {"registry": _registry}
