"""`DistillationJob`, the model of a job file. The section of a step is the config model of that step."""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Self, get_args

from pydantic import (
    BaseModel,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import ErrorDetails

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import SpecError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.problems import Problem, limited, suggest
from azdistill.contracts.register import REGISTRY_ADDRESS
from azdistill.contracts.requests import Prompting
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.step import StepConfig
from azdistill.contracts.suites import MOST_SUITES
from azdistill.contracts.task import OWN, TaskName
from azdistill.contracts.train import MOST_WHITE_BOX, TrainConfig
from azdistill.engine.pipeline.labels import MAX_LENGTHS, tag_problems, unsafe_path, unversioned_asset
from azdistill.job.catalog import REGISTRIES, Catalog, ModelType, built_in
from azdistill.job.compute_checks import compute_problems
from azdistill.job.deployment import DeploymentSection, deployment_problems
from azdistill.job.gate_bounds import bound_problems
from azdistill.job.gpu_settings import gpu_setting_problems
from azdistill.job.judge_section import JudgeSection
from azdistill.job.loss_checks import loss_problems
from azdistill.job.messages import errors_of, job_problems
from azdistill.job.partial_model import Check, partial_validation, run_checks
from azdistill.job.paths import FILES
from azdistill.job.regressions import RegressionSuite, regression_problems
from azdistill.job.scorer_section import ScorerSection, scorer_problems
from azdistill.job.sections import (
    ComputeSection,
    DataSection,
    OutputsSection,
    PricesSection,
    Section,
    StudentSection,
    WhiteBoxModel,
)
from azdistill.job.shorthand import INHERITED, Values, expand
from azdistill.job.task import PURPOSE, SpecMetricFile, SpecTask, is_file
from azdistill.job.teacher_section import TeacherSection
from azdistill.job.tuning import TuningSection, tuning_problems
from azdistill.metrics.judge import METRIC as JUDGE_METRIC
from azdistill.metrics.primary import primary_problems
from azdistill.metrics.registry import METRICS, gate_problems

# The metric that needs a price.
COST = "cost_per_1000"

# A label as it is written in rows and answers.
LabelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]


