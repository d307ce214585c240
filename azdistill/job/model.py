"""`DistillationJob`: what the user writes. Each section is the config model of its step."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import SpecError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.findings import Place, named
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.step import StepConfig
from azdistill.contracts.task import TaskName
from azdistill.contracts.teacher import Prompting
from azdistill.contracts.train import TrainConfig
from azdistill.engine.problems import suggest
from azdistill.job.catalog import Catalog
from azdistill.job.messages import in_words
from azdistill.job.models import BUILT_IN
from azdistill.job.paths import SpecPath
from azdistill.job.shorthand import INHERITED, Values, expand
from azdistill.job.task import PURPOSE, SpecTask, is_file
from azdistill.job.teacher_section import TeacherSection


class Section(BaseModel):
    """Base of the sections that belong to no single step."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Data(Section):
    """The user's data files."""

    training_data: SpecPath = Field(description="JSONL file of training rows")
    validation_data: SpecPath | None = Field(
        None, description="JSONL file of validation rows; default: a fraction of the training rows"
    )
    test_data: SpecPath | None = Field(
        None, description="JSONL file of test rows; default: a fraction of the training rows"
    )


class Student(Section):
    """The model to teach."""

    model: SpecPath = Field(description="a folder, an azureml: address, or a name of the catalog (phi-4-mini)")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the folder holds only config and tokenizer, start from scratch"
    )


class Compute(Section):
    """Where the steps run on Azure ML. The local engine takes no notice."""

    cpu: str = Field("serverless", pattern=r"^[A-Za-z0-9-]+$", description="cluster of the CPU steps, or serverless")
    gpu: str = Field("serverless", pattern=r"^[A-Za-z0-9-]+$", description="cluster of train and predict")
    cpu_instance_type: str = Field("Standard_E4s_v3", pattern=r"^\w+$", description="VM size of serverless CPU steps")
    gpu_instance_type: str = Field(
        "Standard_NC24ads_A100_v4", pattern=r"^\w+$", description="VM size of serverless train and predict"
    )
    teacher_instances: int = Field(
        1, ge=1, le=100, description="nodes that ask side by side, each with its part of limits and budget"
    )


class Outputs(Section):
    """What comes out."""

    registered_model: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        max_length=255,
        description="registry name; default: NAME-distilled",
    )
    model_type: Literal["custom_model", "mlflow_model"] = Field(
        "custom_model", description="of the model in a workspace: a plain folder, which vLLM serves, or MLflow's layout"
    )


class DistillationJob(Section):
    """One distillation: teacher, student, data, and what counts as success.

    The short form of the tutorials is accepted too: `teacher_model`, `student_model`,
    `training_data`, `validation_data`, `task_type` and `hyperparameters`, whose
    `temperature` is the teacher's sampling temperature and whose `batch_size` is the
    rows of an average batch (token budget = batch_size times the average row).
    A name of the catalog stands for its model. Raises SpecError with every finding at once.
    """

    name: str = Field(
        "distillation", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$", description="of job and experiment"
    )
    description: str = Field("", description="a sentence for the studio")
    task: SpecTask = Field(description=PURPOSE)
    seed: int = Field(0, ge=0, description="decides split, weights, order of batches and bootstrap")
    data: Data
    prepare: PrepareConfig = PrepareConfig()
    teacher: TeacherSection
    curate: CurateConfig = CurateConfig()
    student: Student
    train: TrainConfig = TrainConfig()
    predict: PredictConfig = PredictConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    simulation: dict[str, Simulation] = Field(
        default_factory=dict,
        description="Settings of simulated teachers, by the name of the teacher. Used only when a run is simulated.",
    )
    compute: Compute = Compute()
    outputs: Outputs = Outputs()
    tags: dict[str, str] = Field(default_factory=dict, description="for cost and search, on the pipeline")
    catalog: Catalog = Field(Catalog(), description="facts of models that azdistill doesn't know, or that have changed")
    licences_acknowledged: tuple[str, ...] = Field(
        (), description="licences whose duties you have read and will keep, as docs/models.md names them"
    )

    if TYPE_CHECKING:
        # The fields that type checkers derive from the class are those of the complete form only.
        def __init__(self, **fields: Any) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, values: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        """The short form in full and names as addresses. Values that a secret may be among never reach a message."""
        if not isinstance(values, dict):
            return validate(values)
        values = {name: _plain(value) for name, value in values.items()}
        full, found = in_full(values)
        found += [*_contradictions(full), *_no_summaries(full)]
        try:
            job = validate(full)
        except ValidationError as problem:
            found += in_words(problem, cls, values)
        else:
            found += _unknown_teachers(job)
        if found:
            raise SpecError("\n".join(sentence for _, sentence in found), found)
        return job

    @property
    def known(self) -> Catalog:
        """The job's own facts of models laid over those that azdistill comes with."""
        return self.catalog.over(BUILT_IN)

    @property
    def task_file(self) -> str | None:
        """The Python file of a task of the user's own."""
        return self.task if is_file(self.task) else None

    @property
    def registered_model(self) -> str:
        """The name behind the gates."""
        return self.outputs.registered_model or f"{self.name}-distilled"


