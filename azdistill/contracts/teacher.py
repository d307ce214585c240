"""teacher: prompts to completions, each bought once."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from azdistill.contracts.step import Port, Step, StepConfig

STORE_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/store"
SIMULATOR_VARIABLE = "AZDISTILL_SIMULATED_TEACHER"
"""Names the address of the simulated teacher. `azdistill run` sets it; nothing else reads or writes it."""

ExpertName = Literal["conversation", "nli", "qa", "math", "summarization", "support"]
"""`support` knows the policy of a shop; the others know nothing and answer in the form of their task."""

Rate = Annotated[float, Field(ge=0, le=1)]


Parameter = Literal[
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "n", "logprobs", "top_logprobs"
]


class SimulatedLimits(BaseModel):
    """Rate limits of the simulated teacher: buckets that fill evenly, and refuse with 429 and Retry-After."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = Field(None, ge=1, description="absent: any number")
    tokens_per_minute: int | None = Field(None, ge=1, description="of prompts and answers together; absent: any number")
    burst_s: float = Field(
        1.0, gt=0, le=60, description="what may come at once, as seconds of the rate; Azure looks at 1, 10 or 60 s"
    )
    tokens_counted: Literal["asked", "answered"] = Field(
        "answered", description="asked: prompt and max_tokens, on arrival, as Azure OpenAI does; answered: those used"
    )
    headers: Literal["sent", "negative", "absent"] = Field(
        "sent", description="x-ratelimit-limit-* and -remaining-*: true, with less than nothing remaining, or not sent"
    )


class Simulation(BaseModel):
    """What the simulated teacher does in place of this one; every draw is a hash of seed and messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expert: ExpertName = Field("conversation", description="what the stand-in answers; default in a job: its task")
    examples: tuple[str, ...] = Field(
        (), description="answers that it draws from in place of the expert's, such as those of a task of your own"
    )
    seed: int = Field(0, ge=0, description="decides which rows meet which fault")
    latency_ms: float = Field(5.0, ge=0, le=60_000, description="mean time to answer, milliseconds")
    latency_sigma: float | None = Field(
        None, ge=0, le=3, description="spread of a lognormal latency; absent: even, half the mean to one and a half"
    )
    wrong_rate: Rate = Field(0.02, description="part of the rows answered wrongly, in good faith")
    throttle_rate: Rate = Field(0.0, description="part of the rows refused once with 429 and Retry-After")
    error_rate: Rate = Field(0.0, description="part of the rows refused once with a 5xx")
    reset_rate: Rate = Field(0.0, description="part of the rows whose connection is reset once")
    not_ready_rate: Rate = Field(0.0, description="part of the rows refused once with 424, model_not_ready")
    gateway_timeout_rate: Rate = Field(0.0, description="part of the rows refused once with 504 and a page of HTML")
    hang_rate: Rate = Field(0.0, description="part of the rows that get no reply the first time, ever")
    slow_rate: Rate = Field(0.0, description="part of the rows whose first byte takes slow_ms longer once")
    slow_ms: float = Field(10_000, ge=0, le=3_600_000, description="how long, milliseconds")
    broken_rate: Rate = Field(0.0, description="part of the rows whose answer, paid for, arrives once as half a body")
    truncated_rate: Rate = Field(0.0, description="part of the rows whose answer ends early (finish_reason length)")
    filtered_rate: Rate = Field(0.0, description="part of the rows refused by the content filter")
    degenerate_rate: Rate = Field(0.0, description="part of the rows whose logprobs are 0 and -9999")
    reasoning: Literal["reasoning_content", "think"] | None = Field(
        None, description="a reasoning model: its trace in a field of its own, or in <think> before the answer"
    )
    refused_parameters: tuple[Parameter, ...] = Field((), description="refused with 400 by name")
    ignored_parameters: tuple[Parameter, ...] = Field((), description="accepted, without effect")
    entra_scope: str | None = Field(
        None, pattern=r"^https://\S+/\.default$", description="ask for an Entra token of this scope, not expired"
    )
    limits: SimulatedLimits = Field(SimulatedLimits(), description="rate limits; none by default")


class Teacher(BaseModel):
    """One teacher behind an endpoint. Secrets are named here, never held."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="model or deployment name, as the endpoint knows it")
    endpoint: str | None = Field(None, pattern=r"^https?://", description="base or full URL of the endpoint")
    key_variable: str | None = Field(
        None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="name of the environment variable that holds the key"
    )
    connection: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_-]{2,32}$",
        description="name of the workspace connection that holds endpoint and key",
    )
    entra_scope: str | None = Field(
        None,
        pattern=r"^https://\S+/\.default$",
        description="be let in by an Entra token of this scope, such as https://cognitiveservices.azure.com/.default",
    )
    reasoning: bool = Field(
        False, description="a reasoning model: it takes max_completion_tokens, and neither temperature nor top_p"
    )
    input_price: float | None = Field(None, ge=0, description="of a million prompt tokens, for plan and budget")
    output_price: float | None = Field(None, ge=0, description="of a million answered tokens, for plan and budget")
    max_in_flight: int = Field(64, ge=1, le=4096, description="requests in flight at once")
    requests_per_minute: int | None = Field(
        None, ge=1, description="kept exactly when given; else learned from what the endpoint accepts"
    )
    tokens_per_minute: int | None = Field(
        None, ge=1, description="of prompts and answers together, kept when given; else learned with the requests"
    )
    simulation: Simulation = Field(Simulation(), description="the stand-in for a run with teacher_route simulated")

    @model_validator(mode="after")
    def _one_way_in(self) -> "Teacher":
        if self.key_variable and self.entra_scope:
            raise ValueError(
                f"teacher {self.model!r} has both key_variable {self.key_variable!r} and entra_scope "
                f"{self.entra_scope!r}: give one"
            )
        return self


