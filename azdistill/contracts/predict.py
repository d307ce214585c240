"""Step predict: generate a model's answers to the test rows."""

from typing import Annotated, Literal

from pydantic import Field

from azdistill.contracts.layout import PROMPTS_FILE
from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.student import CHAT_TEMPLATE

Engine = Literal["auto", "transformers", "vllm"]


class PredictConfig(StepConfig):
    """Batched greedy generation."""

    seed: Annotated[int, RunInput()] = Field(0, ge=0, description="Seed of random weights.")
    weights: Annotated[Literal["pretrained", "random"], RunInput()] = Field(
        "pretrained", description="random: the model folder needs only config and tokenizer."
    )
    batch_size: int = Field(32, ge=1, description="Maximum number of rows per batch.")
    max_new_tokens: Annotated[int, RunInput()] = Field(256, ge=1, description="Maximum length of an answer, tokens.")
    engine: Engine = Field(
        "auto",
        description="Library that generates the answers. vllm: in an environment of its own on Azure ML. auto: vllm "
        "where it is installed and there is a GPU. A sample is checked against transformers, which also measures "
        "latency and likelihood.",
    )
    latency_rows: int = Field(20, ge=0, description="Number of requests that latency is measured with.")
    latency_concurrency: int = Field(
        4, ge=1, description="Users who ask at the same time, for a second measurement of latency; 1: none."
    )


STEP = Step(
    name="predict",
    description="Answer the test rows with a model; measure latency, memory and throughput.",
    config=PredictConfig,
    inputs={
        "model": Port("custom_model", "safetensors, config and tokenizer"),
        "chat_template": CHAT_TEMPLATE,
        "prompts": Port("uri_folder", PROMPTS_FILE),
        "completions": Port("uri_folder", "the teacher's answers, whose likelihood is computed", optional=True),
        "regressions": Port("uri_folder", "rows of the regression suites", optional=True),
        "after": Port("uri_folder", "not read: the step starts when it exists", optional=True),
    },
    outputs={"predictions": Port("uri_folder", "predictions.jsonl, profile.json; of regression suites suites.jsonl")},
    environment="gpu",
)