def _plain(value: Any) -> Any:
    """A section that was made in Python, as what was said in it."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def in_full(values: Values) -> tuple[Values, list[tuple[Place, str]]]:
    """The short form in full and names as addresses, and what is said twice."""
    known = known_to(values)
    full, twice = expand(values, known)
    student = full.get("student")
    if isinstance(student, dict) and isinstance(student.get("model"), str):
        full["student"] = {**student, "model": known.address(student["model"])}
    return full, twice


def known_to(values: Values) -> Catalog:
    """The catalog of values that may be wrong; a catalog that is wrong itself knows nothing more."""
    try:
        return Catalog.model_validate(values.get("catalog", {})).over(BUILT_IN)
    except ValidationError:
        return BUILT_IN


def _contradictions(full: Values) -> Iterator[tuple[Place, str]]:
    """A section that says otherwise about what all steps share."""
    for name, info in DistillationJob.model_fields.items():
        section, kind = full.get(name), info.annotation
        if not isinstance(section, dict) or not isinstance(kind, type) or not issubclass(kind, StepConfig):
            continue
        for field, where in INHERITED.items():
            if field in section and section[field] != _shared(full, where):
                yield (name, field), f"{name}.{field}={section[field]!r}: set {where} instead, all steps share it"


def _no_summaries(full: Values) -> Iterator[tuple[Place, str]]:
    """Chain of density in a job that has nothing to summarize. What is wrong by itself is told by itself."""
    teacher, task = _plain(full.get("teacher")), full.get("task")
    try:
        prompting = Prompting.model_validate(teacher.get("prompting") if isinstance(teacher, dict) else None)
    except ValidationError:
        return
    if prompting.chain_of_density and task in get_args(TaskName) and task != "summarization":
        place = ("teacher", "prompting", "chain_of_density")
        yield place, f"{named(place)}=True: it writes summaries, not answers of task {task!r}; try chain_of_thought"


def _unknown_teachers(job: DistillationJob) -> Iterator[tuple[Place, str]]:
    """Settings of simulated teachers that the job doesn't have."""
    names = [teacher.called for teacher in job.teacher.teachers]
    for name in job.simulation:
        if name not in names:
            yield ("simulation", name), f"simulation.{name}: no teacher of this name; {suggest(name, names)}"


def _shared(full: Values, where: str) -> Any:
    """What the job says once for all steps, or its default."""
    section, _, field = where.rpartition(".")
    model, values = (Student, full.get(section)) if section else (DistillationJob, full)
    default = model.model_fields[field or where].default
    return values.get(field or where, default) if isinstance(values, dict) else default
