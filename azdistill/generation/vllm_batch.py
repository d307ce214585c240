"""Answers of vLLM to tokenized prompts, for step predict.

vLLM runs in a process of its own, which frees the GPU when it ends. Not run on a GPU yet.
"""

import importlib.util
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_json, write_json
from azdistill.contracts.predict import Engine
from azdistill.generation import vllm_process
from azdistill.generation.generate import GeneratedAnswer, generate
from azdistill.students.folders import adapter_base, model_folder
from azdistill.students.loading import Student, max_positions
from azdistill.students.vllm import ENVIRONMENT

logger = logging.getLogger("azdistill.generation")

# Rows that transformers answers too, and the fraction that has to have the same tokens. Rounding in bfloat16 changes
# some long answers; another prompt or another end token would change nearly all.
SAMPLE, LEAST_AGREEMENT = 16, 0.75

# Part of the free memory of the GPU, on which the student is loaded too.
MEMORY_FRACTION = 0.9


@dataclass(frozen=True)
class VllmAnswers:
    """Answers in the order of the prompts. `agreement` is the fraction of the sample with transformers' tokens."""

    answers: list[GeneratedAnswer]
    agreement: float


def use_vllm(student: Student, engine: Engine) -> bool:
    """True if vLLM generates the answers: `auto` means where it is installed and there is a GPU.

    Raises InputError if it is asked for and not installed.
    """
    is_installed = importlib.util.find_spec("vllm") is not None
    has_model = student.folder is not None and adapter_base(student.folder) is None
    if engine == "auto":
        return is_installed and has_model and torch.cuda.is_available()
    if engine == "vllm" and not (is_installed and has_model):
        raise InputError(
            "vLLM is not installed" if has_model else "vLLM needs the folder of a complete model",
            field=("predict", "engine"),
            value=engine,
            code="no_vllm",
            fix="set it to transformers",
        )
    return engine == "vllm"


def answers_of_vllm(
    student: Student, prompts: Sequence[list[int]], max_new_tokens: int, batch_size: int, engine: Engine
) -> VllmAnswers | None:
    """Answers to tokenized prompts; None where vLLM's answers are not those of transformers.

    A sample of the rows is answered by both. If vLLM fails, raises AzdistillError, with the engine `auto` None.
    """
    try:
        answers = _run(student, prompts, max_new_tokens)
    except AzdistillError as error:
        if engine != "auto":
            raise
        logger.warning("predict: %s; transformers generates the answers", error)
        return None
    count = min(SAMPLE, len(prompts))
    sample = [number * len(prompts) // count for number in range(count)]
    expected = generate(student, [prompts[index] for index in sample], max_new_tokens, batch_size)
    same = sum(answers[index] == answer for index, answer in zip(sample, expected, strict=True))
    agreement = same / count if count else 1.0
    if agreement < LEAST_AGREEMENT:
        logger.warning("predict: vLLM gave %d of %d answers of transformers, which generates all of them", same, count)
        return None
    logger.info("predict: vLLM gave %d of %d answers of transformers", same, count)
    return VllmAnswers(answers, agreement)


def _run(student: Student, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
    """Answers of a new process. An answer ends at the last position of the model."""
    assert student.folder is not None
    positions = max_positions(student.model) or sys.maxsize
    limits = [min(max_new_tokens, positions - len(prompt)) for prompt in prompts]
    request = {
        "model": str(model_folder(student.folder)),
        "dtype": str(student.model.dtype).removeprefix("torch."),
        "max_model_len": max((len(prompt) + limit for prompt, limit in zip(prompts, limits, strict=True)), default=1),
        "gpu_memory_utilization": _memory_fraction(),
        "ends": list(student.model.generation_config.eos_token_id),
        "prompts": [prompt for prompt, limit in zip(prompts, limits, strict=True) if limit > 0],
        "limits": [limit for limit in limits if limit > 0],
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_json(folder / "request.json", request)
        command = [
            sys.executable,
            "-m",
            vllm_process.__name__,
            str(folder / "request.json"),
            str(folder / "answers.json"),
        ]
        done = subprocess.run(
            command,
            env={**os.environ, **ENVIRONMENT, "VLLM_LOGGING_LEVEL": "ERROR"},
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stderr)
            raise AzdistillError(
                f"vLLM ended with exit code {done.returncode}; its messages are above",
                code="vllm_failed",
                fix="set predict.engine to transformers",
            )
        generated = iter(read_json(folder / "answers.json"))
    empty = GeneratedAnswer([], truncated=True)
    return [GeneratedAnswer(*next(generated)) if limit > 0 else empty for limit in limits]


def _memory_fraction() -> float:
    """Part of the GPU's memory for vLLM, which the loaded student leaves."""
    if not torch.cuda.is_available():
        return MEMORY_FRACTION
    free, total = torch.cuda.mem_get_info()
    return MEMORY_FRACTION * free / total
