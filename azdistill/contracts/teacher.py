"""teacher: prompts to completions, each bought once."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from azdistill.contracts.step import Port, Step, StepConfig

STORE_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/store"
SIMULATOR_VARIABLE = "AZDISTILL_SIMULATED_TEACHER"
"""Names the address of the simulated teacher. `azdistill run` sets it; nothing else reads or writes it."""

Rate = Annotated[float, Field(ge=0, le=1)]


class Simulation(BaseModel):
    """What the simulated teacher does in place of this one; every draw is a hash of seed and messages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    expert: Literal["support"] = Field("support", description="the task that the stand-in is an expert of")
    seed: int = Field(0, ge=0, description="decides which rows meet which fault")
    latency_ms: float = Field(5.0, ge=0, le=60_000, description="mean time to answer, milliseconds")
    wrong_rate: Rate = Field(0.02, description="part of the rows answered wrongly, in good faith")
    throttle_rate: Rate = Field(0.0, description="part of the rows refused once with 429 and Retry-After")
    error_rate: Rate = Field(0.0, description="part of the rows refused once with a 5xx")
    reset_rate: Rate = Field(0.0, description="part of the rows whose connection is reset once")
    truncated_rate: Rate = Field(0.0, description="part of the rows whose answer ends early (finish_reason length)")
    filtered_rate: Rate = Field(0.0, description="part of the rows refused by the content filter")


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
    max_in_flight: int = Field(64, ge=1, le=4096, description="requests in flight at once")
    simulation: Simulation = Field(Simulation(), description="the stand-in for a run with teacher_route simulated")


class Prompting(BaseModel):
    """What the teacher sees beside the student's view of a row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system_prompt: str | None = Field(None, description="goes before the conversation, for the teacher only")


class TeacherConfig(StepConfig):
    """Whom to ask, how, and how hard to try."""

    teachers: tuple[Teacher, ...] = Field(min_length=1, max_length=1, description="the teacher to ask")
    teacher_route: Literal["endpoint", "simulated"] = Field(
        "endpoint", description="ask the real endpoint, or the simulated teacher that azdistill run starts"
    )
    prompting: Prompting = Field(Prompting(), description="what only the teacher sees")
    temperature: float = Field(0.0, ge=0, le=2, description="the teacher's sampling temperature")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling")
    max_tokens: int = Field(1024, ge=1, le=131_072, description="longest answer, tokens")
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
        return self


STEP = Step(
    name="teacher",
    description="Ask the teacher for an answer to every prompt; keep each answer in the store.",
    config=TeacherConfig,
    inputs={"prompts": Port("uri_folder", "prompts.jsonl")},
    outputs={
        "completions": Port("uri_folder", "completions.jsonl, rejects.jsonl and usage.json"),
        "store": Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH),
    },
)
