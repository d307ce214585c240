"""Run settings of a job on Azure ML: compute, resources, distribution, limits."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from azdistill.engine.pipeline.authorities import CLIENT, CLIENT_AND_ENGINE, SERVICE, SERVICE_AND_ENGINE
from azdistill.engine.pipeline.vm_sizes import check_name, vm_size
from azdistill.engine.pipeline.yaml_node import YamlNode, integer_of

RUN_SETTINGS = ("compute", "resources", "distribution", "limits", "identity", "queue_settings")
_SHM_SIZE = re.compile(r"[1-9]\d*[bkmg]", re.IGNORECASE)
_DISTRIBUTIONS = ("pytorch", "mpi", "tensorflow", "ray")


def check_run_settings(node: YamlNode) -> None:
    """Check the settings of a job or a component, each on its own."""
    resources, distribution = node.at("resources"), node.at("distribution")
    resources.mapping()
    distribution.mapping()
    size = resources.at("shm_size")
    if size.value is not None and "${{" not in str(size.value) and not _SHM_SIZE.fullmatch(str(size.value)):
        message = "must be a number and a unit, such as 2g, 512m or 100k"
        size.error("wrong_format", message, refused_by=SERVICE if isinstance(size.value, str) else CLIENT)
    type = distribution.at("type")
    if distribution.value is not None and str(type.value).lower() not in _DISTRIBUTIONS:
        type.error("invalid_choice", f"must be one of {', '.join(_DISTRIBUTIONS)}")
    for count in (resources.at("instance_count"), distribution.at("process_count_per_instance")):
        if count.value is None or "${{" in str(count.value):
            continue
        number = integer_of(count)
        if number is None or number < 1:
            authorities = CLIENT_AND_ENGINE if number is None else SERVICE_AND_ENGINE
            count.error("out_of_range", "must be an integer of at least 1", refused_by=authorities)


def check_vm_size(node: YamlNode, settings: Mapping[str, Any], default_compute: Any) -> None:
    """Check the VM size of serverless compute. A cluster has a fixed one, and Kubernetes has other names for sizes."""
    name, compute = _setting(settings, "resources", "instance_type"), settings.get("compute") or default_compute
    is_serverless = str(compute).removeprefix("azureml:").lower() == "serverless"
    if is_serverless and isinstance(name, str) and "${{" not in name and (problem := check_name(name)):
        size = node.at("resources", "instance_type")
        report = size.error if problem.severity == "error" else size.warning
        report(problem.code, problem.message, problem.fix, value=name, scope="azure")


def check_gpus(node: YamlNode, settings: Mapping[str, Any]) -> None:
    """More processes than GPUs: several processes would share a device."""
    name, type = _setting(settings, "resources", "instance_type"), _setting(settings, "distribution", "type")
    size = vm_size(name) if isinstance(name, str) else None
    count = _count(settings, "distribution", "process_count_per_instance")
    if size and str(type).lower() == "pytorch" and count > size.gpus:
        message = f"must be at most {size.gpus}: {name} has {size.gpus} GPU{'s' if size.gpus > 1 else ''}"
        processes = node.at("distribution", "process_count_per_instance")
        processes.error("out_of_range", message, "lower it or use a larger VM", value=count, refused_by=SERVICE)


@dataclass(frozen=True)
class ProcessLayout:
    """The processes of a distributed node: `per_instance` processes on each of `instances` machines."""

    kind: Literal["pytorch", "mpi"]
    instances: int
    per_instance: int

    @property
    def size(self) -> int:
        return self.instances * self.per_instance


def process_layout(settings: Mapping[str, Any]) -> ProcessLayout | None:
    """The processes of a node's distribution; None without a distribution that the local engine can start."""
    kind = str(_setting(settings, "distribution", "type")).lower()
    if kind not in ("pytorch", "mpi"):
        return None
    return ProcessLayout(
        "mpi" if kind == "mpi" else "pytorch",
        _count(settings, "resources", "instance_count"),
        _count(settings, "distribution", "process_count_per_instance"),
    )


def timeout(settings: Mapping[str, Any]) -> float | None:
    """`limits.timeout`, in seconds."""
    seconds = _setting(settings, "limits", "timeout")
    is_number = isinstance(seconds, (int, float)) or (isinstance(seconds, str) and seconds.isdigit())
    return float(seconds) if is_number else None


def check_processes(node: YamlNode, settings: Mapping[str, Any]) -> None:
    """Warn about several instances without a distribution that the local engine can start."""
    count = _setting(settings, "resources", "instance_count")
    if count is None or _count(settings, "resources", "instance_count") <= 1 or process_layout(settings) is not None:
        return
    type = _setting(settings, "distribution", "type")
    reason = f"only Azure ML starts distribution.type={type!r}" if type else "there is no distribution"
    instances = node.at("resources", "instance_count")
    instances.warning("ignored_field", f"a local run starts one process: {reason}", scope="local")


def _count(settings: Mapping[str, Any], section: str, name: str) -> int:
    value = _setting(settings, section, name)
    is_number = isinstance(value, (int, float)) and math.isfinite(value)
    return int(value) if is_number or (isinstance(value, str) and value.isdigit()) else 1


def _setting(settings: Mapping[str, Any], section: str, name: str) -> Any:
    fields = settings.get(section)
    return fields.get(name) if isinstance(fields, Mapping) else None
