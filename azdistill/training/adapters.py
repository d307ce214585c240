"""Train LoRA adapters by peft instead of all weights, and merge them into the student at the end."""

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, TaskType, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from torch import nn
from transformers import BitsAndBytesConfig
from transformers.pytorch_utils import Conv1D

from azdistill.contracts.errors import InputError
from azdistill.contracts.train import ALL_LINEAR, TrainConfig
from azdistill.students.adapter import merge
from azdistill.students.loading import Adapter, Student, load_model, load_student, stored_dtype
from azdistill.training.trainer import precision

CPU = torch.device("cpu")


def load_base(folder: Path, config: TrainConfig, chat_template: str | None = None) -> Student:
    """Load the student as it is trained: all weights in float32, the base of adapters in the type of the arithmetic.

    One that will be sharded is loaded on the CPU, of which a GPU gets its part, and with an attention that works there:
    the trainer sets that of the config. `config` is resolved. Raises DataError for weights that are quantized on disk:
    they can be neither trained nor merged.
    """
    if config.weights == "pretrained":
        stored_dtype(folder)
    return load_student(
        folder,
        config.weights,
        config.seed,
        base_dtype(config),
        chat_template,
        "auto" if config.is_sharded else config.attn_implementation,
        device=CPU if config.is_sharded else None,
        quantization=nf4(config) if config.method == "qlora" else None,
    )


def base_dtype(config: TrainConfig) -> str:
    """Data type of the student's weights while it is trained."""
    in_float32 = config.method == "full" and config.float32_master_weights
    return "float32" if in_float32 else precision(config)


def nf4(config: TrainConfig) -> BitsAndBytesConfig:
    """Quantization of the linear modules to 4 bits, as in the paper of QLoRA (arXiv:2305.14314)."""
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=getattr(torch, precision(config)),
    )


def add_adapters(student: Student, config: TrainConfig) -> Student:
    """Freeze the weights and add adapters in float32. The model becomes a PeftModel around the causal language model.

    Their initial values are drawn from torch's random generator. Raises InputError for a target that the student does
    not have.
    """
    lora = LoraConfig(
        task_type=TaskType.CAUSAL_LM,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=_targets(student.model, config.lora_targets),
        use_dora=config.use_dora,
        use_rslora=config.use_rslora,
    )
    return Student(_peft_model(student.model, lora), student.tokenizer)


def _peft_model(model: Any, lora: LoraConfig) -> Any:
    # peft would look the model up on the hub by its path, and write the path into the files of the adapter.
    model.name_or_path = ""
    with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # peft reads a deprecated property
        return get_peft_model(model, lora)


def _targets(model: Any, targets: str) -> str | list[str]:
    """`lora_targets` for peft. The output head is no target: it may be tied to the embeddings."""
    if targets == ALL_LINEAR:
        return targets
    head = model.get_output_embeddings()
    linear = [
        name for name, module in model.named_modules() if isinstance(module, (nn.Linear, Conv1D)) and module is not head
    ]
    names = targets.split(",")
    for name in names:
        if not any(f".{module}".endswith(f".{name}") for module in linear):
            known = dict.fromkeys(module.rpartition(".")[2] for module in linear)
            message, fix = "matches no linear module of the student", f"it has {', '.join(known)}"
            field = ("train", "lora_targets")
            raise InputError(message, code="unknown_target", field=field, value=name, fix=fix)
    return names


def count_parameters(model: Any) -> tuple[int, int]:
    """Number of trained weights, and of the weights of the student without adapters. Tied weights count once."""
    trained = sum(_size(weight) for weight in model.parameters() if weight.requires_grad)
    if not hasattr(model, "get_nb_trainable_parameters"):
        return trained, sum(_size(weight) for weight in model.parameters())
    adapters, total = model.get_nb_trainable_parameters()  # a weight in 4 bits is counted as one, too
    return trained, total - adapters


def _size(weight: Any) -> int:
    """Number of elements. A weight that DeepSpeed has divided is empty, and has its complete size as an attribute."""
    size: int = getattr(weight, "ds_numel", weight.numel())
    return size


def saved_dtype(folder: Path, config: TrainConfig) -> str:
    """Type of the trained student on disk: that of the arithmetic, with adapters that of the student's own weights."""
    has_own = config.has_adapters and config.weights == "pretrained"
    return stored_dtype(folder) if has_own else precision(config)


def merge_adapters(
    student: Student, folder: Path, config: TrainConfig, gathered: dict[str, torch.Tensor] | None = None
) -> Student:
    """The student in `folder` with the adapters of the trained one merged into its own weights.

    They are merged into the trained model, unless its frozen weights have lost precision or are sharded: then into
    weights that are read anew, on the CPU. `gathered` are the adapters of a sharded model.
    """
    model, device = student.model, student.device
    adapter = _adapter(model, gathered)
    stored, trained = getattr(torch, saved_dtype(folder, config)), getattr(torch, precision(config))
    if config.method == "qlora" or torch.promote_types(stored, trained) != trained or gathered is not None:
        model = _peft_model(_load_again(student, folder, config), adapter.config)
        set_peft_model_state_dict(model, adapter.weights)
    return Student(merge(model).to(device), student.tokenizer, adapter)


def with_weights(student: Student, folder: Path, config: TrainConfig, weights: dict[str, torch.Tensor]) -> Student:
    """The student in `folder` with other weights, on the CPU. `weights` may have one of two tied ones."""
    model = _load_again(student, folder, config)
    model.load_state_dict(weights, strict=False, assign=True)
    model.tie_weights()
    return Student(model.eval(), student.tokenizer)


def _load_again(student: Student, folder: Path, config: TrainConfig) -> Any:
    """The student as it is on disk, on the CPU, with the generation config of the trained one."""
    model = load_model(folder, config.weights, config.seed, saved_dtype(folder, config), device=CPU)
    model.generation_config = student.model.generation_config
    return model


def _adapter(model: Any, gathered: dict[str, torch.Tensor] | None) -> Adapter:
    """A copy of the adapter of a PeftModel, whose weights are `gathered` if it is sharded."""
    config = copy.deepcopy(model.peft_config["default"])
    config.inference_mode = True
    config.target_modules = sorted(config.target_modules)  # a set, whose order differs between processes
    weights = get_peft_model_state_dict(model, gathered)
    return Adapter(config, {name: weight.detach().to("cpu", copy=True) for name, weight in weights.items()})
