"""The files of a deployment: YAML of the endpoint and of both deployments, and the build context of their image.

    endpoint.yml            the endpoint, without traffic
    blue.yml, green.yml     the same deployment under two names: the one without traffic is created
    server/                 Dockerfile and serve.sh
    autoscale.json          with section autoscale: body of an autoscale setting of Azure Monitor

They depend on the job and the model only, and on no clock or workspace.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_text
from azdistill.engine.local.assets import parse_asset
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.job.deployment import DeploymentSection
from azdistill.job.model import DistillationJob
from azdistill.job.serving import planned_serving

SCHEMAS = "https://azuremlschemas.azureedge.net/latest"
COLORS = ("blue", "green")
# Tag of a deployment: hash of everything that it was created from, except for its color.
CONTENT_TAG = "azdistill_content"
CONTENT_DIGITS = 12
# Tag of a deployment that has an autoscale setting.
AUTOSCALE_TAG = "azdistill_autoscale"

ENDPOINT_FILE, AUTOSCALE_FILE, CONTEXT = "endpoint.yml", "autoscale.json", "server"
SERVER_SCRIPT = Path(__file__).with_name(CONTEXT) / "serve.sh"
PORT = 8000

# Of an autoscale setting: minutes that the utilization is averaged over, and minutes between two changes.
WINDOW, COOLDOWN = "PT5M", "PT10M"

_WORKSPACE_MODEL = re.compile(r"azureml:[\w.-]+:[\w.-]+|azureml://registries/[^/]+/models/[^/]+/versions/[^/]+")


@dataclass(frozen=True)
class Release:
    """A version of a model, and the job that says how it is deployed. `identity` is the resource id of the endpoint's
    user-assigned identity, None for a system-assigned one."""

    job: DistillationJob
    deployment: DeploymentSection
    model: str
    identity: str | None = None

    @property
    def served_name(self) -> str:
        """Name of the model in requests."""
        asset = parse_asset(self.model)
        assert asset is not None
        return asset.name

    @property
    def content(self) -> str:
        """Hash of everything that a deployment is created from, except for its color."""
        parts = [json.dumps(_deployment(self), sort_keys=True), *_context(self.deployment).values()]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:CONTENT_DIGITS]


def release_of(job: DistillationJob, model: str, group_id: str | None = None) -> Release:
    """The release of a model by the section `deployment` of a job.

    `group_id` is the resource id of the workspace's resource group, which the short name of an identity needs. Raises
    InputError without a section, for a model without a version, and for a short name without a group.
    """
    deployment = section_of(job)
    check_model(model)
    identity = deployment.identity
    if identity and "/" not in identity:
        if group_id is None:
            raise InputError(
                "a short name needs the workspace's resource group",
                field=("deployment", "identity"),
                value=identity,
                code="no_workspace",
                fix="give the workspace with --config, or write the resource id",
            )
        identity = f"{group_id}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{identity}"
    return Release(job, deployment, model, identity)


def section_of(job: DistillationJob) -> DeploymentSection:
    """Section `deployment` of a job. Raises InputError without one."""
    if job.deployment is None:
        raise InputError(
            "the job has no section deployment",
            field=("deployment",),
            code="missing_section",
            fix="add `deployment:` with `endpoint_name:`, see `azdistill docs deploy`",
        )
    return job.deployment


def check_model(model: str) -> None:
    """Raise InputError for an address without a version."""
    if not _WORKSPACE_MODEL.fullmatch(model):
        raise InputError(
            "must name a version of a model",
            subject=f"--model {model!r}",
            code="wrong_format",
            fix="write azureml:NAME:VERSION or azureml://registries/REGISTRY/models/NAME/versions/VERSION",
        )


def write_files(release: Release, folder: Path) -> list[Path]:
    """Write the files of a deployment into `folder`, and return their paths. Files with these names are replaced."""
    files = {ENDPOINT_FILE: to_yaml(endpoint_document(release))}
    files |= {deployment_file(color): to_yaml(deployment_document(release, color)) for color in COLORS}
    files |= {f"{CONTEXT}/{name}": text for name, text in _context(release.deployment).items()}
    if release.deployment.autoscale:
        body = autoscale_document(release, "ENDPOINT_ID/deployments/COLOR", "LOCATION")
        files[AUTOSCALE_FILE] = json.dumps(body, indent=2) + "\n"
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_text(folder / name, text)
    return [folder / name for name in files]


def deployment_file(color: str) -> str:
    return f"{color}.yml"


def endpoint_document(release: Release) -> dict[str, Any]:
    """The endpoint. Its requests need a token of Microsoft Entra."""
    deployment = release.deployment
    identities = {"user_assigned_identities": [{"resource_id": release.identity}]} if release.identity else {}
    return {
        "$schema": f"{SCHEMAS}/managedOnlineEndpoint.schema.json",
        "name": deployment.endpoint_name,
        **({"description": release.job.description} if release.job.description else {}),
        "auth_mode": "aad_token",
        "public_network_access": deployment.public_network_access,
        "identity": {"type": "user_assigned" if release.identity else "system_assigned", **identities},
        "tags": {"azdistill_job": release.job.name, **release.job.tags},
    }


def deployment_document(release: Release, color: str) -> dict[str, Any]:
    """The deployment under the name `color`."""
    document = _deployment(release)
    tags = {**document.pop("tags"), CONTENT_TAG: release.content}
    return {"$schema": f"{SCHEMAS}/managedOnlineDeployment.schema.json", "name": color, **document, "tags": tags}


def _deployment(release: Release) -> dict[str, Any]:
    deployment = release.deployment
    scaled = {AUTOSCALE_TAG: f"at most {deployment.autoscale.max_instances} VMs"} if deployment.autoscale else {}
    route = {"port": PORT, "path": "/health"}
    routes = {"liveness_route": route, "readiness_route": route, "scoring_route": {"port": PORT, "path": "/"}}
    return {
        "endpoint_name": deployment.endpoint_name,
        "model": release.model,
        "environment": {"build": {"path": f"./{CONTEXT}"}, "inference_config": routes},
        "environment_variables": {"SERVED_MODEL_NAME": release.served_name, "VLLM_ARGS": _arguments(release)},
        "instance_type": deployment.instance_type,
        "instance_count": deployment.min_instances,
        "scale_settings": {"type": "default"},
        "egress_public_network_access": deployment.egress_public_network_access,
        "app_insights_enabled": True,
        "request_settings": {
            "request_timeout_ms": deployment.request_timeout_ms,
            "max_concurrent_requests_per_instance": deployment.max_concurrent_requests,
        },
        # vLLM answers /health when the student is loaded. A VM is restarted when the liveness probe fails, and gets no
        # requests before the readiness probe succeeds.
        "liveness_probe": _probe(deployment.startup_seconds, failures=30),
        "readiness_probe": _probe(10, failures=30 + deployment.startup_seconds // 10),
        "tags": {"azdistill_job": release.job.name, **scaled, **release.job.tags},
    }


def _probe(initial_delay: int, failures: int) -> dict[str, int]:
    return {
        "initial_delay": initial_delay,
        "period": 10,
        "timeout": 10,
        "success_threshold": 1,
        "failure_threshold": failures,
    }


def _arguments(release: Release) -> str:
    """Arguments of `vllm serve`. The GPUs of a VM share the student."""
    serving, length = planned_serving(release.job), release.deployment.max_model_length
    gpus = serving.gpus if serving else 1
    arguments = {"--max-model-len": length, "--tensor-parallel-size": gpus if gpus > 1 else None}
    return shlex.join(f"{word}" for name, value in arguments.items() if value for word in (name, value))


def _context(deployment: DeploymentSection) -> dict[str, str]:
    """Files of the image's build context."""
    dockerfile = f"""\
# The server, by digest. Azure ML builds this image once, in the container registry of the workspace.
FROM {deployment.image}
COPY serve.sh /serve.sh
ENTRYPOINT ["/bin/bash", "/serve.sh"]
"""
    return {"Dockerfile": dockerfile, SERVER_SCRIPT.name: SERVER_SCRIPT.read_text(encoding="utf-8")}


