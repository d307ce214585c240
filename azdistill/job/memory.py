"""GPU memory of training a student, from the table of measured steps."""

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from azdistill.contracts.train import DEFAULT_BATCH_SIZE, FSDP_OPTIMIZERS, TrainConfig
from azdistill.engine.pipeline.vm_sizes import RECOMMENDED, RECOMMENDED_FOR_SHARDS, VM_SIZES, VmSize, vm_size
from azdistill.job.catalog import StudentFacts, built_in
from azdistill.job.memory_table import Cell, Line, Setting, memory_table
from azdistill.job.run_settings import SERVERLESS, train_processes

if TYPE_CHECKING:
    from azdistill.job.model import DistillationJob

GB = 1e9

# Memory of a GPU that no tensor of a step uses, assumed and not measured: CUDA's context and libraries take about 1 GB,
# and torch's allocator loses some of the rest to fragments and rounding.
RESERVE_GB, RESERVE_FRACTION = 1.0, 0.04

# Bytes per parameter of a student whose architecture is unknown, without activations. full: 6 of weights, 4 of gradient
# and 8 of optimizer in mixed precision with AdamW (transformers' documentation, "GPU memory usage"). lora: weights in
# bfloat16 and adapters of about 1% of them with 16 bytes each. qlora: 4.13 bits of weights, and the same adapters.
# In float32 there is no copy of the weights in bfloat16, and the frozen ones take twice as much.
ROUGH_ADAPTERS = 0.01
ROUGH_BYTES = {
    "bfloat16": {"full": 18.0, "lora": 2.2, "qlora": 0.75},
    "float32": {"full": 16.0, "lora": 4.2, "qlora": 0.75},
}

# Bytes of the state of an 8-bit optimizer per weight: two states of one byte, with a float32 scale for 256 of them.
# Embeddings have states in float32. Source: Trainer.create_optimizer in transformers, Optimizer2State in bitsandbytes.
STATE_8BIT, STATE_32BIT = 2 * (1 + 4 / 256), 8

# Bytes per parameter of a white-box teacher. In 8 and 4 bits, embeddings and head are in 16 bits: about a tenth more.
TEACHER_BYTES = {"8bit": 1.1, "4bit": 0.7}

# Memory that a white-box teacher needs besides its weights, assumed and not measured: activations of one layer at a
# time, and the logits of one chunk. Also that of the student as its own teacher.
TEACHER_ACTIVATIONS_GB = 1.0


# Layers that a sharded training holds at a time: FSDP gathers the next one while one is computed.
GATHERED_LAYERS = 2

# Bytes per weight of the sum of gradients that are sent: FSDP adds them up in float32.
REDUCED_BYTES = 4


@dataclass(frozen=True)
class Memory:
    """GPU memory that training needs, in GB by part. `during` is the part of a step in which it is largest. A rough
    estimate has the parameters only, and no activations."""

    parts: Mapping[str, float]
    during: str
    is_rough: bool

    @property
    def total_gb(self) -> float:
        return sum(self.parts.values())


