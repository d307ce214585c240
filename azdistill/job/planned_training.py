"""Settings and GPU memory of the training of a job, for its estimate."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from azdistill.job.memory import Memory, Training, gpu_of, training_of
from azdistill.job.model import DistillationJob
from azdistill.job.planned_requests import CHARACTERS, SampledFile, added_characters
from azdistill.job.run_settings import SERVERLESS, train_processes
from azdistill.job.training_settings import choose_settings, what_would_fit

# Largest batch that is looked for.
MOST_ROWS = 1024


@dataclass(frozen=True)
class PlannedTraining:
    """Settings and GPU memory of the training. Memory is in GB, of one GPU: each holds a complete student unless it is
    sharded. `processes` is the number of GPUs that train together.

    `reasons` say why a setting was chosen that the job leaves open. `parts` are those of `needed_gb`, which is the
    largest `during` a part of a step, for a batch of `rows` rows of `length` tokens: the largest that the settings
    allow. `largest_rows` (of `length` tokens) and `largest_length` (of one row) fit. `rows_gb` is the memory for rows
    of `rows_length` tokens, which is the most that the rows of the job have on average. `is_rough` is true where the
    architecture is not measured: then the memory is that of the parameters only. `fixes` make it fit. None if unknown.
    """

    method: str
    sharding: str
    processes: int
    gradient_checkpointing: bool
    batch_size: int
    reasons: Mapping[str, str]
    rows: int
    length: int
    needed_gb: float | None = None
    parts: Mapping[str, float] | None = None
    during: str = ""
    is_rough: bool = False
    vm: str | None = None
    vm_gb: int | None = None
    fits: bool | None = None
    largest_rows: int | None = None
    largest_length: int | None = None
    rows_length: int | None = None
    rows_gb: float | None = None
    fixes: tuple[str, ...] = ()


def planned_training(job: DistillationJob, sampled: Mapping[str, SampledFile]) -> PlannedTraining:
    """Settings and memory of the training. `sampled` has the files with rows by split."""
    choice = choose_settings(job)
    config, unsized = choice.config, training_of(job)
    training = unsized and unsized.with_settings(**dict(config))
    planned = PlannedTraining(
        config.method,
        config.sharding,
        train_processes(job.compute),
        bool(config.gradient_checkpointing),
        config.batch_size,
        choice.reasons,
        rows=math.ceil(config.batch_size / config.gradient_accumulation_steps),
        length=config.max_length,
        vm=job.compute.gpu_instance_type if job.compute.gpu == SERVERLESS else None,
        vm_gb=gpu.gpu_memory_gb if (gpu := gpu_of(job)) else None,
    )
    memory = training.memory() if training else None
    if training is None or memory is None:
        return planned
    planned = replace(planned, needed_gb=memory.total_gb, is_rough=memory.is_rough, fits=training.fits())
    if training.fits() is False:
        planned = replace(planned, fixes=tuple(what_would_fit(training)))
    return planned if memory.is_rough else replace(planned, **_measured(job, training, memory, sampled))


def _measured(
    job: DistillationJob, training: Training, memory: Memory, sampled: Mapping[str, SampledFile]
) -> dict[str, Any]:
    """The fields of a training whose student is measured."""
    length = _row_tokens(job, sampled["train"]) if "train" in sampled else None
    typical = training.memory(length=length) if length else None
    fields: dict[str, Any] = {
        "parts": memory.parts,
        "during": memory.during,
        "rows_length": length,
        "rows_gb": typical and typical.total_gb,
    }
    if training.gpu is None:
        return fields
    context = training.student.context or training.config.max_length
    return fields | {
        "largest_rows": training.largest_rows(MOST_ROWS),
        "largest_length": training.largest_length(context),
    }


def _row_tokens(job: DistillationJob, sampled: SampledFile) -> int:
    """The most tokens that a training row has on average: of its prompt, and of the longest answer."""
    prompt = (sampled.characters + added_characters(job.teacher.prompting)) / CHARACTERS[0]
    return min(math.ceil(prompt) + job.teacher.max_tokens, job.train.max_length)
