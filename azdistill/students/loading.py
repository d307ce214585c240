"""Load and save a student: safetensors only, no code from its folder, nothing from a hub."""

import math
import os
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig, set_seed
from transformers.utils import logging

from azdistill.contracts.errors import DataError, InputError
from azdistill.students import errors
from azdistill.students.chat_template import CHOOSE_TEMPLATE, is_pinned, pin_template, replace_template, template_of
from azdistill.students.folders import (
    ADAPTER_FOLDER,
    ADAPTER_WEIGHTS,
    adapter_base,
    model_folder,
    tokenizer_folder,
    weight_files,
)
from azdistill.students.gpus import has_bfloat16
from azdistill.students.saved_files import save_config, save_tokenizer
from azdistill.students.template import end_of_turn_id

Weights = Literal["pretrained", "random"]

# Names of types in a safetensors file, and in torch.
FLOAT_TYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


@dataclass(frozen=True)
class Adapter:
    """A trained adapter in the format of peft: its LoraConfig, and its weights on the CPU."""

    config: Any
    weights: dict[str, torch.Tensor]

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.weights, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
        self.config.save_pretrained(folder)


@dataclass(frozen=True)
class Student:
    """A causal language model on its device, and its tokenizer. `adapter` is merged into the weights of the model.

    `folder` is the one that the weights were loaded from; None for random weights and a model made in memory.
    """

    model: Any
    tokenizer: Any
    adapter: Adapter | None = None
    folder: Path | None = None

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def save(self, folder: Path, dtype: str) -> None:
        """Write safetensors, config and tokenizer, and the adapter to a folder next to them.

        `dtype` (such as "bfloat16") is the type of the weights on disk. The model in memory keeps its own.
        """
        with errors.saving(folder, "the student"), quiet_transformers():
            self.model.save_pretrained(folder, state_dict=_cast(self.model.state_dict(), getattr(torch, dtype)))
            save_config(self.model, folder, dtype)  # save_pretrained has written the type of the model in memory
            save_tokenizer(self.tokenizer, folder)
            if self.adapter is not None:
                self.adapter.save(folder / ADAPTER_FOLDER)


def load_student(
    folder: Path,
    weights: Weights = "pretrained",
    seed: int = 0,
    dtype: str = "auto",
    chat_template: str | None = None,
    attn_implementation: str = "auto",
    device: torch.device | None = None,
    quantization: Any = None,
) -> Student:
    """Load model and tokenizer from a folder, as `load_model` loads the model. `chat_template` replaces the folder's.

    Of an adapter whose base model is on this machine, both are loaded and merged. Raises DataError when the folder
    holds no usable model.
    """
    base = adapter_base(folder)
    with quiet_transformers():
        tokenizer = load_tokenizer(folder, chat_template)
        model = load_model(base or folder, weights, seed, dtype, attn_implementation, device, quantization)
        if base is not None:
            from azdistill.students.adapter import with_adapter

            model = with_adapter(model, folder)
        _check_vocabulary(folder, model, tokenizer)
        model.generation_config = greedy_generation(model, tokenizer)
        _check_causal(folder, model)
        return Student(model, tokenizer, folder=folder if weights == "pretrained" else None)


def load_model(
    folder: Path,
    weights: Weights = "pretrained",
    seed: int = 0,
    dtype: str = "auto",
    attn_implementation: str = "auto",
    device: torch.device | None = None,
    quantization: Any = None,
) -> Any:
    """Load the model of a student, onto the GPU where there is one unless `device` is set.

    `weights="random"` reads only the architecture and initializes the weights from `seed`. `quantization` is a
    quantization config of transformers.
    """
    attention = None if attn_implementation == "auto" else attn_implementation
    device = device or best_device()
    with quiet_transformers():
        if weights == "random":
            model = _random_model(folder, seed, dtype, attention)
            if quantization is None:
                return model.to(device).eval()
            # transformers quantizes weights while it reads them from files.
            with tempfile.TemporaryDirectory() as saved:
                model.save_pretrained(saved)
                return load_model(
                    Path(saved),
                    dtype=dtype,
                    attn_implementation=attn_implementation,
                    device=device,
                    quantization=quantization,
                )
        options = {} if quantization is None else {"quantization_config": quantization, "device_map": {"": device}}
        model = _pretrained_model(folder, dtype, attention, **options)
        return (model.to(device) if quantization is None else model).eval()