@dataclass(frozen=True)
class Training:
    """A training whose memory is estimated: the student, the settings, and the GPU of each process.

    `measured` is the student's name in the table, None if it is not there. `gpu` is None where the VM size is unknown;
    a GPU with bfloat16 is assumed then. `teachers` are the parameters of the white-box teachers whose size is known,
    in billions. `served` is the fraction of the GPU memory of a scoring teacher that is served next to the training.
    """

    student: StudentFacts
    measured: str | None
    config: TrainConfig
    gpu: VmSize | None
    processes: int = 1
    teachers: tuple[float, ...] = ()
    served: float = 0.0

    def with_settings(self, **settings: object) -> "Training":
        """The same training with other settings."""
        return replace(self, config=self.config.model_copy(update=settings))

    @property
    def shards(self) -> int:
        """Number of GPUs that weights, gradients and optimizer state are divided among."""
        return self.processes if self.config.is_sharded else 1

    @property
    def rows(self) -> int:
        """Rows of max_length in a batch that is computed at a time: a row is never divided."""
        rows = self.config.batch_size or DEFAULT_BATCH_SIZE
        return math.ceil(rows / self.config.gradient_accumulation_steps)

    def memory(self, rows: int | None = None, length: int | None = None) -> Memory | None:
        """Memory for a batch of `rows` rows of `length` tokens, by default the largest of the settings.

        None for a student whose size is unknown.
        """
        cell = self._cell()
        if cell is None:
            memory = self._rough()
        else:
            memory = self._measured(cell, rows or self.rows, length or self.config.max_length)
        others = {**self._teacher_parts(), **self._self_teacher_parts()}
        if self.served and self.gpu and self.gpu.gpu_memory_gb:
            others["scoring teacher"] = self.served * self.gpu.gpu_memory_gb
        return memory and replace(memory, parts={**memory.parts, **others})

    def fits(self, rows: int | None = None, length: int | None = None) -> bool | None:
        """True if one GPU has the memory. None if the GPU or the size of the student is unknown."""
        memory = self.memory(rows, length)
        return None if memory is None or self.gpu is None else memory.total_gb <= self.gpu.gpu_memory_gb

    def largest_rows(self, most: int) -> int:
        """The largest number of rows of max_length that fits, at most `most`. 0 if none does."""
        return bisect_left(range(1, most + 1), True, key=lambda rows: not self.fits(rows))

    def largest_length(self, most: int) -> int:
        """The length of the longest single row that fits, at most `most` tokens, in steps of 64. 0 if none does."""
        return 64 * bisect_left(range(64, most + 1, 64), True, key=lambda length: not self.fits(1, length))

    def smallest_vm(self) -> str | None:
        """The first recommended VM size whose GPU has the memory. None if no size has, or the student is unknown.

        A GPU without bfloat16, for which the student is not measured, is left out.
        """
        memory_here = self.memory()
        candidates = ((name, replace(self, gpu=VM_SIZES[name])) for name in RECOMMENDED)
        return next(
            (
                name
                for name, training in candidates
                if memory_here
                and (memory := training.memory())
                and memory.is_rough == memory_here.is_rough
                and training.fits()
            ),
            None,
        )

    def sharded(self) -> "Training":
        """The same training divided among its processes: as it is set, or by FSDP."""
        return self if self.config.is_sharded else self.with_settings(sharding="fsdp")

    def smallest_vm_for_shards(self) -> str | None:
        """The first recommended VM size with several GPUs that hold the training together."""
        candidates = ((name, VM_SIZES[name]) for name in RECOMMENDED_FOR_SHARDS)
        sharded = ((name, replace(self, gpu=size, processes=size.gpus).sharded()) for name, size in candidates)
        can_shard = self.config.method != "qlora" and self.config.optimizer in FSDP_OPTIMIZERS
        return next((name for name, training in sharded if can_shard and training.fits()), None)

    @property
    def precision(self) -> str:
        if self.config.precision != "auto":
            return self.config.precision
        return "bfloat16" if self.gpu is None or self.gpu.bfloat16 else "float32"

    def _setting(self) -> Setting:
        config, precision = self.config, self.precision
        method = "full" if config.method == "auto" else config.method
        in_float32 = precision == "float32" or (method == "full" and config.float32_master_weights)
        weights = "4-bit" if method == "qlora" else "float32" if in_float32 else "bfloat16"
        return Setting(method, precision, weights, bool(config.gradient_checkpointing))

    def _cell(self) -> Cell | None:
        """The measured cell. None for a student that is not in the table, and for attention with a matrix of all pairs
        of tokens, which is not measured."""
        if self.measured is None or self.config.attn_implementation == "eager":
            return None
        setting, table = self._setting(), memory_table()
        if setting.precision == "bfloat16" or table.cell(self.measured, setting):
            return table.cell(self.measured, setting)
        weights = "bfloat16" if setting.method == "lora" else setting.weights
        return _in_float32(table.cell(self.measured, setting._replace(precision="bfloat16", weights=weights)))

    def _teacher_parts(self) -> dict[str, float]:
        """Each process has all teachers."""
        if not self.teachers:
            return {}
        config = self.config
        in_bfloat16 = config.teacher_dtype == "bfloat16" or (
            config.teacher_dtype == "auto" and (self.gpu is None or self.gpu.bfloat16)
        )
        item_size = TEACHER_BYTES.get(config.teacher_quantization, 2 if in_bfloat16 else 4)
        size = sum(self.teachers) * item_size + TEACHER_ACTIVATIONS_GB * len(self.teachers)
        return {"white-box teachers": size}

    def _self_teacher_parts(self) -> dict[str, float]:
        """The moving average of the trained weights, and the forward pass that scores the student's own answers."""
        if self.config.on_policy is None or not self.config.is_self_taught:
            return {}
        cell, is_full = self._cell(), self._setting().method == "full"
        trained = (self.student.parameters or 0) * GB * (1 if is_full else ROUGH_ADAPTERS)
        if cell is not None:
            trained = cell.trained * self._adapter_scale()
        item_size = 4 if self.config.float32_master_weights or not is_full else self._item_size()
        has_average = self.config.on_policy.teacher_decay > 0
        return {"self-distillation": trained * item_size * has_average / GB + TEACHER_ACTIVATIONS_GB}

    def _rough(self) -> Memory | None:
        facts, method = self.student, self._setting().method
        size = facts.parameters and facts.parameters * ROUGH_BYTES[self.precision][method]
        if method == "full" and facts.memory:
            size = facts.memory
        return Memory({"weights, gradients, optimizer": size / self.shards}, "", True) if size else None

    def _measured(self, cell: Cell, rows: int, length: int) -> Memory:
        parts_of = self._sharded_parts if self.shards > 1 else self._parts
        every_line = [parts_of(cell, line.parts(rows, length, cell.chunk)) for line in cell.lines]
        largest = max(range(len(every_line)), key=lambda index: sum(every_line[index].values()))
        parts = {name: size / GB for name, size in every_line[largest].items()}
        return Memory(parts | {"reserve": self._reserve()}, cell.lines[largest].during, False)

    def _parts(self, cell: Cell, parts: dict[str, float]) -> dict[str, float]:
        """Bytes by part, with the settings that the cell does not have."""
        scale = self._adapter_scale()
        gradients = cell.gradients * scale
        # The gradients of the batches before are there from the start.
        of_batches = gradients if self.config.gradient_accumulation_steps > 1 else parts["gradients"] * scale
        # Each process has the gradients in the buckets that it sends, too: gradient_as_bucket_view is off.
        buckets = gradients if self.processes > 1 else 0
        more_adapters = 4 * cell.trained * (scale - 1)
        return {
            "weights": parts["weights"] + more_adapters,
            "gradients": of_batches + buckets,
            "optimizer": self._optimizer(cell) * scale,
            "activations": parts["activations"],
            "logits": parts["logits"],
        }

    def _sharded_parts(self, cell: Cell, parts: dict[str, float]) -> dict[str, float]:
        """Bytes by part of one GPU. Computed: the cells are measured without sharding.

        A GPU has its part of everything, the layers that are gathered at a time, embeddings and head, and the gradients
        of one layer until they are divided. Activations and logits are those of its own batch.
        """
        assert self.measured is not None
        units, scale, item_size = memory_table().units[self.measured], self._adapter_scale(), self._item_size()
        weights = min(line.weights for line in cell.lines) + 4 * cell.trained * (scale - 1)
        gradients = cell.gradients if self.config.gradient_accumulation_steps > 1 else parts["gradients"]
        is_full = self._setting().method == "full"
        if is_full and self.config.sharding == "deepspeed":
            weights += item_size * cell.trained  # ZeRO has the weights in the type of the arithmetic, too
        return {
            "weights": weights / self.shards,
            "gathered layers": item_size * (GATHERED_LAYERS * units.layer + units.ends),
            "gradients": gradients * scale / self.shards + (item_size + REDUCED_BYTES) * units.layer * is_full,
            "optimizer": self._optimizer(cell) * scale / self.shards,
            "activations": parts["activations"],
            "logits": parts["logits"],
        }

    def _item_size(self) -> int:
        """Bytes of a weight in the type of the arithmetic."""
        return 2 if self.precision == "bfloat16" else 4

    def _adapter_scale(self) -> float:
        return 1.0 if self._setting().method == "full" else self.config.lora_rank / memory_table().lora_rank

    def _optimizer(self, cell: Cell) -> float:
        if self.config.optimizer == "adafactor":  # a row and a column for each matrix
            return 0.0
        if self.config.optimizer == "adamw_torch_fused":
            return cell.optimizer
        return STATE_8BIT * (cell.trained - cell.embeddings) + STATE_32BIT * cell.embeddings

    def _reserve(self) -> float:
        return RESERVE_GB + RESERVE_FRACTION * (self.gpu.gpu_memory_gb if self.gpu else 0)


