"""train: curated rows and a student to a distilled student."""

from typing import Literal

from pydantic import Field

from azdistill.contracts.step import Port, Step, StepConfig


class TrainConfig(StepConfig):
    """Fine-tuning. Only the assistant's last turn is learned."""

    seed: int = Field(0, ge=0, description="random weights, order of batches, dropout")
    weights: Literal["pretrained", "random"] = Field(
        "pretrained", description="random: the student folder holds only config and tokenizer, start from scratch"
    )
    learning_rate: float = Field(2e-5, gt=0, le=0.01, description="peak learning rate")
    batch_size: int = Field(
        8, ge=1, description="rows of an average batch: the token budget is batch_size times the average row"
    )
    num_epochs: float = Field(3.0, gt=0, le=1000, description="passes over the training rows")
    max_length: int = Field(2048, ge=16, description="longest row, tokens; longer rows are kept aside, not cut")
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="part of the steps that the learning rate rises")
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = Field("cosine", description="after the warmup")
    weight_decay: float = Field(0.0, ge=0, le=1, description="AdamW weight decay")
    gradient_clip: float = Field(1.0, gt=0, description="largest norm of the gradient")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="auto: bfloat16 where the GPU has it, else float32"
    )
    checkpoints_per_epoch: int = Field(1, ge=1, le=100, description="checkpoints written in each epoch")
    max_overlong_ratio: float = Field(0.1, ge=0, le=1, description="fail when more rows than this part are too long")


STEP = Step(
    name="train",
    description="Fine-tune the student on the curated rows; resume from the last checkpoint.",
    config=TrainConfig,
    inputs={
        "curated": Port("uri_folder", "train.jsonl and validation.jsonl"),
        "student": Port("custom_model", "the student: safetensors, config and tokenizer"),
    },
    outputs={
        "model": Port("custom_model", "the distilled student: safetensors, config and tokenizer"),
        "metrics": Port("uri_folder", "metrics.json and history.jsonl"),
        "checkpoints": Port("uri_folder", "where an interrupted run continues", mode="rw_mount"),
    },
    environment="gpu",
)