def autoscale_document(release: Release, deployment_id: str, location: str) -> dict[str, Any]:
    """Body of an autoscale setting of Azure Monitor, for the deployment with this resource id.

    Source: https://learn.microsoft.com/azure/machine-learning/how-to-autoscale-endpoints. The metric is listed in
    https://learn.microsoft.com/azure/azure-monitor/reference/supported-metrics/metrics-index.
    """
    autoscale = release.deployment.autoscale
    assert autoscale is not None
    high = autoscale.target_utilization
    rules = [
        _rule(deployment_id, "GreaterThan", high, "Increase"),
        _rule(deployment_id, "LessThan", high / 2, "Decrease"),
    ]
    count = {"minimum": autoscale.min_instances, "maximum": autoscale.max_instances, "default": autoscale.min_instances}
    capacity = {name: str(value) for name, value in count.items()}
    return {
        "location": location,
        "properties": {
            "enabled": True,
            "targetResourceUri": deployment_id,
            "profiles": [{"name": "gpu-utilization", "capacity": capacity, "rules": rules}],
        },
    }


def _rule(deployment_id: str, operator: str, threshold: float, direction: str) -> Mapping[str, Any]:
    return {
        "metricTrigger": {
            "metricName": "GpuUtilizationPercentage",
            "metricResourceUri": deployment_id,
            "timeGrain": "PT1M",
            "statistic": "Average",
            "timeWindow": WINDOW,
            "timeAggregation": "Average",
            "operator": operator,
            "threshold": threshold,
        },
        "scaleAction": {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": COOLDOWN},
    }
