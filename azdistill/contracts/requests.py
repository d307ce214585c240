"""Settings of requests to teachers: used by the steps that send them, teacher and judge."""

from collections.abc import Iterable
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.chat_url import chat_url
from azdistill.contracts.errors import InputError
from azdistill.contracts.problems import looks_like_key
from azdistill.contracts.request_parameters import check_parameter
from azdistill.contracts.step import Port, RunInput, StepConfig
from azdistill.contracts.task import Labels, TaskChoice

STORE_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/store"

# Ports of the steps that ask teachers.
STORE = Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH)
SIMULATION = Port(
    "uri_file", "JSON list: settings of the simulated teachers, for teacher_route simulated", optional=True
)


def simulator_variable(role: str) -> str:
    """Environment variable with the URLs of the simulated teachers or judge, separated by spaces.

    `azdistill run` sets it.
    """
    return f"AZDISTILL_SIMULATED_{role.upper()}"


SIMULATOR_VARIABLE = simulator_variable("teacher")

# The short question by which an endpoint is tested before the first row. Any model can answer it.
PROBE_QUESTION = "Say yes."

Policy = Literal["route", "all", "cascade", "fallback"]

# Default of max_len_summary, in words, as in the paper on chain of density (arXiv 2309.04269).
LONGEST_SUMMARY = 80


class Teacher(BaseModel):
    """One teacher behind an endpoint. Secrets are given by name only."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    model: str = Field(min_length=1, description="Name of the model or deployment at the endpoint.")
    name: str | None = Field(
        None, min_length=1, description="Unique name of the teacher in rows and reports. Default: its model."
    )
    weight: float = Field(1.0, gt=0, description="Relative share of the prompts, for policy route.")
    endpoint: str | None = Field(None, pattern=r"^https?://", description="Base URL or full URL of the endpoint.")
    key_variable: str | None = Field(
        None,
        pattern=r"^[A-Za-z_][A-Za-z0-9_]*$",
        description="Name of the environment variable that holds the key, never the key itself.",
    )
    connection: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$",
        description="Name of the workspace connection that holds endpoint and key.",
    )
    entra_scope: str | None = Field(
        None,
        pattern=r"^https://\S+/\.default$",
        description="Authenticate with a Microsoft Entra token of this scope, for example "
        "https://cognitiveservices.azure.com/.default.",
    )
    reasoning: bool = Field(
        False,
        description="The model is a reasoning model: it accepts max_completion_tokens, but not temperature and top_p.",
    )
    parameters: dict[str, JsonValue] = Field(
        {},
        description="Other parameters of the requests, sent as they are, for example reasoning_effort, top_k or "
        "chat_template_kwargs.",
    )
    input_price: float | None = Field(
        None, ge=0, description="Price of a million prompt tokens, for estimates and the budget."
    )
    output_price: float | None = Field(
        None, ge=0, description="Price of a million completion tokens, for estimates and the budget."
    )
    max_in_flight: int = Field(64, ge=1, le=4096, description="Maximum number of requests in flight.")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Rate limit of requests. Default: adapted to what the endpoint accepts."
    )
    tokens_per_minute: int | None = Field(
        None,
        ge=1,
        description="Rate limit of prompt and completion tokens, together. Default: adapted to what the "
        "endpoint accepts.",
    )

    @property
    def called(self) -> str:
        """Name of the teacher in rows and reports."""
        return self.name or self.model

    @field_validator("endpoint")
    @classmethod
    def _endpoint_has_chat_completions(cls, endpoint: str | None) -> str | None:
        try:
            return endpoint and chat_url(endpoint) and endpoint
        except InputError as error:
            (problem,) = error.problems
            raise PydanticCustomError(
                problem.code, "{message}", {"message": problem.message, "fix": problem.fix}
            ) from None

    @field_validator("key_variable", "connection")
    @classmethod
    def _is_no_key(cls, name: str | None) -> str | None:
        if name and looks_like_key(name):
            raise PydanticCustomError(
                "secret",
                "looks like a key, and jobs hold only names",
                {"fix": "put the key into an environment variable or a connection, and write its name"},
            )
        return name

    @field_validator("parameters")
    @classmethod
    def _parameters_can_be_sent(cls, parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
        for name, value in parameters.items():
            check_parameter(name, value)
        return parameters

    @model_validator(mode="after")
    def _has_one_credential(self) -> "Teacher":
        if self.key_variable and self.entra_scope:
            raise PydanticCustomError(
                "incompatible_fields",
                "teacher {name} has both key_variable and entra_scope",
                {"name": repr(self.model), "fix": "keep one of them"},
            )
        return self


class Prompting(BaseModel):
    """Prompts that only the teacher gets; see `azdistill docs prompting`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    system_prompt: str | None = Field(
        None, min_length=1, description="System prompt for the teacher, before the row's own system prompt."
    )
    template: str | None = Field(
        None, description="Template that replaces the last user turn for the teacher; {prompt} is that turn."
    )
    chain_of_thought: bool = Field(
        False, description="Ask the teacher to reason in <think> before it answers; see trace."
    )
    chain_of_density: bool = Field(
        False,
        description="Ask the teacher for five increasingly dense summaries, all but the last in <think>; for task "
        "summarization and custom tasks.",
    )
    max_len_summary: int = Field(
        LONGEST_SUMMARY, ge=1, le=10_000, description="Maximum length of a summary with chain_of_density, words."
    )

    @model_validator(mode="after")
    def _is_consistent(self) -> "Prompting":
        if self.template is not None and self.template.count("{prompt}") != 1:
            raise PydanticCustomError(
                "invalid_template",
                "template={template} must contain {prompt} once",
                {"template": repr(self.template), "fix": "write {prompt} where the user's turn belongs"},
            )
        if self.chain_of_thought and self.chain_of_density:
            raise PydanticCustomError(
                "incompatible_fields",
                "chain_of_thought and chain_of_density are both true",
                {"fix": "keep one of them"},
            )
        if self.max_len_summary != LONGEST_SUMMARY and not self.chain_of_density:
            raise PydanticCustomError(
                "incompatible_fields",
                "max_len_summary={words} has no effect without chain_of_density",
                {"words": self.max_len_summary, "fix": "set chain_of_density: true, or remove max_len_summary"},
            )
        return self


