"""Sharded training: each process has a part of the weights, gradients and optimizer state, by FSDP or DeepSpeed.

A layer is gathered while it is computed. Settings of both are in fsdp.json and deepspeed.json, in the format of
TrainingArguments.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from accelerate import DistributedType, FullyShardedDataParallelPlugin, PartialState
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers.integrations.deepspeed import unset_hf_deepspeed_config

from azdistill.contracts.files import read_json
from azdistill.contracts.train import TrainConfig

FSDP_FILE, DEEPSPEED_FILE = (Path(__file__).with_name(name) for name in ("fsdp.json", "deepspeed.json"))


def without_unused_sharding(config: TrainConfig, environ: Mapping[str, str] = os.environ) -> TrainConfig:
    """The config of this run: a single process has nothing to divide."""
    is_alone = int(environ.get("WORLD_SIZE", "1")) < 2
    return config.model_copy(update={"sharding": "none"}) if is_alone else config


def sharding_arguments(config: TrainConfig) -> dict[str, Any]:
    """The arguments of TrainingArguments."""
    if config.sharding == "fsdp":
        # Gradients are divided after each batch: without it, each GPU would keep complete ones until the last batch.
        accumulation = {"gradient_accumulation_kwargs": {"sync_each_batch": True}}
        return {"fsdp": True, "fsdp_config": read_json(FSDP_FILE), "accelerator_config": accumulation}
    return {"deepspeed": read_json(DEEPSPEED_FILE)} if config.sharding == "deepspeed" else {}


def set_up_fsdp(trainer: Any) -> None:
    """Set what TrainingArguments has no field for. Called when the trainer has its accelerator.

    Gradients are added up in float32, and the loss stays in float32: by default both have the type of the arithmetic.
    accelerate ignores FSDP on CPUs without a warning, though it works there, over gloo.
    """
    state = trainer.accelerator.state
    if not trainer.is_fsdp_enabled:
        state.fsdp_plugin = FullyShardedDataParallelPlugin(**trainer.args.fsdp_plugin_args)
        state.distributed_type = PartialState().distributed_type = DistributedType.FSDP
        trainer.is_fsdp_enabled = True
    if state.mixed_precision != "no":
        state.fsdp_plugin.mixed_precision_policy = MixedPrecisionPolicy(
            torch.bfloat16, torch.float32, cast_forward_inputs=False
        )


def gather_weights(trainer: Any) -> dict[str, torch.Tensor]:
    """The complete trained weights of a sharded model, by name, on the CPU of the main process.

    All processes must call it. The dict is empty in the others.
    """
    if trainer.is_deepspeed_enabled:
        return _gather_from_deepspeed(trainer)
    options = StateDictOptions(full_state_dict=True, cpu_offload=True, ignore_frozen_params=True)
    weights: dict[str, Any] = get_model_state_dict(trainer.model, options=options)
    return weights


def _gather_from_deepspeed(trainer: Any) -> dict[str, torch.Tensor]:
    """The float32 weights of the optimizer. The model has them in bfloat16."""
    unset_hf_deepspeed_config()  # a model that is loaded from now on is not sharded
    optional = import_module("deepspeed.utils")  # the lock of the environment does not have it
    weights = {}
    for name, weight in trainer.model.named_parameters():
        if weight.requires_grad:
            complete = optional.safe_get_full_fp32_param(weight)
            if trainer.is_world_process_zero():
                weights[name] = complete.cpu()
    return weights
