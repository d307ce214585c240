"""Catalog of teacher and student models: facts for short names and warnings. Models outside the catalog are allowed.

`models.yaml` is the built-in catalog. The `catalog:` of a job overrides and extends it.
"""

import re
from collections.abc import Mapping
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from azdistill.contracts.errors import SpecError
from azdistill.engine.yaml_document import read_document
from azdistill.job.paths import SpecPath

MODELS_FILE = Path(__file__).with_name("models.yaml")

# Start of the address of a model in a registry.
REGISTRIES = "azureml://registries/"

_WORD = re.compile(r"[a-z]{2,}")

ModelType = Literal["custom_model", "mlflow_model"]
Lifecycle = Literal["preview", "ga", "legacy", "deprecated", "retired"]


class Facts(BaseModel):
    """Facts about a model. None means unknown, which causes no warning."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)

    name: str | None = Field(None, description="Name of the deployment or registry model. Default: the catalog's name.")
    parameters: float | None = Field(None, gt=0, description="Billions of parameters, with all experts.")
    context: int | None = Field(None, ge=1, description="Context length in tokens, answer included.")
    licence: str | None = Field(None, description="Short name of the licence or terms, for licences_acknowledged.")
    duty: str | None = Field(None, description="Duty that the licence adds to a student trained with this model.")
    lifecycle: Lifecycle | None = Field(None, description="Stage in Azure's model lifecycle.")
    retires: date | None = Field(None, description="Retirement date in Azure.")
    replacement: str | None = Field(None, description="Model that Azure recommends instead.")
    registry: str | None = Field(None, pattern=r"^azureml:", description="Address in an Azure ML registry.")
    source: str | None = Field(None, description="Repository on Hugging Face.")

    def is_outdated(self, today: date) -> bool:
        """True if Azure has retired the model by `today`, or has announced to."""
        return self.lifecycle in ("legacy", "deprecated", "retired") or self.is_retired(today)

    def is_retired(self, today: date) -> bool:
        """True when Azure has retired the model by `today`."""
        return self.lifecycle == "retired" or bool(self.retires and self.retires <= today)


class TeacherFacts(Facts):
    """Facts about a teacher model."""

    route: Literal["foundry", "azure-openai", "serverless", "messages"] | None = Field(
        None, description="API of the model: a Foundry resource, Azure OpenAI, a serverless endpoint, the Messages API."
    )


class StudentFacts(Facts):
    """Facts about a student model."""

    address: SpecPath | None = Field(None, description="Folder or azureml: address, for a model in no registry.")
    type: ModelType | None = Field(None, description="Type of the model in its registry.")
    architecture: str | None = Field(None, description="Model class in transformers.")
    memory: float | None = Field(
        None,
        gt=0,
        description="GPU memory of full fine-tuning without activations, GB. Default: measured for the students of the "
        "built-in catalog, else 18 GB per billion parameters.",
    )


FactsType = TypeVar("FactsType", bound=Facts)


class Catalog(BaseModel):
    """Facts about models. The catalog of a job overrides single fields of the built-in one; a new name adds a model."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    teachers: dict[str, TeacherFacts] = Field(default_factory=dict, description="Facts about teachers, by name.")
    students: dict[str, StudentFacts] = Field(default_factory=dict, description="Facts about students, by name.")

    def over(self, base: "Catalog") -> "Catalog":
        """The catalog `base`, overridden by the fields that are set in this one."""
        return Catalog(teachers=_merge(self.teachers, base.teachers), students=_merge(self.students, base.students))

    def teacher(self, model: str) -> TeacherFacts | None:
        """Facts about a teacher, by its name in the catalog or of its deployment. Case does not matter."""
        listed = self._teachers.get(_model_name(model))
        return _with_name(listed, self.teachers[listed]) if listed else None

    def student(self, model: str) -> StudentFacts | None:
        """Facts about a student, by its name in the catalog, its address or the name of its folder."""
        listed = self.student_name(model)
        return _with_name(listed, self.students[listed]) if listed else None

    def student_name(self, model: str) -> str | None:
        """The name in the catalog of a student, by that name, its address or the name of its folder."""
        return self._students.get(_model_name(model))

    def families(self, model: str) -> set[str]:
        """Families of a model by its name or address, such as llama. A distilled model may be of two.

        A family is the word that names of the catalog start with.
        """
        name = self._teachers.get(_model_name(model)) or self.student_name(model) or _model_name(model)
        return self._families & set(_WORD.findall(name.casefold()))

    @cached_property
    def _families(self) -> set[str]:
        words = (_WORD.match(name.casefold()) for name in (*self.teachers, *self.students))
        return {word[0] for word in words if word}

    def address(self, student: str) -> str:
        """The address of a student of the catalog. A path, an address or an unknown name is returned unchanged."""
        facts = None if "/" in student else self.student(student)
        return (facts and (facts.address or facts.registry)) or student

    @cached_property
    def _teachers(self) -> dict[str, str]:
        return _by_alias(self.teachers)

    @cached_property
    def _students(self) -> dict[str, str]:
        return _by_alias(self.students)


class BuiltInCatalog(Catalog):
    """The catalog of `models.yaml`."""

    as_of: date = Field(description="Date of the facts.")


@cache
def built_in() -> BuiltInCatalog:
    """The built-in catalog. It is read at the first call."""
    return BuiltInCatalog.model_validate(read_document(MODELS_FILE, SpecError, "catalog").value)


def _merge(facts: Mapping[str, FactsType], base: Mapping[str, FactsType]) -> dict[str, FactsType]:
    """Facts by name, where `facts` override single fields of `base`. Case does not matter."""
    names = {name.casefold(): name for name in base}
    merged = dict(base)
    for written, model in facts.items():
        name = names.get(written.casefold(), written)
        merged[name] = base[name].model_copy(update=model.model_dump(exclude_unset=True)) if name in base else model
    return merged


def _by_alias(models: Mapping[str, Facts]) -> dict[str, str]:
    """Names in the catalog by every name of a model in lower case. A name in the catalog wins over an alias of another
    model."""
    by_alias: dict[str, str] = {}
    for listed, facts in models.items():
        aliases = (facts.source, facts.name, facts.registry, getattr(facts, "address", None))
        by_alias |= {_model_name(alias): listed for alias in aliases if alias and _model_name(alias) not in models}
        by_alias[listed.casefold()] = listed
    return by_alias


def _with_name(listed: str, facts: FactsType) -> FactsType:
    return facts if facts.name else facts.model_copy(update={"name": listed})


def _model_name(address: str) -> str:
    """The name of the model in a path or address, in lower case."""
    return address.partition("/versions/")[0].rstrip("/").rpartition("/")[2].casefold()
