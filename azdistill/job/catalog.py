"""What is known of teachers and students: facts to warn with, never a list of what is allowed.

`azdistill.job.models` holds the facts; a job lays its own over them with `catalog:`.
"""

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from azdistill.engine.pipeline.vm_sizes import VM_SIZES
from azdistill.job.paths import SpecPath

TRAINING_BYTES = 18
"""A parameter of full fine-tuning in mixed precision with AdamW: 6 of weights, 4 of gradient, 8 of optimizer.
Activations come on top. Source: transformers' documentation, "GPU memory usage"."""

# VM sizes to recommend, with the memory of all their GPUs in GB, smallest first. Several GPUs serve a student that is
# sharded over them.
VMS = {
    name: VM_SIZES[name].gpu_memory_gb
    for name in (
        "Standard_NC4as_T4_v3",
        "Standard_NV36ads_A10_v5",
        "Standard_NC24ads_A100_v4",
        "Standard_NC40ads_H100_v5",
        "Standard_NC48ads_A100_v4",
        "Standard_NC80adis_H100_v5",
        "Standard_NC96ads_A100_v4",
        "Standard_ND96isr_H100_v5",
    )
}

Lifecycle = Literal["preview", "ga", "legacy", "deprecated", "retired"]


class Facts(BaseModel):
    """What is known of a model. None: not known, so nothing is said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    name: str | None = Field(None, description="deployment or registry name; default: the name it is listed under")
    parameters: float | None = Field(None, gt=0, description="billions of parameters, all experts counted")
    context: int | None = Field(None, ge=1, description="longest conversation with its answer, tokens")
    licence: str | None = Field(None, description="short name of licence or terms; what licences_acknowledged lists")
    duty: str | None = Field(None, description="what the licence asks of a student trained with this model")
    lifecycle: Lifecycle | None = Field(None, description="stage in Azure's catalog")
    retires: date | None = Field(None, description="when Azure stops serving it")
    replacement: str | None = Field(None, description="what Azure names in its place")
    registry: str | None = Field(None, pattern=r"^azureml:", description="address in an Azure ML registry")
    source: str | None = Field(None, description="repository on Hugging Face")

    def leaves(self, today: date) -> bool:
        """Whether Azure has stopped serving it by `today`, or wants it used no more."""
        return self.lifecycle in ("legacy", "deprecated", "retired") or self.gone(today)

    def gone(self, today: date) -> bool:
        """Whether Azure has stopped serving it by `today`."""
        return self.lifecycle == "retired" or bool(self.retires and self.retires <= today)


class TeacherFacts(Facts):
    """A teacher."""

    route: Literal["foundry", "azure-openai", "serverless", "messages"] | None = Field(
        None, description="who serves it: a Foundry resource, Azure OpenAI, an endpoint of its own, the Messages API"
    )


class StudentFacts(Facts):
    """A student."""

    address: SpecPath | None = Field(None, description="a folder of yours, where no registry has the model")
    architecture: str | None = Field(None, description="model class in transformers")
    memory: float | None = Field(None, gt=0, description="GPU memory of full fine-tuning, GB; default: by parameters")

    @property
    def training_gb(self) -> float | None:
        """GPU memory that full fine-tuning takes before activations, GB."""
        return self.memory or (self.parameters and self.parameters * TRAINING_BYTES)

    @property
    def smallest_vm(self) -> str | None:
        """The smallest VM size whose GPUs hold it in full fine-tuning."""
        needed = self.training_gb
        return next((size for size, memory in VMS.items() if memory >= needed), None) if needed else None


Kind = TypeVar("Kind", bound=Facts)


class Catalog(BaseModel):
    """Facts of a job's own, laid over what azdistill knows field by field. A name that is new adds a model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    teachers: dict[str, TeacherFacts] = Field(default_factory=dict, description="name -> facts of a teacher")
    students: dict[str, StudentFacts] = Field(default_factory=dict, description="name -> facts of a student")

    def over(self, other: "Catalog") -> "Catalog":
        """This catalog laid over another."""
        return Catalog(teachers=_laid(self.teachers, other.teachers), students=_laid(self.students, other.students))

    def teacher(self, model: str) -> TeacherFacts | None:
        """What is known of a teacher by its name here or its deployment's, in any case."""
        return self._teachers.get(_last(model))

    def student(self, model: str) -> StudentFacts | None:
        """What is known of a student by name, address, or the name of its folder."""
        return self._students.get(_last(model))

    def address(self, student: str) -> str:
        """Where a student that is named lies; a path or address, and a name without a known one, is left as it is."""
        found = None if "/" in student else self.student(student)
        return (found and (found.address or found.registry)) or student

    @cached_property
    def _teachers(self) -> dict[str, TeacherFacts]:
        return _by_name(self.teachers)

    @cached_property
    def _students(self) -> dict[str, StudentFacts]:
        return _by_name(self.students)


def _laid(ours: Mapping[str, Kind], theirs: Mapping[str, Kind]) -> dict[str, Kind]:
    known = {name.casefold(): name for name in theirs}
    found = dict(theirs)
    for name, facts in ours.items():
        base = theirs.get(known.get(name.casefold(), name))
        merged = facts if base is None else base.model_copy(update=facts.model_dump(exclude_unset=True))
        found[known.get(name.casefold(), name)] = merged
    return found


def _by_name(models: Mapping[str, Kind]) -> dict[str, Kind]:
    """Every name that a model goes by -> its facts. The name it is listed under wins over all others."""
    found: dict[str, Kind] = {}
    for listed, facts in models.items():
        others = (facts.source, facts.name, facts.registry, getattr(facts, "address", None))
        named = facts if facts.name else facts.model_copy(update={"name": listed})
        found |= {_last(name): named for name in others if name and _last(name) not in models}
        found[listed.casefold()] = named
    return found


def _last(model: str) -> str:
    """The part of a path or address that names the model."""
    return model.partition("/versions/")[0].rstrip("/").rpartition("/")[2].casefold()
