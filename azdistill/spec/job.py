"""`DistillationJob`: what the user writes. Each section is the config model of its step."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.step import StepConfig
from azdistill.contracts.task import TaskName
from azdistill.contracts.teacher import TeacherConfig
from azdistill.contracts.train import TrainConfig
from azdistill.spec.catalog import STUDENTS
from azdistill.spec.paths import SpecPath
from azdistill.spec.short import expand

INHERITED = {"task": "task", "seed": "seed", "weights": "student.weights"}
"""Fields that several steps share: declared once in the job, handed to every section that has them."""


class Section(BaseModel):
    """Base of the sections that belong to no single step."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Data(PrepareConfig):
    """Where the rows are, and how they become prompts."""

    training_data: SpecPath = Field(description="JSONL file of rows to learn from")
    validation_data: SpecPath | None = Field(None, description="JSONL file of rows to validate on")
    test_data: SpecPath | None = Field(None, description="JSONL file of rows to evaluate on")


class Student(Section):
    """The model to teach."""

    model: SpecPath = Field(description="a folder, an azureml: address, or a name of the catalog (phi-4-mini)")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the folder holds only config and tokenizer, start from scratch"
    )

    @field_validator("model", mode="wrap")
    @classmethod
    def _catalog_name(cls, value: Any, resolve: Any) -> Any:
        return STUDENTS[value].address if value in STUDENTS else resolve(value)


class Compute(Section):
    """Where the steps run on Azure ML. The local engine takes no notice."""

    cpu: str = Field("serverless", pattern=r"^[A-Za-z0-9-]+$", description="cluster of the CPU steps, or serverless")
    gpu: str = Field("serverless", pattern=r"^[A-Za-z0-9-]+$", description="cluster of train and predict")
    cpu_instance_type: str = Field("Standard_E4s_v3", pattern=r"^\w+$", description="VM size of serverless CPU steps")
    gpu_instance_type: str = Field(
        "Standard_NC24ads_A100_v4", pattern=r"^\w+$", description="VM size of serverless train and predict"
    )


class Outputs(Section):
    """What comes out."""

    registered_model: str | None = Field(
        None, pattern=r"^[A-Za-z0-9._-]+$", max_length=255, description="registry name; default: NAME-distilled"
    )


class DistillationJob(Section):
    """One distillation: teacher, student, data, and what counts as success.

    The short form of the tutorials is accepted too: `teacher_model`, `student_model`,
    `training_data`, `validation_data`, `task_type` and `hyperparameters`, whose
    `temperature` is the teacher's sampling temperature and whose `batch_size` is the
    rows of an average batch (token budget = batch_size times the average row).
    Raises pydantic's ValidationError with every finding at once.
    """

    name: str = Field(
        "distillation", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$", description="of job and experiment"
    )
    description: str = Field("", description="a sentence for the studio")
    task: TaskName = Field(description="what the rows are")
    seed: int = Field(0, ge=0, description="decides split, weights, order of batches and bootstrap")
    data: Data
    teacher: TeacherConfig
    curation: CurateConfig = CurateConfig()
    student: Student
    training: TrainConfig = TrainConfig()
    prediction: PredictConfig = PredictConfig()
    evaluation: EvaluateConfig = EvaluateConfig()
    compute: Compute = Compute()
    outputs: Outputs = Outputs()
    tags: dict[str, str] = Field(default_factory=dict, description="for cost and search, on the pipeline")

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, values: Any) -> Any:
        return expand(values) if isinstance(values, dict) else values

    @model_validator(mode="after")
    def _hand_down(self) -> "DistillationJob":
        """Give each section the fields that all steps share; a section that says otherwise is an error."""
        shared = {"task": self.task, "seed": self.seed, "weights": self.student.weights}
        for name, section in self:
            if not isinstance(section, StepConfig):
                continue
            mine = {field: value for field, value in shared.items() if field in type(section).model_fields}
            for field, value in mine.items():
                if field in section.model_fields_set and getattr(section, field) != value:
                    raise ValueError(f"{name}.{field}: set {INHERITED[field]} instead, all steps share it")
            object.__setattr__(self, name, section.model_copy(update=mine))
        return self

    @property
    def registered_model(self) -> str:
        """The name behind the gates."""
        return self.outputs.registered_model or f"{self.name}-distilled"