def load_tokenizer(folder: Path, chat_template: str | None = None) -> Any:
    """Load a student's tokenizer. It pads on the left, so that all answers of a batch start at the same position.

    The default rendering of its chat template is that of `pin_template`, unless it was pinned before it was saved.
    Raises DataError when it can't be loaded, has no vocabulary or no usable chat template.
    """
    base = adapter_base(folder)
    model = model_folder(base or folder)
    source = base if base and not (folder / "tokenizer_config.json").is_file() else tokenizer_folder(folder)
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    with errors.loading(folder, "tokenizer"):
        # The architecture decides about the tokenizer's class, also where MLflow has put it into another folder.
        config = {} if source == model else {"config": AutoConfig.from_pretrained(model, **options)}
        tokenizer = AutoTokenizer.from_pretrained(source, padding_side="left", **config, **options)
    subject = f"student {str(folder)!r}"
    if not tokenizer("a", add_special_tokens=False)["input_ids"]:  # transformers accepts a missing tokenizer.json
        fix = f"copy tokenizer.json to {str(source)!r}"
        raise DataError("its tokenizer has no vocabulary", subject=subject, code="no_vocabulary", fix=fix)
    if chat_template is not None:
        replace_template(tokenizer, chat_template)
    if not template_of(tokenizer).strip():
        fix = f"{CHOOSE_TEMPLATE}, or choose a chat or instruct model"
        raise DataError("its tokenizer has no chat_template", subject=subject, code="no_chat_template", fix=fix)
    if not is_pinned(tokenizer):
        pin_template(tokenizer)
    if tokenizer.pad_token_id is None:  # padding is masked in training and cut off in generation, so any id will do
        tokenizer.pad_token_id = tokenizer.eos_token_id or 0
    return tokenizer


def max_positions(model: Any) -> int | None:
    """The largest number of tokens that a model has positions for; None where its config states none."""
    positions: int | None = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return positions


def greedy_generation(model: Any, tokenizer: Any) -> GenerationConfig:
    """Greedy decoding that ends at the end tokens of the model, of the tokenizer and of the chat template.

    It replaces the settings of the model's authors (sampling, penalties) and is saved with the student, so that the
    student is served as it was evaluated.
    """
    of_model = model.generation_config.eos_token_id
    ends = {
        *(of_model if isinstance(of_model, list) else [of_model]),
        tokenizer.eos_token_id,
        end_of_turn_id(tokenizer),
    } - {None}
    return GenerationConfig(
        do_sample=False,
        eos_token_id=sorted(ends),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=model.generation_config.bos_token_id,
    )


