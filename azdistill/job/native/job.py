"""Model of Azure's `type: distillation` file, with the fields of azure-ai-ml 1.35 (`DistillationJobSchema`).

Unknown names, which Azure ignores without a message, are errors here.
"""

from itertools import chain
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import Problem, limited
from azdistill.job.messages import errors_of, job_problems
from azdistill.job.partial_model import partial_validation, run_checks
from azdistill.job.shorthand import Values

# Values of a hyperparameter that mean: Azure's service chooses it.
CHOSEN_BY_AZURE = ("auto", "-1", "-1.0")

IGNORED = "$schema"


def read_native(values: Values) -> "NativeJob":
    """The native job of a document. Raises SpecError with all problems."""
    read, errors = {name: value for name, value in values.items() if name != IGNORED}, list[ErrorDetails]()
    try:
        native = NativeJob.model_validate(read)
    except ValidationError as error:
        errors = errors_of(error)
        native, others = partial_validation(NativeJob, read, errors, None)
        errors += others
    checked = run_checks([lambda job: job.hyperparameters.duplicates()], native)
    problems = limited(chain(job_problems(errors, NativeJob, {}), checked))
    if problems:
        # Outside of the except block: pydantic's message repeats values, and one of them may be a secret.
        raise SpecError(problems=problems)
    return native


def _lower(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _as_input(value: Any) -> Any:
    """A path as an input with that path."""
    return {"path": value} if isinstance(value, str) else value


def _none_if_chosen_by_azure(value: Any) -> Any:
    return None if str(value) in CHOSEN_BY_AZURE else value


def _none_to_empty(value: Any) -> Any:
    return {} if value is None else value


AnyCase = BeforeValidator(_lower)
NoneIfChosenByAzure = BeforeValidator(_none_if_chosen_by_azure)


class NativeSection(BaseModel):
    """Base of the file and its sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=(), defer_build=True)


class TeacherConnection(NativeSection):
    """The teacher's endpoint and its key."""

    type: Annotated[Literal["serverless", "custom"], AnyCase]
    name: str = Field(min_length=1, description="Name of the endpoint and its connection.")
    endpoint: str | None = None
    target: str | None = Field(None, description="Endpoint of a custom connection.")
    api_key: Any = Field(None, repr=False)
    credentials: Any = Field(None, repr=False)
    description: Any = None
    tags: Any = None
    metadata: Any = None
    is_shared: Any = None


class ModelInput(NativeSection):
    """The student model in a registry or workspace."""

    path: str = Field(min_length=1, description="azureml: address of the model.")
    type: Annotated[Literal["mlflow_model", "custom_model", "triton_model", "uri_file"] | None, AnyCase] = None
    mode: Any = None
    datastore: Any = None


class DataInput(NativeSection):
    """A file of rows."""

    path: str = Field(min_length=1, description="JSONL file of rows, a data asset or an address.")
    type: Annotated[Literal["uri_file"], AnyCase] = "uri_file"
    mode: Any = None
    path_on_compute: Any = None
    datastore: Any = None


NO_DATA = DataInput.model_construct(path="")


class InferenceParameters(NativeSection):
    """Sampling parameters of every request of Azure's component."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: Any = None


class EndpointRequestSettings(NativeSection):
    """Concurrency and failure limits of the requests."""

    request_batch_size: int | None = None
    min_endpoint_success_ratio: float | None = Field(None, ge=0, le=1)


class TeacherModelSettings(NativeSection):
    """Sampling and request settings of the teacher."""

    inference_parameters: InferenceParameters = InferenceParameters()
    endpoint_request_settings: EndpointRequestSettings = EndpointRequestSettings()


class PromptSettings(NativeSection):
    """Prompting methods."""

    enable_chain_of_thought: bool = False
    enable_chain_of_density: bool = False
    max_len_summary: int | None = None


class Hyperparameters(NativeSection):
    """Fine-tuning hyperparameters, by the names of the component for open models and of Azure OpenAI."""

    learning_rate: Annotated[float | None, NoneIfChosenByAzure] = None
    learning_rate_multiplier: Annotated[float | None, NoneIfChosenByAzure] = None
    num_train_epochs: Annotated[float | None, NoneIfChosenByAzure] = None
    n_epochs: Annotated[float | None, NoneIfChosenByAzure] = None
    per_device_train_batch_size: Annotated[int | None, NoneIfChosenByAzure] = None
    batch_size: Annotated[int | None, NoneIfChosenByAzure] = None

    def first_set(self, names: tuple[str, ...]) -> str | None:
        """The first of `names` that has a value."""
        return next((name for name in names if getattr(self, name) is not None), None)

    def duplicates(self) -> list[Problem]:
        """One problem for each field that is set together with a synonym of it."""
        pairs = ((first, second) for first, *others in SYNONYMS.values() for second in others)
        return [
            Problem(
                code="duplicate_field",
                message=f"hyperparameters.{first} sets the same field",
                fix="keep one of them",
                field=("hyperparameters", second),
            )
            for first, second in pairs
            if self.first_set((first,)) and self.first_set((second,))
        ]


# Field of section `train` -> its native names.
SYNONYMS = {
    "learning_rate": ("learning_rate", "learning_rate_multiplier"),
    "num_epochs": ("num_train_epochs", "n_epochs"),
    "batch_size": ("per_device_train_batch_size", "batch_size"),
}


class Resources(NativeSection):
    """The VM that generates the data."""

    instance_type: str | None = None
    instance_count: int | None = None
    properties: Any = None


class NativeRegisteredModel(NativeSection):
    """The registered student model."""

    name: str | None = None
    type: Annotated[Any, AnyCase] = None
    version: Any = None
    mode: Any = None
    path: Any = None


class Outputs(NativeSection):
    """Outputs of the job."""

    registered_model: Annotated[NativeRegisteredModel, BeforeValidator(_none_to_empty)] = NativeRegisteredModel()


class NativeJob(NativeSection):
    """A native job file."""

    type: Literal["distillation"]
    data_generation_type: Annotated[Literal["label_generation", "data_generation"], AnyCase] = Field(
        description="What the teacher generates."
    )
    data_generation_task_type: Annotated[Literal["nli", "nlu_qa", "conversation", "math", "summarization"], AnyCase] = (
        Field(description="Task of the rows.")
    )
    teacher_model_endpoint_connection: TeacherConnection
    student_model: Annotated[ModelInput, BeforeValidator(_as_input)]
    training_data: Annotated[DataInput, BeforeValidator(_as_input)]
    validation_data: Annotated[DataInput, BeforeValidator(_as_input)] = NO_DATA
    teacher_model_settings: TeacherModelSettings = TeacherModelSettings()
    prompt_settings: PromptSettings = PromptSettings()
    hyperparameters: Hyperparameters = Hyperparameters()
    resources: Resources = Resources()
    outputs: Outputs = Outputs()
    name: str | None = None
    display_name: str | None = None
    experiment_name: str | None = None
    description: str | None = None
    tags: dict[str, str | None] = Field(default_factory=dict)
    properties: Any = None
    compute: str | None = None
    identity: Any = None
    services: Any = None
