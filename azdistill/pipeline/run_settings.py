"""Where and how a job runs on Azure ML: compute, resources, distribution."""

import re
from collections.abc import Mapping
from typing import Any

from azdistill.pipeline.reading import Part
from azdistill.pipeline.vm_sizes import gpus

RUN_SETTINGS = ("compute", "resources", "distribution", "limits", "identity", "queue_settings")
_SHM = re.compile(r"[1-9]\d*[bkmg]", re.IGNORECASE)
_DISTRIBUTIONS = ("pytorch", "mpi", "tensorflow", "ray")


def check_run_settings(part: Part) -> None:
    """Findings about the settings of a job or a component, each by itself."""
    resources, distribution = part.at("resources"), part.at("distribution")
    resources.mapping()
    distribution.mapping()
    size = resources.at("shm_size")
    if size.value is not None and not _SHM.fullmatch(str(size.value)):
        size.error("expected a size such as 2g, 512m or 100k")
    kind = distribution.at("type")
    if distribution.value is not None and str(kind.value).lower() not in _DISTRIBUTIONS:
        kind.error(f"expected one of {', '.join(_DISTRIBUTIONS)}")
    for count in (resources.at("instance_count"), distribution.at("process_count_per_instance")):
        if count.value is not None and not _is_count(count.value):
            count.error("expected an integer of at least 1")


def check_gpus(part: Part, settings: Mapping[str, Any]) -> None:
    """More processes than GPUs: each would wait for the others' device."""
    size, kind = _field(settings, "resources", "instance_type"), _field(settings, "distribution", "type")
    count = _field(settings, "distribution", "process_count_per_instance")
    have = gpus(size) if isinstance(size, str) else None
    if have is not None and str(kind).lower() == "pytorch" and isinstance(count, int) and count > have:
        part.at("distribution", "process_count_per_instance").error(
            f"{size} has {have} GPU{'s' if have > 1 else ''}; give at most {have}, or a larger VM", value=count
        )


def check_processes(part: Part, settings: Mapping[str, Any]) -> None:
    """Several processes of one node are Azure ML's to start."""
    counts = (
        _field(settings, "resources", "instance_count"),
        _field(settings, "distribution", "process_count_per_instance"),
    )
    if any(count not in (None, 1) and _is_count(count) for count in counts):
        part.at("distribution").warning("without effect here: it runs as one process", value=None, scope="local")


def _field(settings: Mapping[str, Any], section: str, name: str) -> Any:
    given = settings.get(section)
    return given.get(name) if isinstance(given, Mapping) else None


def _is_count(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and value >= 1) or "${{" in str(value)
