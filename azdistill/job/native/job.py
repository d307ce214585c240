"""Azure's `type: distillation` file: its fields as azure-ai-ml 1.35 reads them (`DistillationJobSchema`).

Names that Azure would pass on unread, such as a hyperparameter that nothing knows, are findings here.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from azdistill.contracts.errors import SpecError
from azdistill.contracts.findings import Place
from azdistill.job.messages import in_words
from azdistill.job.shorthand import Values

CHOSEN_BY_AZURE = ("auto", "-1", "-1.0")
"""Values of a hyperparameter that leave it to the service."""

IGNORED = "$schema"

Found = list[tuple[Place, str]]


def read_native(values: Values) -> "NativeJob":
    """The native job of a document. Raises SpecError with place and sentence of each finding."""
    given = {name: value for name, value in values.items() if name != IGNORED}
    try:
        native = NativeJob.model_validate(given)
        found = native.hyperparameters.said_twice()
    except ValidationError as problem:
        found = in_words(problem, NativeJob, {})
    if found:
        raise SpecError("\n".join(sentence for _, sentence in found), found)
    return native


def _lower(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value


def _as_input(value: Any) -> Any:
    """A path alone, as an input."""
    return {"path": value} if isinstance(value, str) else value


def _left_to_azure(value: Any) -> Any:
    return None if str(value) in CHOSEN_BY_AZURE else value


def _or_nothing(value: Any) -> Any:
    return {} if value is None else value


AnyCase = BeforeValidator(_lower)
LeftToAzure = BeforeValidator(_left_to_azure)


class Part(BaseModel):
    """Base of the file and its sections."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class TeacherConnection(Part):
    """The teacher's endpoint and its key."""

    type: Annotated[Literal["serverless", "custom"], AnyCase]
    name: str = Field(min_length=1, description="name of endpoint and connection")
    endpoint: str | None = None
    target: str | None = Field(None, description="the endpoint of a custom connection")
    api_key: Any = Field(None, repr=False)
    credentials: Any = Field(None, repr=False)
    description: Any = None
    tags: Any = None
    metadata: Any = None
    is_shared: Any = None


class ModelInput(Part):
    """The student in a registry or workspace."""

    path: str = Field(min_length=1, description="azureml: address of the model")
    type: Annotated[Literal["mlflow_model", "custom_model", "triton_model", "uri_file"] | None, AnyCase] = None
    mode: Any = None
    datastore: Any = None


class DataInput(Part):
    """A file of rows."""

    path: str = Field(min_length=1, description="JSONL file of rows, a data asset or an address")
    type: Annotated[Literal["uri_file"], AnyCase] = "uri_file"
    mode: Any = None
    path_on_compute: Any = None
    datastore: Any = None


NO_DATA = DataInput.model_construct(path="")


class InferenceParameters(Part):
    """What Azure's component sends along with each prompt."""

    temperature: float | None = None
    max_tokens: int | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop: Any = None


class EndpointRequestSettings(Part):
    """How the endpoint is asked."""

    request_batch_size: int | None = None
    min_endpoint_success_ratio: float | None = Field(None, ge=0, le=1)


class TeacherModelSettings(Part):
    """How the teacher answers, and how it is asked."""

    inference_parameters: InferenceParameters = InferenceParameters()
    endpoint_request_settings: EndpointRequestSettings = EndpointRequestSettings()


class PromptSettings(Part):
    """What the teacher is told beside the rows."""

    enable_chain_of_thought: bool = False
    enable_chain_of_density: bool = False
    max_len_summary: int | None = None


class Hyperparameters(Part):
    """Fine-tuning, by the names of the component for open models and by those of Azure OpenAI."""

    learning_rate: Annotated[float | None, LeftToAzure] = None
    learning_rate_multiplier: Annotated[float | None, LeftToAzure] = None
    num_train_epochs: Annotated[float | None, LeftToAzure] = None
    n_epochs: Annotated[float | None, LeftToAzure] = None
    per_device_train_batch_size: Annotated[int | None, LeftToAzure] = None
    batch_size: Annotated[int | None, LeftToAzure] = None

    def given(self, names: tuple[str, ...]) -> str | None:
        """The one of `names` that has a value."""
        return next((name for name in names if getattr(self, name) is not None), None)

    def said_twice(self) -> Found:
        """Place and sentence of each name that has a value beside another of the same meaning."""
        pairs = ((one, other) for one, *others in SYNONYMS.values() for other in others)
        twice = ((one, other) for one, other in pairs if self.given((one,)) and self.given((other,)))
        name = "hyperparameters"
        return [((name, other), f"{name}.{other}: {name}.{one} says it too; keep one of them") for one, other in twice]


SYNONYMS = {
    "learning_rate": ("learning_rate", "learning_rate_multiplier"),
    "num_epochs": ("num_train_epochs", "n_epochs"),
    "batch_size": ("per_device_train_batch_size", "batch_size"),
}
"""Field of `training` -> the native names of what it says."""


class Resources(Part):
    """The machine that generates the data."""

    instance_type: str | None = None
    instance_count: int | None = None
    properties: Any = None


class RegisteredModel(Part):
    """The student's name in the workspace."""

    name: str | None = None
    type: Annotated[Any, AnyCase] = None
    version: Any = None
    mode: Any = None
    path: Any = None


class Outputs(Part):
    """What comes out."""

    registered_model: Annotated[RegisteredModel, BeforeValidator(_or_nothing)] = RegisteredModel()


class NativeJob(Part):
    """The whole file."""

    type: Literal["distillation"]
    data_generation_type: Annotated[Literal["label_generation", "data_generation"], AnyCase] = Field(
        description="what the teacher generates"
    )
    data_generation_task_type: Annotated[Literal["nli", "nlu_qa", "conversation", "math", "summarization"], AnyCase] = (
        Field(description="what the rows are")
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