def _in_float32(cell: Cell | None) -> Cell | None:
    """An upper bound for float32, where it is not measured: twice the memory of activations and of weights.

    A full training has its weights in float32 already.
    """
    if cell is None:
        return None
    factor = 1 if cell.embeddings else 2
    return cell._replace(lines=tuple(_twice(line, factor) for line in cell.lines))


def _twice(line: Line, factor: int) -> Line:
    constant, per_token, per_pair = (2 * size for size in line.activations)
    return line._replace(weights=factor * line.weights, activations=(constant, per_token, per_pair))


def gpu_of(job: "DistillationJob") -> VmSize | None:
    """The VM size of step train. None on a cluster, or if it is not in the table of sizes."""
    return vm_size(job.compute.gpu_instance_type) if job.compute.gpu == SERVERLESS else None


def training_of(job: "DistillationJob") -> Training | None:
    """The training of a job, as it is set. None for a student that no catalog has."""
    facts, name = job.known.student(job.student.model), job.known.student_name(job.student.model)
    if facts is None:
        return None
    user_facts = job.catalog.student(name or "")
    measured = None if user_facts and (user_facts.memory or user_facts.parameters) else name
    teachers = tuple(size for teacher in job.white_box if (size := _parameters(job, teacher.model)))
    served = job.scorer.gpu_memory if job.scorer and job.scorer.model else 0.0
    return Training(facts, measured, job.train, gpu_of(job), train_processes(job.compute), teachers, served)


