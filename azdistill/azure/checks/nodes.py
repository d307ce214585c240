"""Nodes of a pipeline file, with the compute and identity that each requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from azdistill.azure.identities import JobIdentity, job_identity
from azdistill.engine.pipeline.expressions import PipelineInput, reference

SERVERLESS, SPOT = "serverless", "spot"


@dataclass(frozen=True)
class ComputeNode:
    """A node and what it requests. `vm_size` is None on a cluster, which has its own; `processes` are per instance."""

    name: str
    step: str
    compute: str
    vm_size: str | None
    spot: bool
    instances: int
    processes: int
    identity: JobIdentity


def compute_nodes(document: Mapping[str, Any]) -> list[ComputeNode]:
    """The nodes of a pipeline file. A node without a compute has the default one."""
    default = document.get("settings", {}).get("default_compute", SERVERLESS)
    return [_node(document, name, node, str(node.get("compute", default))) for name, node in document["jobs"].items()]


def _node(document: Mapping[str, Any], name: str, node: Mapping[str, Any], compute: str) -> ComputeNode:
    resources, distribution = node.get("resources") or {}, node.get("distribution") or {}
    return ComputeNode(
        name,
        step_of_node(name, node),
        compute.removeprefix("azureml:"),
        resources.get("instance_type"),
        str((node.get("queue_settings") or {}).get("job_tier")).casefold() == SPOT,
        int(resources.get("instance_count", 1)),
        int(distribution.get("process_count_per_instance", 1)),
        job_identity(document, node),
    )


def step_of_node(name: str, node: Mapping[str, Any]) -> str:
    """The step of a node: the folder of its component, or its name."""
    return PurePosixPath(str(node.get("component", name))).parent.name or name


def steps_that_read(document: Mapping[str, Any], name: str) -> frozenset[str]:
    """The steps of the nodes that an input of the pipeline is bound to."""
    nodes = document["jobs"].items()
    return frozenset(step_of_node(key, node) for key, node in nodes if _reads(node.get("inputs") or {}, name))


def _reads(inputs: Mapping[str, Any], name: str) -> bool:
    values = (value.get("path") if isinstance(value, dict) else value for value in inputs.values())
    return PipelineInput(name) in (reference(value) for value in values if isinstance(value, str))
