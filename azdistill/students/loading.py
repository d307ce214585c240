"""Load a student: safetensors only, never code from its folder, never from a hub."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig, set_seed
from transformers.utils import logging

from azdistill.contracts.errors import DataError
from azdistill.students.folders import model_part, weight_files
from azdistill.students.problems import reading, writing
from azdistill.students.template import end_mark
from azdistill.students.tokenizer import load_tokenizer

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
        with writing(folder, "the student"):
            self.model.to(getattr(torch, dtype)).save_pretrained(folder)
            self.tokenizer.save_pretrained(folder)


def load_student(folder: Path, weights: Weights = "pretrained", seed: int = 0, dtype: str = "auto") -> Student:
    """The model and tokenizer of a folder, on the GPU where there is one.

    `weights="random"` reads the architecture only and draws the weights from `seed`.
    Raises DataError for a folder that holds no such model.
    """
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    tokenizer = load_tokenizer(folder)
    model = _random(folder, seed) if weights == "random" else _pretrained(folder, dtype)
    _check_vocabulary(folder, model, tokenizer)
    model.generation_config = greedy(model, tokenizer)
    return Student(model.to(best_device()).eval(), tokenizer)


def greedy(model: Any, tokenizer: Any) -> GenerationConfig:
    """The likeliest word each time, until the model's own marks, the tokenizer's or the template's end the answer.

    It replaces what the model's authors advise (sampling, penalties), and is saved with the
    student: what is served is what was evaluated.
    """
    own = model.generation_config.eos_token_id
    marks = {*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id, end_mark(tokenizer)} - {None}
    return GenerationConfig(
        do_sample=False,
        eos_token_id=sorted(marks),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=model.generation_config.bos_token_id,
    )


def best_device() -> torch.device:
    """The GPU of this process where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def best_dtype() -> str:
    """bfloat16 where the GPU has it, else float32."""
    return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"


def _random(folder: Path, seed: int) -> Any:
    place = model_part(folder)
    set_seed(seed)
    with reading(folder, "model"):
        config = AutoConfig.from_pretrained(place, local_files_only=True, trust_remote_code=False)
        return AutoModelForCausalLM.from_config(config, trust_remote_code=False, dtype=torch.float32)


def _pretrained(folder: Path, dtype: str) -> Any:
    if not weight_files(folder):
        raise DataError(
            f"student {str(folder)!r}: no *.safetensors beside config.json; convert pickled weights to safetensors, "
            "or set student.weights: random to start from scratch"
        )
    with reading(folder, "model"):
        model, found = AutoModelForCausalLM.from_pretrained(
            model_part(folder),
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=best_dtype() if dtype == "auto" else dtype,
            output_loading_info=True,
        )
    if missing := sorted(found["missing_keys"]):  # transformers would go on with random ones
        raise DataError(
            f"student {str(folder)!r}: {len(missing)} weights of its architecture are in no *.safetensors "
            f"(the first is {missing[0]!r}); copy the whole model"
        )
    return model


def _check_vocabulary(folder: Path, model: Any, tokenizer: Any) -> None:
    """A model may know more ids than its tokenizer has (rows added to round the number), never fewer."""
    rows, ids = model.get_input_embeddings().num_embeddings, max(tokenizer.get_vocab().values()) + 1
    if ids > rows:
        raise DataError(
            f"student {str(folder)!r}: its tokenizer has {ids} ids and its model knows {rows} "
            "(vocab_size in config.json); take both from the same model"
        )
