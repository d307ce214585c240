"""Load a student: safetensors only, never code from its folder, never from a hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, set_seed
from transformers.utils import logging

from azdistill.contracts.errors import DataError
from azdistill.students.folders import model_part, tokenizer_part, weight_files

Weights = Literal["pretrained", "random"]


@dataclass(frozen=True)
class Student:
    """A causal language model on its device, and its tokenizer."""

    model: Any
    tokenizer: Any

    @property
    def device(self) -> torch.device:
        found: torch.device = self.model.device
        return found

    def save(self, folder: Path, dtype: str) -> None:
        """Write safetensors, config and tokenizer; `dtype` is that of the weights on disk."""
        self.model.to(getattr(torch, dtype)).save_pretrained(folder, safe_serialization=True)
        self.tokenizer.save_pretrained(folder)


def load_student(folder: Path, weights: Weights = "pretrained", seed: int = 0, dtype: str = "auto") -> Student:
    """The model and tokenizer of a folder, on the GPU where there is one.

    `weights="random"` reads the architecture only and draws the weights from `seed`.
    Raises DataError for a folder that holds no such model.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = load_tokenizer(folder)
    try:
        model = _random(folder, seed) if weights == "random" else _pretrained(folder, dtype)
    except (OSError, ValueError, KeyError) as problem:
        raise DataError(f"student {str(folder)!r}: not a model that can be loaded ({_first_line(problem)})") from None
    return Student(model.to(best_device()).eval(), tokenizer)


def load_tokenizer(folder: Path) -> Any:
    """Padding goes to the left, so that answers end side by side. Raises DataError."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            tokenizer_part(folder), local_files_only=True, trust_remote_code=False, padding_side="left"
        )
    except (OSError, ValueError, KeyError) as problem:
        raise DataError(f"student {str(folder)!r}: no usable tokenizer ({_first_line(problem)})") from None
    if not tokenizer.chat_template:
        raise DataError(f"student {str(folder)!r}: its tokenizer has no chat_template; take a chat or instruct model")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def best_device() -> torch.device:
    """The GPU of this process where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype() -> str:
    """bfloat16 where the GPU has it, else float32."""
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _random(folder: Path, seed: int) -> Any:
    set_seed(seed)
    config = AutoConfig.from_pretrained(model_part(folder), local_files_only=True, trust_remote_code=False)
    return AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=torch.float32)


def _pretrained(folder: Path, dtype: str) -> Any:
    if not weight_files(folder):
        raise DataError(
            f"student {str(folder)!r}: no *.safetensors beside config.json; convert pickled weights to safetensors, "
            "or set student.weights: random to start from scratch"
        )
    return AutoModelForCausalLM.from_pretrained(
        model_part(folder),
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=True,
        dtype=best_dtype() if dtype == "auto" else dtype,
    )


def _first_line(problem: Exception) -> str:
    return str(problem).strip().partition("\n")[0]