def check_endpoints_and_prices(
    teachers: Iterable[Teacher], route: str, budget: float | None, role: str = "teacher"
) -> None:
    """Raise PydanticCustomError for a teacher or judge without the endpoint that the route needs, or the prices that a
    budget needs."""
    for teacher in teachers:
        if route == "endpoint" and not (teacher.endpoint or teacher.connection):
            raise PydanticCustomError(
                "no_endpoint",
                "{role} {name} has neither endpoint nor connection",
                {
                    "role": role,
                    "name": repr(teacher.model),
                    "fix": f"set one, or {role}_route: simulated for a dry run",
                },
            )
        if budget is not None and None in (teacher.input_price, teacher.output_price):
            raise PydanticCustomError(
                "no_prices",
                "budget needs the prices of {role} {name}",
                {"role": role, "name": repr(teacher.model), "fix": "set its input_price and output_price"},
            )


class RequestConfig(StepConfig):
    """Teachers, sampling parameters, rate limits and retries. `role` names them in logs and errors."""

    role: ClassVar[str] = "teacher"

    teachers: tuple[Teacher, ...] = Field(min_length=1, max_length=16, description="Teachers; see policy.")
    teacher_route: Annotated[Literal["endpoint", "simulated", "completions"], RunInput()] = Field(
        "endpoint",
        description="Source of the answers: the endpoint, the simulated teacher that azdistill run starts, or provided "
        "completions.",
    )
    policy: Policy = Field(
        "route",
        description="route: each prompt goes to one teacher, by weight. all: each prompt goes to all teachers. "
        "cascade: to the next teacher if answers are invalid or disagree. fallback: to the next teacher if an answer "
        "is incomplete.",
    )
    samples: int = Field(
        1,
        ge=1,
        le=64,
        description="Number of answers of each teacher to a prompt; test rows get one. Needs a temperature above 0.",
    )
    task: TaskChoice = Field(
        "conversation", description="Task, which decides whether answers are valid and agree, for policy cascade."
    )
    labels: Labels = None
    prompting: Prompting = Field(Prompting(), description="Prompts that only the teacher gets.")
    trace: Literal["strip", "keep", "split"] = Field(
        "strip",
        description="Reasoning before an answer: removed (strip), kept in <think> as part of the target (keep), "
        "or moved to a separate training row (split).",
    )
    top_logprobs: int = Field(
        0,
        ge=0,
        le=20,
        description="Number of most likely tokens to store log probabilities for, at each position. Ignored if "
        "the endpoint has none.",
    )
    require_logprobs: bool = Field(
        False,
        description="Fail before the first prompt is sent if an endpoint returns no log probabilities. Always so if "
        "train.losses.top_k is set.",
    )
    turns: Literal["last", "all"] = Field(
        "last",
        description="all: the teacher answers each assistant turn of a training conversation, after its own "
        "previous answers.",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="Sampling temperature of the teacher.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus sampling probability.")
    max_tokens: int = Field(1024, ge=1, le=131_072, description="Maximum length of an answer, tokens.")
    budget: float | None = Field(
        None,
        gt=0,
        description="Maximum cost of the answers of this job, including those already in the store. Needs prices.",
    )
    max_attempts: int = Field(
        6, ge=1, le=100, description="Maximum number of attempts for a row before it is rejected."
    )
    timeout_s: float = Field(300.0, gt=0, le=3600, description="Timeout of a request, seconds.")
    max_reject_ratio: float = Field(
        0.05, ge=0, le=1, description="Maximum fraction of rows without an answer before the step fails."
    )

    @model_validator(mode="after")
    def _names_are_unique(self) -> "RequestConfig":
        names = [teacher.called for teacher in self.teachers]
        if duplicates := sorted({name for name in names if names.count(name) > 1}):
            raise PydanticCustomError(
                "duplicate_name",
                "two teachers have the name {name}",
                {"name": repr(duplicates[0]), "fix": "set a different `name:` for each"},
            )
        return self

    @model_validator(mode="after")
    def _samples_differ(self) -> "RequestConfig":
        if self.samples > 1 and self.temperature == 0 and not all(teacher.reasoning for teacher in self.teachers):
            raise PydanticCustomError(
                "incompatible_fields",
                "samples={samples} at temperature 0 would buy identical answers",
                {"samples": self.samples, "fix": "raise temperature, for example to 0.7"},
            )
        return self

    @model_validator(mode="after")
    def _has_endpoints_and_prices(self) -> "RequestConfig":
        check_endpoints_and_prices(self.teachers, self.teacher_route, self.budget)
        return self
