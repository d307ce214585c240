"""teacher: prompts to completions, each bought once."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from azdistill.contracts.step import Port, Step, StepConfig
from azdistill.contracts.task import TASK_FILE, TaskChoice

STORE_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/store"
SIMULATOR_VARIABLE = "AZDISTILL_SIMULATED_TEACHER"
"""Names the address of the simulated teacher. `azdistill run` sets it; nothing else reads or writes it."""

Policy = Literal["route", "all", "cascade", "fallback"]

LONGEST_SUMMARY = 80
"""Words, as in the paper on chain of density."""


class Teacher(BaseModel):
    """One teacher behind an endpoint. Secrets are named here, never held."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: str = Field(min_length=1, description="model or deployment name, as the endpoint knows it")
    name: str | None = Field(
        None, min_length=1, description="what rows and reports call it; default: its model; two teachers need two names"
    )
    weight: float = Field(1.0, gt=0, description="its part of the prompts with policy route, beside the others'")
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

    @property
    def called(self) -> str:
        """What rows and reports call it."""
        return self.name or self.model

    @model_validator(mode="after")
    def _no_secret_in_the_address(self) -> "Teacher":
        if "@" in (self.endpoint or "").partition("://")[2].partition("/")[0]:
            raise ValueError(
                f"teacher {self.model!r}: endpoint holds a user name or password, which would go into every bundle; "
                "name the key's variable in key_variable"
            )
        return self

    @model_validator(mode="after")
    def _one_way_in(self) -> "Teacher":
        if self.key_variable and self.entra_scope:
            raise ValueError(
                f"teacher {self.model!r} has both key_variable {self.key_variable!r} and entra_scope "
                f"{self.entra_scope!r}: give one"
            )
        return self


class Prompting(BaseModel):
    """What the teacher sees beside the student's view of a row; see docs/prompting.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    system_prompt: str | None = Field(
        None, min_length=1, description="goes before the row's own system text, for the teacher only"
    )
    template: str | None = Field(
        None, description="what the teacher gets in place of the last user turn; {prompt} in it stands for that turn"
    )
    chain_of_thought: bool = Field(
        False, description="have the teacher reason in <think> before it answers; teacher.trace says what becomes of it"
    )
    chain_of_density: bool = Field(
        False,
        description="have the teacher write five ever denser summaries, all but the answer in <think>; for task "
        "summarization or one of your own",
    )
    max_len_summary: int = Field(
        LONGEST_SUMMARY, ge=1, le=10_000, description="longest summary by chain_of_density, words"
    )

    @model_validator(mode="after")
    def _can_be_rendered(self) -> "Prompting":
        if self.template is not None and self.template.count("{prompt}") != 1:
            raise ValueError(f"template={self.template!r}: write {{prompt}} once, where the user's turn goes")
        if self.chain_of_thought and self.chain_of_density:
            raise ValueError("chain_of_thought and chain_of_density are both on: keep one")
        if self.max_len_summary != LONGEST_SUMMARY and not self.chain_of_density:
            raise ValueError(
                f"max_len_summary={self.max_len_summary!r} needs chain_of_density: turn that on, or leave this out"
            )
        return self


class TeacherConfig(StepConfig):
    """Whom to ask, how, and how hard to try."""

    teachers: tuple[Teacher, ...] = Field(min_length=1, max_length=16, description="the teachers to ask, see policy")
    teacher_route: Literal["endpoint", "simulated", "completions"] = Field(
        "endpoint",
        description="ask the real endpoint or the simulated teacher that azdistill run starts, or take completions",
    )
    policy: Policy = Field(
        "route",
        description="route: each prompt to one teacher, by weight; all: each to all; cascade: to the next teacher "
        "where the answers are invalid or disagree; fallback: to the next where there is no whole answer",
    )
    samples: int = Field(
        1, ge=1, le=64, description="answers of each teacher to a prompt; test rows keep one; needs a temperature"
    )
    task: TaskChoice = Field(
        "conversation", description="decides for policy cascade whether answers are valid and agree"
    )
    prompting: Prompting = Field(Prompting(), description="what only the teacher sees")
    trace: Literal["strip", "keep", "split"] = Field(
        "strip",
        description="the reasoning before an answer: left out, kept in <think> for the student to learn, or split off "
        "into a row of its own to learn from",
    )
    top_logprobs: int = Field(
        0,
        ge=0,
        le=20,
        description="log probabilities to keep of each token, the likeliest ones; where there are none "
        "the answers come without",
    )
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
    def _teachers_are_told_apart(self) -> "TeacherConfig":
        names = [teacher.called for teacher in self.teachers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two teachers are called {twice[0]!r}: give each a name of its own")
        return self

    @model_validator(mode="after")
    def _samples_differ(self) -> "TeacherConfig":
        if self.samples > 1 and self.temperature == 0 and not all(teacher.reasoning for teacher in self.teachers):
            raise ValueError(
                f"samples={self.samples!r} at temperature 0 would be paid for to say the same: raise temperature, "
                "such as to 0.7"
            )
        return self

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
        "task_file": TASK_FILE,
        "simulation": Port(
            "uri_file", "JSON list: settings of the simulated teachers, for teacher_route simulated", optional=True
        ),
    },
    outputs={
        "completions": Port("uri_folder", "completions.jsonl, rejects.jsonl and usage.json"),
        "store": Port("uri_folder", "the response store, shared by all runs", mode="rw_mount", path=STORE_PATH),
    },
)
