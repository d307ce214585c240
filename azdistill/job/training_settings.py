"""Choose the settings of a training that the job leaves open, and settings with which it fits the GPU."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from azdistill.contracts.train import AUTO_BATCH_SIZE, DEFAULT_BATCH_SIZE, FSDP_OPTIMIZERS, TrainConfig
from azdistill.job.memory import Training, training_of

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

# Most rows that batch_size: auto chooses.
MAX_AUTO_ROWS = 64

Method = Literal["full", "lora", "qlora"]
METHODS: tuple[Method, ...] = ("full", "lora", "qlora")


@dataclass(frozen=True)
class ChosenSettings:
    """The settings of a training without `auto`, and the reason for each that was `auto`, by field."""

    config: TrainConfig
    reasons: Mapping[str, str]


# The fields that are chosen, and the value of each that leaves it open.
CHOSEN = {"method": "auto", "sharding": "auto", "gradient_checkpointing": None, "batch_size": AUTO_BATCH_SIZE}


def choose_settings(job: "DistillationJob") -> ChosenSettings:
    """Choose method, sharding, gradient_checkpointing and batch_size where the job does not set them. Pure.

    The first that has space for a batch of rows of max_length: full, lora, qlora, each without and with gradient
    checkpointing, and then, on several GPUs, sharded by FSDP. The last of them where none has. Where the student or the
    GPU is unknown: full, without both, and 8 rows.
    """
    training = training_of(job)
    open_fields = [name for name, value in CHOSEN.items() if getattr(job.train, name) == value]
    if not open_fields:
        return ChosenSettings(job.train.resolved(), {})
    if training is None or training.fits() is None:
        unknown = "the size of the student" if training is None or training.memory() is None else "the GPU"
        return ChosenSettings(job.train.resolved(), dict.fromkeys(open_fields, f"{unknown} is unknown"))
    chosen = _first_that_fits(training)
    if "batch_size" in open_fields:
        chosen = chosen.with_settings(batch_size=_most_rows(chosen))
    reasons = {name: _reason(name, training, chosen) for name in open_fields}
    return ChosenSettings(chosen.config.resolved(), reasons)


def _first_that_fits(training: Training) -> Training:
    candidates = list(_candidates(training))
    wanted = [training.rows, *([] if training.config.batch_size else [1])]
    fitting = (candidate for rows in wanted for candidate in candidates if candidate.fits(rows))
    return next(fitting, candidates[-1])


def _candidates(training: Training) -> Iterator[Training]:
    """The training with each method, sharding and checkpointing that may be chosen, the best first."""
    config = training.config
    for method in METHODS if config.method == "auto" else (config.method,):
        for sharding in _shardings(training, method) if config.sharding == "auto" else (config.sharding,):
            for is_on in (False, True) if config.gradient_checkpointing is None else (config.gradient_checkpointing,):
                yield training.with_settings(method=method, sharding=sharding, gradient_checkpointing=is_on)


def _shardings(training: Training, method: str) -> tuple[str, ...]:
    """Weights in 4 bits are not divided, and FSDP cannot divide the states of other optimizers than AdamW."""
    can_shard = training.processes > 1 and method != "qlora" and training.config.optimizer in FSDP_OPTIMIZERS
    return ("none", "fsdp") if can_shard else ("none",)


def _most_rows(training: Training) -> int:
    """Rows of a batch that fit. A rough estimate does not depend on them."""
    memory = training.memory()
    if memory is None or memory.is_rough:
        return DEFAULT_BATCH_SIZE
    return max(training.largest_rows(MAX_AUTO_ROWS), 1) * training.config.gradient_accumulation_steps


def _reason(field: str, training: Training, chosen: Training) -> str:
    """The reason why `chosen` has this value of a field that is open in `training`."""
    length = f"of {chosen.config.max_length:,} tokens"
    if field == "sharding":
        return _reason_of_sharding(training, chosen)
    if field == "batch_size":
        return f"the most rows {length} that one GPU holds, at most {MAX_AUTO_ROWS}"
    batch = f"for {chosen.rows} rows {length}"
    if field == "method":
        others = METHODS[: METHODS.index(chosen.config.method)]
        needs = [f"{name} needs {_least_gb(training, name, chosen.rows):,.0f} GB" for name in others]
        return f"{' and '.join(needs)} {batch}" if needs else f"the first that is tried, and it fits {batch}"
    without = chosen.with_settings(gradient_checkpointing=False).memory()
    needed = f"{without.total_gb:,.0f} GB without it" if without else ""
    return f"{needed} {batch}"


def _reason_of_sharding(training: Training, chosen: Training) -> str:
    if training.processes == 1:
        return "one process trains"
    if chosen.config.is_sharded:
        unsharded = chosen.with_settings(sharding="none").memory()
        needed = f"{unsharded.total_gb:,.0f} GB without it" if unsharded else ""
        return f"{needed} for {chosen.rows} rows of {chosen.config.max_length:,} tokens"
    return "a GPU holds the complete training" if chosen.fits() else "it is not enough"


def _least_gb(training: Training, method: Method, rows: int) -> float:
    """Memory of a method with the settings that may be chosen and need the least."""
    candidates = _candidates(training.with_settings(method=method))
    return min(memory.total_gb for candidate in candidates if (memory := candidate.memory(rows)))


def what_would_fit(training: Training) -> Iterator[str]:
    """Changes of a training that does not fit, each of which is enough: settings first, a larger VM last.

    A VM with several GPUs is named where nothing else keeps the method.
    """
    config = training.config
    of_settings = [*_less_memory(training), *_sharded(training)]
    yield from of_settings
    for method in METHODS[METHODS.index(config.method) + 1 :]:
        ends_sharding = method == "qlora" and config.is_sharded
        if training.with_settings(method=method, **{"sharding": "none"} if ends_sharding else {}).fits():
            yield f"set train.method to {method}{' and train.sharding to none' if ends_sharding else ''}"
            break
    if not config.is_sharded and (vm := training.smallest_vm()):
        yield f"use {vm}"
    elif not of_settings and (vm := training.smallest_vm_for_shards()):
        yield f"use {vm}{'' if config.is_sharded else ' and set train.sharding to fsdp'}"


def _less_memory(training: Training) -> Iterator[str]:
    """Settings that need less memory."""
    memory = training.memory()
    if not training.config.gradient_checkpointing and training.with_settings(gradient_checkpointing=True).fits():
        yield "set train.gradient_checkpointing to true"
    if memory and not memory.is_rough:
        yield from _smaller_batch(training)


def _sharded(training: Training) -> Iterator[str]:
    """Divide the training among all GPUs of the VM."""
    gpus = training.gpu.gpus if training.gpu else 1
    changes = ["train.sharding to fsdp"] * (not training.config.is_sharded)
    if training.processes < gpus:
        changes.append(f"compute.train_processes to {gpus}")
    every_gpu = replace(training, processes=max(training.processes, gpus))
    if changes and "fsdp" in _shardings(every_gpu, training.config.method) and every_gpu.sharded().fits():
        yield f"set {' and '.join(changes)}"


def _smaller_batch(training: Training) -> Iterator[str]:
    """The same batch in several steps, which keeps its gradients meanwhile, or a batch of fewer rows."""
    steps = training.config.gradient_accumulation_steps
    if rows := training.with_settings(gradient_accumulation_steps=steps + 1).largest_rows(training.rows - 1):
        enough = math.ceil(training.config.batch_size / rows)
        yield f"set train.gradient_accumulation_steps to {max(enough, steps + 1)}"
    elif rows := training.largest_rows(training.rows - 1):
        yield f"set train.batch_size to {rows * training.config.gradient_accumulation_steps}"