class Prompting(BaseModel):
    """What the teacher sees beside the student's view of a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system_prompt: str | None = Field(None, description="goes before the conversation, for the teacher only")


class TeacherConfig(StepConfig):
    """Whom to ask, how, and how hard to try."""

    teachers: tuple[Teacher, ...] = Field(min_length=1, max_length=1, description="the teacher to ask")
    teacher_route: Literal["endpoint", "simulated", "completions"] = Field(
        "endpoint",
        description="ask the real endpoint or the simulated teacher that azdistill run starts, or take completions",
    )
    prompting: Prompting = Field(Prompting(), description="what only the teacher sees")
    turns: Literal["last", "all"] = Field(
        "last",
        description="all: each assistant turn of a training conversation, on the teacher's own replies before it",
    )
    temperature: float = Field(0.0, ge=0, le=2, description="the teacher's sampling temperature")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling")
    max_tokens: int = Field(1024, ge=1, le=131_072, description="longest answer, tokens")
    budget: float | None = Field(
        None,
        gt=0,
        description="most that this job's answers may cost, those found in the store included; needs prices",
    )
    max_attempts: int = Field(6, ge=1, le=100, description="tries of one row before it is kept aside")
    timeout_s: float = Field(300.0, gt=0, le=3600, description="longest wait for one answer, seconds")
    max_reject_ratio: float = Field(0.05, ge=0, le=1, description="fail when more rows than this part got no answer")

    @model_validator(mode="after")
    def _route_is_known(self) -> "TeacherConfig":
        for teacher in self.teachers:
            if self.teacher_route == "endpoint" and not (teacher.endpoint or teacher.connection):
                raise ValueError(
                    f"teacher {teacher.model!r} has neither endpoint nor connection: give one, "
                    "or set teacher_route to simulated to rehearse"
                )
            if self.budget is not None and None in (teacher.input_price, teacher.output_price):
                raise ValueError(f"teacher {teacher.model!r}: a budget needs its input_price and output_price")
        return self


STEP = Step(
    name="teacher",
    description="Ask the teacher for an answer to every prompt; keep each answer in the store.",
    config=TeacherConfig,
    inputs={
        "prompts": Port("uri_folder", "prompts.jsonl"),
        "answers": Port("uri_file", "JSONL of answers that are there already, for route completions", optional=True),
    },
    outputs={
        "completions": Port("uri_folder", "completions.jsonl, rejects.jsonl and usage.json"),
        "store": Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH),
    },
)