class DistillationJob(Section):
    """One distillation: data, teacher, student, training and gates.

    The short form of the tutorials is accepted too: `teacher_model`, `student_model`,
    `training_data`, `validation_data`, `task_type` and `hyperparameters`, whose
    `temperature` is the teacher's sampling temperature and whose `batch_size` is the
    rows of an average batch (token budget = batch_size times the average row).
    A model of the catalog can be given by its name. Raises SpecError with all problems at once.
    """

    name: str = Field(
        "distillation", pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,100}$", description="Name of the job and its experiment."
    )
    description: str = Field("", max_length=MAX_LENGTHS["description"], description="Description in the studio.")
    task: SpecTask = Field(description=PURPOSE)
    metrics: SpecMetricFile | None = Field(
        None,
        description="Python file of a metric of your own, such as ./my_metric.py. Its name is own: "
        "evaluate.primary_metric and gates may use it.",
    )
    labels: tuple[LabelName, ...] | None = Field(
        None,
        min_length=2,
        description="Labels of task nli in the order of their integers, such as [entailment, not_entailment] for RTE "
        "and QNLI. Default: entailment, neutral, contradiction.",
    )
    seed: int = Field(0, ge=0, description="Seed of the split, random weights, batch order and bootstrap.")
    data: DataSection
    prepare: PrepareConfig = PrepareConfig()
    teacher: TeacherSection
    curate: CurateConfig = CurateConfig()
    student: StudentSection
    train: TrainConfig = TrainConfig()
    tuning: TuningSection | None = Field(None, description="Sweep over fields of train. Default: one training.")
    predict: PredictConfig = PredictConfig()
    judge: JudgeSection | None = Field(
        None, description="A language model that judges the answers by a rubric, for metric judge. Default: none."
    )
    evaluate: EvaluateConfig = EvaluateConfig()
    regressions: tuple[RegressionSuite, ...] = Field(
        (),
        max_length=MOST_SUITES,
        description="Suites of rows on which the student must not be worse than the baseline: what it could do before, "
        "and what it must refuse. At most 8.",
    )
    simulation: dict[str, Simulation] = Field(
        default_factory=dict,
        description="Settings of simulated teachers and of a simulated judge, by name. Used only when a run is "
        "simulated.",
    )
    compute: ComputeSection = ComputeSection()
    outputs: OutputsSection = OutputsSection()
    prices: PricesSection = PricesSection()
    deployment: DeploymentSection | None = Field(
        None, description="The endpoint that serves the student, for `azdistill deploy`. Default: none."
    )
    tags: dict[str, str] = Field(
        default_factory=dict,
        description="Tags of the pipeline and its nodes, for cost reports and search: at most 50, with names of at "
        "most 100 and values of at most 1000 characters.",
    )
    white_box: tuple[WhiteBoxModel, ...] = Field(
        (),
        max_length=MOST_WHITE_BOX,
        description="Models that are loaded next to the student, for train.losses: logits, hidden_states and "
        "attention. At most 3.",
    )
    scorer: ScorerSection | None = Field(
        None,
        description="A teacher behind an endpoint, or served next to the training, that scores the answers which the "
        "student samples, for train.on_policy. Default: none.",
    )
    catalog: Catalog = Field(Catalog(), description="Facts about models that override or extend the built-in catalog.")
    licences_acknowledged: tuple[str, ...] = Field(
        (),
        description="Licences whose duties you have read and comply with, by the names that `azdistill models` lists.",
    )

    if TYPE_CHECKING:
        # The fields that type checkers derive from the class are those of the complete form only.
        def __init__(self, **fields: Any) -> None: ...

    @model_validator(mode="wrap")
    @classmethod
    def _read(cls, values: Any, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Expand the short form and names of the catalog, and report all problems together."""
        if not isinstance(values, dict):
            return validate(values)
        values = {name: _plain(value) for name, value in values.items()}
        full, problems = expand_job(values)
        problems += [*_contradictions(full), *_density_without_summaries(full)]
        errors: list[ErrorDetails] = []
        try:
            job = validate(full)
        except ValidationError as error:
            errors = errors_of(error)
            job, others = partial_validation(cls, full, errors, info.context)
            errors += others
        problems = limited(chain(problems, job_problems(errors, cls, values), run_checks(CHECKS, job)))
        if problems:
            # Outside of the except block: pydantic's message repeats values, and one of them may be a secret.
            raise SpecError(problems=problems)
        return job

    @property
    def known(self) -> Catalog:
        """The built-in catalog, overridden by the job's own."""
        return self.catalog.over(built_in())

    @property
    def task_file(self) -> str | None:
        """The Python file of a custom task."""
        return self.task if is_file(self.task) else None

    @property
    def student_type(self) -> ModelType:
        """Type of the student as an asset of Azure ML. The catalog has it for models of registries."""
        return self.student.type or self._catalog_type(self.student.model) or "custom_model"

    @property
    def baseline_type(self) -> ModelType:
        """Type of the baseline as an asset of Azure ML. A model that an earlier job registered has the type that jobs
        register."""
        if self.student.baseline is None:
            return self.student_type
        return self.student.baseline_type or self._catalog_type(self.student.baseline) or self.outputs.model_type

    def _catalog_type(self, model: str) -> ModelType | None:
        facts = self.known.student(model) if model.startswith(REGISTRIES) else None
        return facts.type if facts else None

    @property
    def registered_model(self) -> str:
        """Name of the student in the model registry. The default has no dots: see the warning `model_name`."""
        return self.outputs.registered_model or f"{self.name.replace('.', '-')}-distilled"


def _plain(value: Any) -> Any:
    """A section that was made in Python, as a mapping of the fields that were set."""
    return value.model_dump(exclude_unset=True) if isinstance(value, BaseModel) else value


def expand_job(values: Values) -> tuple[Values, list[Problem]]:
    """The values with sections in place of the short form and the student's address in place of its name."""
    catalog = known_to(values)
    full, problems = expand(values, catalog)
    student = full.get("student")
    if isinstance(student, dict) and isinstance(student.get("model"), str):
        full["student"] = {**student, "model": catalog.address(student["model"])}
    if isinstance(full.get("white_box"), list):
        full["white_box"] = [_with_address(teacher, catalog) for teacher in full["white_box"]]
    if isinstance(full.get("scorer"), dict):
        full["scorer"] = _with_address(full["scorer"], catalog)
    return full, problems


def _with_address(teacher: Any, catalog: Catalog) -> Any:
    """A section of a teacher with the address of a model that is given by its name in the catalog."""
    teacher = _plain(teacher)
    is_model = isinstance(teacher, dict) and isinstance(teacher.get("model"), str)
    return {**teacher, "model": catalog.address(teacher["model"])} if is_model else teacher


def known_to(values: Values) -> Catalog:
    """The catalog of values that may be invalid. An invalid catalog adds nothing to the built-in one."""
    try:
        return Catalog.model_validate(values.get("catalog", {})).over(built_in())
    except ValidationError:
        return built_in()


def _contradictions(full: Values) -> Iterator[Problem]:
    """Sections that set a shared field to another value than the job."""
    for name, info in DistillationJob.model_fields.items():
        section, kind = full.get(name), info.annotation
        if not isinstance(section, dict) or not isinstance(kind, type) or not issubclass(kind, StepConfig):
            continue
        for field, shared in INHERITED.items():
            if field in section and section[field] != _shared(full, shared):
                yield Problem(
                    code="shared_field",
                    message="all steps share this field",
                    fix=f"set {shared} instead",
                    field=(name, field),
                    value=section[field],
                )


def _density_without_summaries(full: Values) -> Iterator[Problem]:
    """Chain of density in a job whose task is not summarization. Other problems of the section are reported apart."""
    teacher, task = _plain(full.get("teacher")), full.get("task")
    try:
        prompting = Prompting.model_validate(teacher.get("prompting") if isinstance(teacher, dict) else None)
    except ValidationError:
        return
    if prompting.chain_of_density and task in get_args(TaskName) and task != "summarization":
        yield Problem(
            code="incompatible_fields",
            message=f"is for task 'summarization', and the task is {task!r}",
            fix="use chain_of_thought",
            field=("teacher", "prompting", "chain_of_density"),
            value=True,
        )


def _unknown_teachers(job: DistillationJob) -> Iterator[Problem]:
    """Settings of simulated teachers that the job doesn't have."""
    names = [teacher.called for teacher in job.teacher.teachers]
    names += [job.judge.judge_model.called] if job.judge else []
    for name in job.simulation:
        if name not in names:
            message, fix = "no teacher has this name", suggest(name, names).replace("it has", "the teachers are")
            yield Problem(code="unknown_teacher", message=message, fix=fix, field=("simulation", name))


def _unknown_metrics(job: DistillationJob) -> Iterator[Problem]:
    declared = [metric for metric in METRICS if metric.name not in _absent_metrics(job)]
    problems = [
        *gate_problems(job.evaluate.gates.metrics, declared),
        *bound_problems(job.evaluate.gates.bounds, job.data.slice_columns, declared),
        *primary_problems(job.evaluate.primary_metric, declared),
    ]
    for problem in problems:
        needs_judge = JUDGE_METRIC.name in (problem.value, problem.field[-1])
        yield replace(problem, fix="add section judge") if needs_judge else problem


def _unknown_costs(job: DistillationJob) -> Iterator[Problem]:
    """Gates on the cost of answers in a job without a price."""
    gates = job.evaluate.gates
    fields: list[tuple[str | int, ...]] = [("metrics", COST)] if COST in gates.metrics else []
    fields += [("bounds", index) for index, gate in enumerate(gates.bounds) if gate.metric == COST]
    if job.prices.serving_hour is None:
        for field in fields:
            path = ("evaluate", "gates", *field)
            yield Problem(code="missing_price", message="needs a price", fix="set prices.serving_hour", field=path)


def _absent_metrics(job: DistillationJob) -> set[str]:
    """Names of metrics that need a file or a section which the job does not have."""
    return {name for name, source in ((OWN, job.metrics), (JUDGE_METRIC.name, job.judge)) if not source}


def _labels(job: DistillationJob) -> Iterator[Problem]:
    """Labels are those of task nli, and no two of them are read as the same label."""
    if not job.labels:
        return
    if job.task != "nli":
        message = f"are for task nli, and the task is {job.task!r}"
        yield Problem(code="incompatible_fields", message=message, fix="remove labels", field=("labels",))
    elif len({label.casefold().replace("-", "_") for label in job.labels}) < len(job.labels):
        yield Problem(code="duplicate_name", message="two labels are the same", field=("labels",))


def _label_counts(job: DistillationJob) -> Iterator[Problem]:
    """Settings of curate that count labels, in a job whose answers are no labels."""
    if job.task == "nli" or is_file(job.task):
        return
    for field in ("max_label_ratio", "weight_by_label"):
        if value := getattr(job.curate, field):
            message = f"is for tasks with labels (nli and your own), and the task is {job.task!r}"
            path = ("curate", field)
            yield Problem(code="incompatible_fields", message=message, fix="remove it", field=path, value=value)


def _min_judge_score(job: DistillationJob) -> Iterator[Problem]:
    minimum = job.curate.min_judge_score
    if minimum is not None and job.judge is None:
        message, fix = "no judge scores the answers", "add section judge with judge_model and rubric, or remove it"
        path = ("curate", "min_judge_score")
        yield Problem(code="missing_section", message=message, fix=fix, field=path, value=minimum)


def _augment(job: DistillationJob) -> Iterator[Problem]:
    """New prompts need a teacher that answers requests, and their budget needs its prices."""
    augment = job.data.augment
    if augment and job.teacher.teacher_route == "completions":
        message, fix = "no teacher is asked, because teacher.completions has the answers", "remove one of the two"
        yield Problem(code="incompatible_fields", message=message, fix=fix, field=("data", "augment"))
    elif augment and augment.budget is not None:
        for teacher in job.teacher.teachers:
            if None in (teacher.input_price, teacher.output_price):
                yield Problem(
                    code="no_prices",
                    message=f"needs the prices of teacher {teacher.model!r}",
                    fix="set its input_price and output_price",
                    field=("data", "augment", "budget"),
                    value=augment.budget,
                )


def _compute(job: DistillationJob) -> Iterator[Problem]:
    yield from compute_problems(job.compute)


def _reasoning_of_last_turns(job: DistillationJob) -> Iterator[Problem]:
    """The reasoning of a conversation's last answer is kept, and that of earlier ones is not.

    Trained on all turns, a student would learn to think in the last one only.
    """
    if job.teacher.trace == "keep" and job.train.train_on == "all":
        yield Problem(
            code="incompatible_fields",
            message="teacher.trace=keep keeps the reasoning of the last turn only, so earlier turns would be learned "
            "without it",
            fix="set it to last, or teacher.trace to strip",
            field=("train", "train_on"),
            value="all",
        )


def _address(job: DistillationJob, section: str, field: str) -> Iterator[Problem]:
    """An address of an asset needs a version, and one in a datastore a path inside it."""
    path = getattr(getattr(job, section), field, None)
    if path and path.startswith("azureml://") and (reason := unsafe_path(path)):
        fix = "write the path without them"
        yield Problem(code="unsafe_path", message=reason, fix=fix, field=(section, field), value=path)
    if path and (name := unversioned_asset(path)) is not None:
        message, fix = "Azure ML requires a version", f"write azureml:{name.rstrip(':@')}:VERSION"
        yield Problem(code="missing_version", message=message, fix=fix, field=(section, field), value=path)


ADDRESSES = [
    partial(_address, section=section, field=field)
    for section, field in (
        *(("data", name) for name in (*FILES, "public_test_sets")),
        ("teacher", "completions"),
        ("student", "model"),
        ("judge", "human_labels"),
        ("scorer", "model"),
    )
]


def _data_types(job: DistillationJob) -> Iterator[Problem]:
    """Types of data that is not an asset: a local path is a file or a folder, as it is on the disk."""
    for name, type in job.data.types.items():
        path = getattr(job.data, name)
        if not path or not path.startswith("azureml:"):
            message, fix = f"data.{name} is no azureml: address", "remove it: the type of a path is known"
            yield Problem(
                code="incompatible_fields", message=message, fix=fix, field=("data", "types", name), value=type
            )


def _registry_addresses(job: DistillationJob) -> Iterator[Problem]:
    """The address of a model in a registry is part of a command line."""
    for name in ("model", "baseline"):
        path = getattr(job.student, name)
        if path and path.startswith(REGISTRIES) and not re.search(REGISTRY_ADDRESS, path):
            message, fix = "not the address of a model in a registry", f"write {REGISTRIES}NAME/models/NAME/versions/1"
            yield Problem(code="wrong_format", message=message, fix=fix, field=("student", name), value=path)


def _tags(job: DistillationJob) -> Iterator[Problem]:
    for path, message in tag_problems(job.tags):
        yield Problem(code="wrong_length", message=message, field=("tags", *path))


CHECKS: tuple[Check, ...] = (
    _unknown_teachers,
    _unknown_metrics,
    _unknown_costs,
    _labels,
    _label_counts,
    _min_judge_score,
    _augment,
    _compute,
    gpu_setting_problems,
    loss_problems,
    scorer_problems,
    _reasoning_of_last_turns,
    tuning_problems,
    regression_problems,
    deployment_problems,
    _tags,
    _registry_addresses,
    _data_types,
    *ADDRESSES,
)


def _shared(full: Values, path: str) -> Any:
    """The value of a shared field in the job, or its default."""
    section, _, field = path.rpartition(".")
    sections: dict[str, type[BaseModel]] = {"data": DataSection, "student": StudentSection, "prices": PricesSection}
    values = full.get(section) if section else full
    default = sections.get(section, DistillationJob).model_fields[field].default
    return values.get(field, default) if isinstance(values, dict) else default
