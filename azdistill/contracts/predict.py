"""predict: a model's answers to the test rows."""

from typing import Literal

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class PredictConfig(StepConfig):
    """Batched greedy generation."""

    seed: int = Field(0, ge=0, description="random weights of a student that has none")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the model folder holds only config and tokenizer"
    )
    batch_size: int = Field(32, ge=1, description="rows generated at once")
    max_new_tokens: int = Field(256, ge=1, description="longest answer, tokens")
    latency_rows: int = Field(20, ge=0, description="rows answered one by one to measure latency")


STEP = Step(
    name="predict",
    description="Answer the test rows with a model; measure latency, memory and throughput.",
    config=PredictConfig,
    inputs={
        "model": Port("custom_model", "safetensors, config and tokenizer"),
        "prompts": Port("uri_folder", "prompts.jsonl"),
    },
    outputs={"predictions": Port("uri_folder", "predictions.jsonl and profile.json")},
    environment="gpu",
)
