"""Settings of the simulated teachers: used by simulated runs and tests, never by a real job.

They have a separate file, so that a new setting changes neither the snapshot of the teacher step nor any other
part of a real job.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

# `support` answers from the policy of a shop, `judge` compares or scores answers; the other experts answer in the form
# of their task.
ExpertName = Literal["conversation", "nli", "qa", "math", "summarization", "support", "judge"]
JUDGE: ExpertName = "judge"

Parameter = Literal[
    "max_tokens", "max_completion_tokens", "temperature", "top_p", "seed", "n", "logprobs", "top_logprobs"
]

Rate = Annotated[float, Field(ge=0, le=1)]


class SimulatedLimits(BaseModel):
    """Rate limits of a simulated teacher: token buckets that refill evenly and refuse with 429 and Retry-After."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    requests_per_minute: int | None = Field(None, ge=1, description="Requests per minute. Default: unlimited.")
    tokens_per_minute: int | None = Field(
        None, ge=1, description="Prompt and answer tokens per minute, together. Default: unlimited."
    )
    burst_s: float = Field(
        1.0,
        gt=0,
        le=60,
        description="Size of a bucket, in seconds of the rate. Azure enforces windows of 1, 10 or 60 seconds.",
    )
    tokens_counted: Literal["asked", "answered"] = Field(
        "answered",
        description="Which tokens count. asked: prompt and max_tokens, on arrival, as in Azure OpenAI. answered: the "
        "tokens that were used.",
    )
    headers: Literal["sent", "negative", "absent"] = Field(
        "sent",
        description="The x-ratelimit-limit-* and x-ratelimit-remaining-* headers: sent, sent with negative remaining "
        "values, or absent.",
    )


class Simulation(BaseModel):
    """Settings of one simulated teacher. Every random draw is a hash of `seed` and the messages.

    Above temperature 0, draws also depend on the request's `x-ms-client-request-id`, so that samples differ and are
    reproducible.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    expert: ExpertName = Field(
        "conversation", description="The program that answers. Default in a job: the expert of the job's task."
    )
    examples: tuple[str, ...] = Field(
        (), description="Answers to draw from instead of asking the expert, for example those of a custom task."
    )
    seed: int = Field(
        0,
        ge=0,
        description="Seed that selects which rows get which fault. Default in a job: the index of the teacher.",
    )
    latency_ms: float = Field(5.0, ge=0, le=60_000, description="Mean latency, milliseconds.")
    latency_sigma: float | None = Field(
        None,
        ge=0,
        le=3,
        description="Sigma of a lognormal latency. Default: a uniform distribution from 0.5 to 1.5 times the mean.",
    )
    wrong_rate: Rate = Field(0.02, description="Fraction of rows that get a well-formed wrong answer.")
    throttle_rate: Rate = Field(0.0, description="Fraction of rows refused once with 429 and Retry-After.")
    error_rate: Rate = Field(0.0, description="Fraction of rows refused once with a 5xx status.")
    reset_rate: Rate = Field(0.0, description="Fraction of rows whose connection is reset once.")
    not_ready_rate: Rate = Field(0.0, description="Fraction of rows refused once with 424 (model_not_ready).")
    gateway_timeout_rate: Rate = Field(0.0, description="Fraction of rows refused once with 504 and an HTML page.")
    hang_rate: Rate = Field(0.0, description="Fraction of rows whose first request never gets a reply.")
    slow_rate: Rate = Field(0.0, description="Fraction of rows whose first byte is delayed once by slow_ms.")
    slow_ms: float = Field(10_000, ge=0, le=3_600_000, description="Delay of slow rows, milliseconds.")
    broken_rate: Rate = Field(
        0.0, description="Fraction of rows whose (billed) answer arrives once with half of its body."
    )
    truncated_rate: Rate = Field(0.0, description="Fraction of rows whose answer is cut (finish_reason length).")
    filtered_rate: Rate = Field(0.0, description="Fraction of rows refused by the content filter.")
    degenerate_rate: Rate = Field(0.0, description="Fraction of rows whose log probabilities are 0 and -9999.")
    reasoning: Literal["reasoning_content", "think"] | None = Field(
        None,
        description="Simulate a reasoning model: its reasoning is in the field reasoning_content, or in <think> before "
        "the answer.",
    )
    html: bool = Field(False, description="Reply to every request with 200 and an HTML page, as a proxy does.")
    deployments: tuple[str, ...] = Field(
        (), description="Deployments that exist; others get 404. Default: every name exists."
    )
    clock_skew_s: float = Field(
        0.0,
        ge=-31_536_000,
        le=31_536_000,
        description="How far the server's clock is ahead, seconds; affects the Date header and token expiry.",
    )
    refused_parameters: tuple[Parameter, ...] = Field((), description="Request parameters refused with 400.")
    accepted_parameters: tuple[str, ...] = Field(
        (),
        description="Other request parameters that are accepted without effect; any else is refused with 400. Default "
        "in a job: the parameters of the teacher.",
    )
    ignored_parameters: tuple[Parameter, ...] = Field((), description="Request parameters accepted without effect.")
    entra_scope: str | None = Field(
        None,
        pattern=r"^https://\S+/\.default$",
        description="Require an unexpired Microsoft Entra token of this scope.",
    )
    limits: SimulatedLimits = Field(SimulatedLimits(), description="Rate limits. Default: none.")


@dataclass(frozen=True)
class ServedModel:
    """A causal language model that a simulated teacher serves instead of an expert.

    `prompt_logprobs`: score given tokens, as vLLM does and serverless endpoints do not. `max_logprobs`: the most likely
    tokens of a position that a request may ask for; -1 is no limit.
    """

    folder: Path
    prompt_logprobs: bool = True
    max_logprobs: int = 20