def best_device() -> torch.device:
    """The GPU of this process where there is one, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", gpu_index(os.environ, torch.cuda.device_count()))


def gpu_index(environ: Mapping[str, str], count: int) -> int:
    """The GPU of this process: that of its local rank. On GPU 0, all processes would load their copy of the model.

    Raises InputError when a machine with `count` GPUs has more processes.
    """
    index = int(environ.get("LOCAL_RANK", "0"))
    if index >= count:
        message = f"this machine has {count} GPU{'s' * (count > 1)}, and each process needs one"
        fix = f"set it to {count}"
        raise InputError(message, code="too_many_processes", field=("compute", "train_processes"), fix=fix)
    return index


def stored_dtype(folder: Path) -> str:
    """The floating-point type that most weights in the folder have, such as "bfloat16".

    Raises DataError when the weights are quantized.
    """
    counts: Counter[str] = Counter()
    source, files = model_folder(folder), weight_files(folder)
    with errors.loading(folder, "model"):
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        for path in files:
            with safe_open(path, "pt") as weights:
                for name in weights.keys():  # noqa: SIM118, not a mapping
                    stored = weights.get_slice(name)
                    counts[stored.get_dtype()] += math.prod(stored.get_shape())
    if getattr(config, "quantization_config", None) is not None:
        raise DataError(
            "its weights are quantized (quantization_config in config.json)",
            subject=f"student {str(folder)!r}",
            code="quantized_student",
            fix="set the folder of the model before quantization; method qlora quantizes it while it trains",
        )
    return FLOAT_TYPES[max(FLOAT_TYPES, key=lambda name: counts[name])]


def best_dtype() -> str:
    """bfloat16 where the GPU computes in it, else float32."""
    device = best_device()
    return "bfloat16" if device.type == "cuda" and has_bfloat16(device) else "float32"


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Show no warnings and progress bars of transformers inside the block."""
    verbosity, progress_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if progress_bars:
            logging.enable_progress_bar()


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the global random generators of Python, numpy and torch after the block."""
    python_state, numpy_state = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def _cast(state_dict: dict[str, torch.Tensor], dtype: torch.dtype) -> dict[str, torch.Tensor]:
    """Copies of the tensors on the CPU. Tied weights share one copy, which save_pretrained then writes once."""
    copies: dict[tuple[Any, ...], torch.Tensor] = {}
    result = {}
    for name, tensor in state_dict.items():
        storage = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if storage not in copies:
            copies[storage] = tensor.to("cpu", dtype if tensor.is_floating_point() else tensor.dtype)
        result[name] = copies[storage]
    return result


def _random_model(folder: Path, seed: int, dtype: str, attention: str | None) -> Any:
    """A model in float32 unless another type is named. The type never changes the random values."""
    source = model_folder(folder)
    with preserve_random_state(), errors.loading(folder, "model"):
        set_seed(seed)
        config = AutoConfig.from_pretrained(source, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_config(
            config, trust_remote_code=False, dtype=torch.float32, attn_implementation=attention
        )
        return model if dtype == "auto" else model.to(getattr(torch, dtype))


def _pretrained_model(folder: Path, dtype: str, attention: str | None, **options: Any) -> Any:
    if not weight_files(folder):
        raise DataError(
            "no *.safetensors next to config.json",
            subject=f"student {str(folder)!r}",
            code="no_weights",
            fix="convert pickled weights to safetensors, or set student.weights: random to train from scratch",
        )
    with errors.loading(folder, "model"):
        model, loading_info = AutoModelForCausalLM.from_pretrained(
            model_folder(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=best_dtype() if dtype == "auto" else dtype,
            attn_implementation=attention,
            output_loading_info=True,
            **options,
        )
    if missing := sorted(loading_info["missing_keys"]):  # transformers only warns and initializes them at random
        raise DataError(
            f"its *.safetensors lack {len(missing)} weights of its architecture, such as {missing[0]!r}",
            subject=f"student {str(folder)!r}",
            code="missing_weights",
            fix="copy the complete model",
        )
    return model


@torch.no_grad()
def _check_causal(folder: Path, model: Any) -> None:
    """Raise DataError for an encoder, such as BERT, in which a token sees those that follow it."""
    first, second, third = (number % model.get_input_embeddings().num_embeddings for number in (5, 6, 7))
    ids = torch.tensor([[first, second], [first, third]], device=model.device)
    logits = model(input_ids=ids).logits[:, 0]
    difference, largest = (logits[0] - logits[1]).abs().max(), logits.abs().max()
    # Rounding only: the experts of a mixture compute other tokens together.
    if difference > largest * (1e-3 if logits.dtype == torch.float32 else 5e-2):
        raise DataError(
            f"{type(model).__name__} is no decoder: its logits depend on the tokens that follow",
            subject=f"student {str(folder)!r}",
            code="not_causal",
            fix="choose a causal language model",
        )


def _check_vocabulary(folder: Path, model: Any, tokenizer: Any) -> None:
    """A model may have more embeddings than its tokenizer has ids (vocabularies are padded), but never fewer."""
    embeddings, ids = model.get_input_embeddings().num_embeddings, max(tokenizer.get_vocab().values()) + 1
    if ids > embeddings:
        raise DataError(
            f"its tokenizer has {ids} ids but its model only {embeddings} embeddings (vocab_size in config.json)",
            subject=f"student {str(folder)!r}",
            code="vocabulary_mismatch",
            fix="use model and tokenizer of the same student",
        )
