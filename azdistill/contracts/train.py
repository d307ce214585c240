"""Step train: fine-tune the student on the curated rows."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.contracts.step import Port, RunInput, Step, StepConfig
from azdistill.contracts.student import CHAT_TEMPLATE

# Checkpoints of all trainings, as INPUTS_HASH/JOB/checkpoint-STEP. The address is the same for every job, so that the
# next attempt of a failed job, which has another name, finds the checkpoints of the one before.
CHECKPOINTS_PATH = "azureml://datastores/workspaceblobstore/paths/azdistill/checkpoints"

# Settings that do not change the trained weights: a checkpoint is resumed with other values of them, too.
CHECKPOINT_SETTINGS = {"checkpoint_minutes", "checkpoint_steps", "required_gpus"}

# Peak learning rate by method, where a config sets none. The best rate of LoRA is about ten times that of full
# fine-tuning. Source: "LoRA Without Regret", https://thinkingmachines.ai/blog/lora/.
LEARNING_RATES = {"full": 2e-5, "lora": 2e-4, "qlora": 2e-4}

# Value of lora_targets for every linear module but the output head.
ALL_LINEAR = "all-linear"

# Value of attn_implementation that computes in bfloat16 or float16 only, on GPUs from compute capability 8.0 on.
# Source: https://github.com/Dao-AILab/flash-attention#nvidia-cuda-support
FLASH_ATTENTION = "flash_attention_2"

# Optimizers whose state FSDP can divide. Those of bitsandbytes work on complete tensors.
FSDP_OPTIMIZERS = ("adamw_torch_fused",)

DEFAULT_BATCH_SIZE = 8

# The value of batch_size that `auto` stands for. A bundle never has it: the plan of a job chooses the number.
AUTO_BATCH_SIZE = 0


class CudaSetting(NamedTuple):
    """A value of a field that needs a GPU with CUDA and a package of PyPI. `substitute` is one that needs neither."""

    field: str
    value: str
    package: str
    substitute: str


CUDA_SETTINGS = (
    CudaSetting("method", "qlora", "bitsandbytes", "lora"),
    CudaSetting("optimizer", "adamw_8bit", "bitsandbytes", "adamw_torch_fused"),
    CudaSetting("optimizer", "paged_adamw_8bit", "bitsandbytes", "adamw_torch_fused"),
    CudaSetting("sharding", "deepspeed", "deepspeed", "fsdp"),
    CudaSetting("attn_implementation", FLASH_ATTENTION, "flash-attn", "auto"),
    CudaSetting("teacher_quantization", "8bit", "bitsandbytes", "none"),
    CudaSetting("teacher_quantization", "4bit", "bitsandbytes", "none"),
)

_BATCH_SIZE_SCHEMA = {"anyOf": [{"type": "integer", "minimum": AUTO_BATCH_SIZE}, {"const": "auto"}]}


def _read_batch_size(value: Any) -> Any:
    return AUTO_BATCH_SIZE if value == "auto" else value


def _incompatible(message: str, fix: str) -> PydanticCustomError:
    return PydanticCustomError("incompatible_fields", "{message}", {"message": message, "fix": fix})


# Value of layer_map for all layers.
UNIFORM = "uniform"

# Inputs of step train with the models of section white_box, in their order.
MOST_WHITE_BOX = 3
WHITE_BOX_PORTS = tuple(f"white_box_{number}" for number in range(1, MOST_WHITE_BOX + 1))

Divergence = Literal["forward_kl", "reverse_kl", "jsd"]


class LossWeights(StepConfig):
    """Weights of the terms of the training loss, each a mean over target tokens. A term of weight 0 is not computed."""

    text: float = Field(1.0, ge=0, le=1000, description="Cross entropy of the teacher's text.")
    top_k: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Divergence from the teacher's stored log probabilities (teacher.top_logprobs). Tokens without "
        "them add this weight to text.",
    )
    logits: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Divergence from the distributions over all tokens of the teachers in white_box.",
    )
    hidden_states: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Squared error of normalized hidden states, compared with those of the teachers in white_box.",
    )
    attention: float = Field(
        0.0,
        ge=0,
        le=1000,
        description="Divergence from the attention of the teachers in white_box. Needs attn_implementation eager.",
    )

    @model_validator(mode="after")
    def _has_a_term(self) -> "LossWeights":
        if not (self.text or self.top_k or self.logits or self.hidden_states or self.attention):
            raise _incompatible("all weights are 0, so nothing is learned", "set one above 0, such as text: 1")
        return self

    @property
    def needs_white_box(self) -> bool:
        """True if a term compares the student with a model in the process of the training."""
        return bool(self.logits or self.hidden_states or self.attention)


class OnPolicy(StepConfig):
    """Answers that the student samples during the training, and in which a teacher scores each token."""

    teacher: Literal["auto", "self"] = Field(
        "auto",
        description="Scores the sampled answers. auto: section scorer, or else the models in white_box. self: the "
        "student itself, with the stored answer of the row in its prompt.",
    )
    teacher_decay: float = Field(
        0.99,
        ge=0,
        le=1,
        description="Decay of the moving average of the student's weights that is its teacher, for teacher self. 0: "
        "the current weights. 1: the weights before the first sampled answers.",
    )
    share: float = Field(
        0.5, gt=0, le=1, description="Share of the rows of each step whose answers the student writes anew."
    )
    rollouts: int = Field(1, ge=1, le=64, description="Number of answers to each of these prompts.")
    max_new_tokens: int = Field(512, ge=1, le=100_000, description="Maximum length of a sampled answer, tokens.")
    temperature: float = Field(1.0, gt=0, le=5, description="Temperature of sampling.")
    divergence: Divergence = Field(
        "reverse_kl", description="Divergence of the student from the teacher at the sampled tokens."
    )
    jsd_beta: float = Field(0.5, gt=0, lt=1, description="Weight of the teacher in the mixture of jsd.")
    start_fraction: float = Field(
        0.3,
        ge=0,
        lt=1,
        description="Fraction of all steps that train on the teacher's text alone, before the student writes answers.",
    )


class TrainConfig(StepConfig):
    """Fine-tuning hyperparameters. The loss covers assistant turns only."""

    seed: Annotated[int, RunInput()] = Field(0, ge=0, description="Seed of random weights, batch order and dropout.")
    weights: Annotated[Literal["pretrained", "random"], RunInput()] = Field(
        "pretrained", description="random: train from scratch; the student folder needs only config and tokenizer."
    )
    method: Annotated[Literal["auto", "full", "lora", "qlora"], RunInput()] = Field(
        "auto",
        description="full: train all weights. lora: train adapters of low rank, which are merged into the weights at "
        "the end. qlora: the same on weights in 4 bits, on a GPU only. auto: the first of them that fits one GPU; full "
        "where that is unknown.",
    )
    sharding: Annotated[Literal["auto", "none", "fsdp", "deepspeed"], RunInput()] = Field(
        "auto",
        description="Division of weights, gradients and optimizer state among the GPUs. none: each has a complete one. "
        "fsdp: PyTorch's FSDP. deepspeed: ZeRO-3, by the package deepspeed. auto: fsdp if one GPU cannot hold the "
        "training and there are several, else none.",
    )
    learning_rate: Annotated[float | None, RunInput()] = Field(
        None,
        gt=0,
        le=0.01,
        examples=[LEARNING_RATES["full"]],
        description="Peak learning rate. Default: 2e-5 for full, 2e-4 for lora and qlora.",
    )
    losses: LossWeights | None = Field(
        None, description="Weights of the loss terms, such as {text: 0.5, top_k: 0.5}. Default: {text: 1}."
    )
    divergence: Divergence = Field(
        "forward_kl",
        description="Divergence of the student from the teacher. forward_kl covers all that the teacher may say, "
        "reverse_kl its likeliest answers, jsd (generalized Jensen-Shannon) is between them.",
    )
    jsd_beta: float = Field(0.5, gt=0, lt=1, description="Weight of the teacher in the mixture of jsd.")
    on_policy: OnPolicy | None = Field(
        None,
        description="On-policy distillation: in a share of the rows, a teacher scores answers that the student "
        "samples. Default: the teacher's text alone.",
    )
    distillation_temperature: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Temperature of both distributions in losses.logits. The loss is multiplied by its square.",
    )
    layer_map: Annotated[str, RunInput()] = Field(
        UNIFORM,
        pattern=r"^(uniform|[0-9]{1,4}:[0-9]{1,4}(,[0-9]{1,4}:[0-9]{1,4})*)$",
        description="Layers that losses.hidden_states and attention compare: pairs of the student's and the teacher's, "
        "such as 1:4,2:8, numbered from 1. uniform: all layers of the student, each with the teacher's at the same "
        "relative depth.",
    )
    white_box_weights: str | None = Field(
        None,
        pattern=r"^[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?(,[0-9]+(\.[0-9]+)?(e[+-]?[0-9]+)?)*$",
        description="Weights of the white-box teachers, such as 1,0.5, in the order of their models. Default: 1 for "
        "each.",
    )
    teacher_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Data type of the white-box teachers. auto: bfloat16 if the GPU supports it, else float32.",
    )
    teacher_quantization: Annotated[Literal["none", "8bit", "4bit"], RunInput()] = Field(
        "none", description="Quantization of the white-box teachers, by bitsandbytes: on a GPU only."
    )
    lora_rank: int = Field(16, ge=1, le=1024, description="Rank of the adapters. This and the next fields: LoRA only.")
    lora_alpha: int = Field(
        32, ge=1, description="Scale of the adapters: their output is multiplied by lora_alpha / lora_rank."
    )
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="Dropout of the adapters' input.")
    lora_targets: str = Field(
        ALL_LINEAR,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(,[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        description="Modules with adapters: all-linear (all linear modules but the output head), or names such as "
        "q_proj,v_proj.",
    )
    use_dora: bool = Field(False, description="DoRA: train the length of each weight vector, too.")
    use_rslora: bool = Field(False, description="rsLoRA: divide lora_alpha by the square root of lora_rank.")
    batch_size: Annotated[int, BeforeValidator(_read_batch_size), WithJsonSchema(_BATCH_SIZE_SCHEMA)] = Field(
        DEFAULT_BATCH_SIZE,
        ge=AUTO_BATCH_SIZE,
        description="Average number of rows per batch. A batch has at most batch_size times the average row "
        "length in tokens. auto (or 0): as many rows of max_length as one GPU holds, at most 64; 8 where that is "
        "unknown.",
    )
    gradient_accumulation_steps: int = Field(
        1, ge=1, description="Number of smaller batches that a batch is divided into, to use less memory."
    )
    packing: bool = Field(
        False,
        description="Concatenate rows of any length to one sequence per batch, instead of padding rows of similar "
        "length. For flash attention: other kernels compute attention between all tokens of the sequence.",
    )
    num_epochs: Annotated[float, RunInput()] = Field(3.0, gt=0, le=1000, description="Number of epochs.")
    train_on: Literal["last", "all"] = Field(
        "last",
        description="Assistant turns of a row that are targets: the last one, or all of them. A turn with weight 0 "
        "never is.",
    )
    max_length: Annotated[int, RunInput()] = Field(
        2048, ge=16, description="Maximum length of a row, tokens. Longer rows are rejected, not truncated."
    )
    warmup_ratio: float = Field(
        0.03, ge=0, lt=1, description="Fraction of steps with a linearly increasing learning rate."
    )
    scheduler: Literal["linear", "cosine", "constant_with_warmup"] = Field(
        "cosine", description="Learning rate schedule after the warmup."
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="Weight decay of AdamW.")
    gradient_clip: float = Field(1.0, gt=0, description="Maximum gradient norm.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Data type of training. auto: bfloat16 if the GPU supports it, else float32."
    )
    float32_master_weights: bool = Field(
        True, description="Keep the trained weights in float32 and compute in bfloat16. false: bfloat16 only."
    )
    optimizer: Annotated[Literal["adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "adafactor"], RunInput()] = (
        Field(
            "adamw_torch_fused",
            description="Optimizer, as transformers names it. 8-bit: on a GPU, by bitsandbytes.",
        )
    )
    gradient_checkpointing: bool | None = Field(
        None,
        description="Compute activations again in the backward pass: much less memory, about a third more time. "
        "Default: true if a batch of rows of max_length fits one GPU only with it.",
    )
    attn_implementation: Annotated[Literal["auto", "eager", "sdpa", "flash_attention_2"], RunInput()] = Field(
        "auto",
        description="Attention in transformers. auto: its default for the student, sdpa where possible. "
        "flash_attention_2: on a GPU, by flash-attn.",
    )
    checkpoints_per_epoch: int = Field(
        1, ge=1, le=100, description="Number of checkpoints per epoch, each after a validation."
    )
    checkpoint_minutes: float = Field(
        60.0, gt=0, description="Maximum time between two checkpoints, minutes. An interrupted training loses no more."
    )
    checkpoint_steps: int | None = Field(None, ge=1, description="Maximum number of steps between two checkpoints.")
    keep_best: bool = Field(
        True,
        description="Save the weights with the lowest validation loss as the student. false, or without validation "
        "rows: the last ones.",
    )
    early_stopping_patience: int | None = Field(
        None, ge=1, description="Stop after this number of validations in a row without a lower validation loss."
    )
    max_overlong_ratio: float = Field(
        0.1, ge=0, le=1, description="Maximum fraction of rows longer than max_length before the step fails."
    )
    required_gpus: int | None = Field(
        None,
        ge=1,
        description="Number of GPUs that a node must have on Azure ML, else the step fails at its start. Default: "
        "those of the VM size.",
    )

    @model_validator(mode="after")
    def _can_be_sharded(self) -> "TrainConfig":
        if self.is_sharded and self.method == "qlora":
            raise _incompatible("method qlora cannot be sharded", "set sharding to none, or method to lora")
        if self.sharding == "fsdp" and self.optimizer not in FSDP_OPTIMIZERS:
            fix = f"set optimizer to {' or '.join(FSDP_OPTIMIZERS)}, or sharding to deepspeed"
            raise _incompatible(f"optimizer {self.optimizer} cannot be sharded by fsdp", fix)
        if self.is_sharded and (self.needs_white_box or self.on_policy):
            fix = "set sharding to none, or remove these losses and on_policy"
            raise _incompatible("a sharded student cannot sample, or be compared with a white-box teacher", fix)
        return self

    @model_validator(mode="after")
    def _can_sample(self) -> "TrainConfig":
        if self.packing and self.on_policy:
            raise _incompatible("rows that the student samples cannot be packed", "set packing to false")
        has_average = self.is_self_taught and self.on_policy and 0 < self.on_policy.teacher_decay < 1
        if has_average and self.method not in ("lora", "qlora") and not self.float32_master_weights:
            fix = "set float32_master_weights to true, or on_policy.teacher_decay to 0 or 1"
            raise _incompatible("a moving average of bfloat16 weights does not move: its changes are too small", fix)
        return self

    @model_validator(mode="after")
    def _has_attention(self) -> "TrainConfig":
        if self.loss_weights.attention and self.attn_implementation != "eager":
            fix = "set attn_implementation to eager, or remove attention"
            raise _incompatible(f"attn_implementation {self.attn_implementation} returns no attention", fix)
        if self.loss_weights.attention and self.packing:
            fix = "set packing to false, or remove attention"
            raise _incompatible("losses.attention compares attention within a row, and packing joins rows", fix)
        return self

    @property
    def loss_weights(self) -> LossWeights:
        return self.losses or LossWeights()

    @property
    def needs_white_box(self) -> bool:
        """True if the loss compares the student with another model in the process of the training."""
        return self.loss_weights.needs_white_box or self.scores_by_white_box

    @property
    def has_scorer(self) -> bool:
        """True if a teacher behind an endpoint scores the sampled answers: see `ScoredTrainConfig`."""
        return False

    @property
    def is_self_taught(self) -> bool:
        """True if the student scores the answers that it samples."""
        return self.on_policy is not None and self.on_policy.teacher == "self"

    @property
    def scores_by_white_box(self) -> bool:
        """True if white-box teachers score the sampled answers."""
        return self.on_policy is not None and not self.is_self_taught and not self.has_scorer

    @property
    def has_adapters(self) -> bool:
        return self.method in ("lora", "qlora")

    @property
    def cuda_settings(self) -> list[CudaSetting]:
        """The settings that need a GPU with CUDA."""
        return [setting for setting in CUDA_SETTINGS if getattr(self, setting.field) == setting.value]

    @property
    def is_sharded(self) -> bool:
        return self.sharding in ("fsdp", "deepspeed")

    def resolved(self) -> "TrainConfig":
        """The config with the values that are used in place of `auto` and None, for a GPU that is unknown.

        A job has chosen them for its GPU before.
        """
        method = "full" if self.method == "auto" else self.method
        return self.model_copy(
            update={
                "method": method,
                "sharding": "none" if self.sharding == "auto" else self.sharding,
                "learning_rate": self.learning_rate or LEARNING_RATES[method],
                "batch_size": self.batch_size or DEFAULT_BATCH_SIZE,
                "gradient_checkpointing": bool(self.gradient_checkpointing),
            }
        )


STEP = Step(
    name="train",
    description="Fine-tune the student on the curated rows; resume from the last checkpoint.",
    config=TrainConfig,
    inputs={
        "curated": Port("uri_folder", "train.jsonl and validation.jsonl"),
        "student": Port("custom_model", "the student: safetensors, config and tokenizer"),
        "chat_template": CHAT_TEMPLATE,
        "completions": Port(
            "uri_folder", "the teacher's log probabilities, next to its completions, for losses.top_k", optional=True
        ),
        **{
            port: Port("custom_model", f"model of white-box teacher number {number}", optional=True)
            for number, port in enumerate(WHITE_BOX_PORTS, 1)
        },
    },
    outputs={
        "model": Port("custom_model", "the distilled student: safetensors, config and tokenizer"),
        "metrics": Port("uri_folder", "metrics.json and history.jsonl"),
        "checkpoints": Port(
            "uri_folder",
            "checkpoints of all trainings: an interrupted one, or the next attempt of its job, continues from its own",
            mode="rw_mount",
            path=CHECKPOINTS_PATH,
        ),
    },
    environment="gpu",
)


def resumable_settings(config: TrainConfig) -> str:
    """The settings that a training and its checkpoints must have in common, but for those of a scorer."""
    return repr(config.resolved().model_dump(include=TrainConfig.model_fields.keys() - CHECKPOINT_SETTINGS))


def job_folder(model: Path, environ: Mapping[str, str] = os.environ) -> str:
    """Name of the folder with the checkpoints of one job: the same when the job is started again.

    `model` is the output of the step, which identifies a local run.
    """
    return azure_ml_job(environ) or hashlib.sha256(str(model.resolve()).encode()).hexdigest()[:16]
