"""Where and how a job runs on Azure ML: compute, resources, distribution."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from azdistill.engine.pipeline.reading import Part
from azdistill.engine.pipeline.vm_sizes import gpus

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


@dataclass(frozen=True)
class Shape:
    """The processes of a distributed node: `instances` machines with `each` processes."""

    kind: Literal["pytorch", "mpi"]
    instances: int
    each: int

    @property
    def size(self) -> int:
        return self.instances * self.each


def shape(settings: Mapping[str, Any]) -> Shape | None:
    """The processes that a distribution asks for, None where there is none that the local engine starts itself."""
    kind = str(_field(settings, "distribution", "type")).lower()
    if kind not in ("pytorch", "mpi"):
        return None
    return Shape(
        "mpi" if kind == "mpi" else "pytorch",
        _count(settings, "resources", "instance_count"),
        _count(settings, "distribution", "process_count_per_instance"),
    )


def timeout(settings: Mapping[str, Any]) -> float | None:
    """`limits.timeout`, in seconds."""
    given = _field(settings, "limits", "timeout")
    return float(given) if isinstance(given, (int, float)) else None


def check_processes(part: Part, settings: Mapping[str, Any]) -> None:
    """Several machines without a distribution that says what each of them is to do."""
    count = _field(settings, "resources", "instance_count")
    if count not in (None, 1) and _is_count(count) and shape(settings) is None:
        kind = _field(settings, "distribution", "type")
        why = f"distribution.type={kind!r} is Azure ML's to start" if kind else "no distribution says what each does"
        part.at("resources", "instance_count").warning(f"{why}; here it runs as one process", scope="local")


def _count(settings: Mapping[str, Any], section: str, name: str) -> int:
    given = _field(settings, section, name)
    return given if isinstance(given, int) else 1


def _field(settings: Mapping[str, Any], section: str, name: str) -> Any:
    given = settings.get(section)
    return given.get(name) if isinstance(given, Mapping) else None


def _is_count(value: Any) -> bool:
    return (isinstance(value, int) and not isinstance(value, bool) and value >= 1) or "${{" in str(value)