def scorer_gb(job: "DistillationJob") -> float | None:
    """GB of the weights of a scoring teacher that is served next to the training, in 16 bits. None if unknown."""
    parameters = _parameters(job, job.scorer.model) if job.scorer and job.scorer.model else None
    return parameters and 2 * parameters


def _parameters(job: "DistillationJob", model: str) -> float | None:
    """Billions of parameters of a teacher on the GPU, if the catalog has it as a student or as a teacher."""
    facts = job.known.student(model) or job.known.teacher(model)
    return facts.parameters if facts else None


def teachers_of_unknown_size(job: "DistillationJob") -> list[tuple[int, str]]:
    """Index and model of the white-box teachers whose memory is not counted."""
    return [(n, teacher.model) for n, teacher in enumerate(job.white_box) if _parameters(job, teacher.model) is None]


def prediction_gb(student: StudentFacts, gpu: VmSize) -> float | None:
    """GB that step predict needs at least on a GPU: the weights, as it loads them, and the reserve. The cache of the
    batch is not counted. None if the student's size is unknown."""
    if student.parameters is None:
        return None
    return student.parameters * (2 if gpu.bfloat16 else 4) + RESERVE_GB + RESERVE_FRACTION * gpu.gpu_memory_gb


def vm_for_prediction(student: StudentFacts) -> str | None:
    """The first recommended VM size whose GPU has that memory. None if no size has, or the size is unknown."""
    needed = ((name, prediction_gb(student, VM_SIZES[name])) for name in RECOMMENDED)
    return next((name for name, gb in needed if gb and gb <= VM_SIZES[name].gpu_memory_gb), None)


def training_of_pipeline(document: Mapping[str, Any]) -> Training | None:
    """The training of a compiled pipeline on an unknown GPU. None without a student of the built-in catalog."""
    inputs, node = document.get("inputs", {}), document["jobs"].get("train")
    port = inputs.get("student")
    address = str(port.get("path", "")) if isinstance(port, dict) else ""
    facts, name = built_in().student(address), built_in().student_name(address)
    if facts is None or not isinstance(node, dict):
        return None
    bound = {f"${{{{parent.inputs.{name}}}}}": value for name, value in inputs.items()}
    settings = {name: bound.get(value, value) for name, value in node.get("inputs", {}).items()}
    try:
        config = TrainConfig.model_validate({k: v for k, v in settings.items() if k in TrainConfig.model_fields})
    except ValidationError:  # the pipeline was edited, and its own checks report the value
        return None
    distribution, resources = node.get("distribution") or {}, node.get("resources") or {}
    processes = int(distribution.get("process_count_per_instance", 1)) * int(resources.get("instance_count", 1))
    return Training(facts, name, config.resolved(), None, processes)
