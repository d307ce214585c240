"""Estimate a job before it runs: nodes, rows, tokens, cost and memory. Reads local files only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.prompting import render
from azdistill.contracts.rows import Message
from azdistill.contracts.teacher import Prompting, Teacher
from azdistill.engine.pipeline import expressions
from azdistill.engine.pipeline.vm_sizes import vm_size
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.job.plan import plan
from azdistill.job.samples import count_rows, first_rows, reference_in, row_texts

# Minimum and maximum characters of a token, as measured on European languages.
CHARACTERS = (3, 5)

# Rows of each file whose length is measured; the others are counted only.
SAMPLE = 200

# Minimum tokens of a chain of thought: two sentences.
THOUGHT_TOKENS = 30

# Summaries of a chain of density, each about as long as the answer.
DRAFTS = 5

MILLION = 1_000_000
SPLITS = {"train": "training_data", "validation": "validation_data", "test": "test_data"}


@dataclass(frozen=True)
class Range:
    """A minimum and a maximum."""

    low: float
    high: float


@dataclass(frozen=True)
class EstimatedNode:
    """A node, its dependencies, its compute and its time limit in seconds.

    `instance_type` is None on a cluster, which has its own.
    """

    name: str
    after: tuple[str, ...]
    compute: str
    instance_type: str | None
    timeout: int


@dataclass(frozen=True)
class Memory:
    """GPU memory in GB: of full fine-tuning of the student without activations, and of one GPU of the VM: with several
    GPUs, each holds a complete model. None is unknown."""

    needed_gb: float | None
    vm: str | None
    vm_gb: int | None
    fits: bool | None
    smallest_vm: str | None


@dataclass(frozen=True)
class PlannedTeacher:
    """Estimate of one teacher. `asked` is the number of paid answers. `cost` is in the currency of the prices and
    at most the budget; None without prices."""

    name: str
    asked: Range
    input_tokens: Range
    output_tokens: Range
    cost: Range | None


@dataclass(frozen=True)
class Estimate:
    """Estimate of a job.

    `rows` is the number of rows by split, None for a remote file. `asked`, `input_tokens`, `output_tokens` and `cost`
    are sums over `teachers`. They are None, and `teachers` is empty, when a file is remote. `asked` is 0 when the
    job sends no requests to an endpoint.
    """

    nodes: tuple[EstimatedNode, ...]
    rows: Mapping[str, int | None]
    teachers: tuple[PlannedTeacher, ...]
    asked: Range | None
    input_tokens: Range | None
    output_tokens: Range | None
    cost: Range | None
    memory: Memory


@dataclass(frozen=True)
class _Sampled:
    """A file of rows: their number, and means per row of its characters, its reference answer's characters and its
    assistant turns."""

    rows: int
    characters: float
    reference: float
    turns: float


def estimate(job: DistillationJob) -> Estimate:
    """The estimate of a job whose local files exist."""
    files = {split: path for split, name in SPLITS.items() if (path := getattr(job.data, name))}
    sampled = {split: _sampled(Path(path), job.prepare.rows) for split, path in files.items() if not is_remote(path)}
    rows = _rows(job, files, sampled)
    counted = {split: count for split, count in rows.items() if count is not None}
    has_endpoint = job.teacher.teacher_route == "endpoint"
    teachers = tuple(_teachers(job, counted, sampled)) if has_endpoint and len(counted) == len(rows) else ()
    if has_endpoint and not teachers:
        return Estimate(planned_nodes(job), rows, (), None, None, None, None, _memory(job))
    return Estimate(planned_nodes(job), rows, teachers, *_totals(job, teachers), _memory(job))


def planned_nodes(job: DistillationJob) -> tuple[EstimatedNode, ...]:
    """The nodes of the bundle, so that the estimate is about what is submitted."""
    return tuple(
        EstimatedNode(
            name=name,
            after=_upstream(node["inputs"]),
            compute=node["compute"],
            instance_type=node.get("resources", {}).get("instance_type"),
            timeout=node["limits"]["timeout"],
        )
        for name, node in pipeline_document(plan(job))["jobs"].items()
    )


def _upstream(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    references = [expressions.reference(value) for value in inputs.values() if isinstance(value, str)]
    return tuple(dict.fromkeys(source.node for source in references if isinstance(source, expressions.JobOutput)))


def _rows(job: DistillationJob, files: Mapping[str, str], sampled: Mapping[str, _Sampled]) -> dict[str, int | None]:
    """Number of rows by split. A split without a file is a fraction of the training rows."""
    counts: dict[str, int | None] = {split: sampled[split].rows if split in sampled else None for split in files}
    for split, fraction in (("test", job.prepare.test_fraction), ("validation", job.prepare.validation_fraction)):
        remaining = counts["train"]
        if split not in files:
            counts[split] = None if remaining is None else round(remaining * fraction)
            counts["train"] = None if remaining is None else remaining - round(remaining * fraction)
    return {split: counts[split] for split in SPLITS}


def _teachers(
    job: DistillationJob, rows: Mapping[str, int], sampled: Mapping[str, _Sampled]
) -> Iterator[PlannedTeacher]:
    for teacher, asked in zip(job.teacher.teachers, _asked(job, rows, sampled["train"].turns), strict=True):
        prompts, answers = _tokens(job, asked, sampled)
        yield PlannedTeacher(teacher.called, asked, prompts, answers, _cost(job, teacher, prompts, answers))


def _asked(job: DistillationJob, rows: Mapping[str, int], turns: float) -> Iterator[Range]:
    """Number of answers of each teacher. Test rows get one answer, and with policy all only from the first teacher.
    A cascade samples test rows too, because it compares the samples."""
    config, total = job.teacher, sum(teacher.weight for teacher in job.teacher.teachers)
    training = (rows["train"] + rows["validation"]) * config.samples * (turns if config.turns == "all" else 1)
    testing = rows["test"] * (config.samples if config.policy == "cascade" else 1)
    for index, teacher in enumerate(config.teachers):
        share = teacher.weight / total if config.policy == "route" else 1
        most = share * (training + (0 if index and config.policy == "all" else testing))
        is_always_asked = index == 0 or config.policy in ("route", "all")
        yield Range(round(most) if is_always_asked else 0, round(most))


def _tokens(job: DistillationJob, asked: Range, sampled: Mapping[str, _Sampled]) -> tuple[Range, Range]:
    """Tokens of all prompts and of all answers. An answer is at least as long as a reference, at most max_tokens."""
    short, long = CHARACTERS
    prompting, most = job.teacher.prompting, job.teacher.max_tokens
    characters = sampled["train"].characters + _added(prompting)
    reference = max(file.reference for file in sampled.values())
    least = min(_reasoned(max(reference / long, 1), prompting), most)
    # An early turn has a short history.
    history = 0.5 if job.teacher.turns == "all" else 1
    return (
        Range(round(asked.low * characters * history / long), round(asked.high * characters / short)),
        Range(round(asked.low * least), round(asked.high * most)),
    )


def _added(prompting: Prompting) -> int:
    """Characters that the prompting adds to a row."""
    return sum(len(turn["content"]) for turn in render((Message(role="user", content=""),), prompting))


def _reasoned(answer: float, prompting: Prompting) -> float:
    """Tokens of an answer with the reasoning that the prompting requests."""
    if prompting.chain_of_density:
        return answer * (DRAFTS + 1)
    return answer + THOUGHT_TOKENS if prompting.chain_of_thought else answer


def _cost(job: DistillationJob, teacher: Teacher, asked: Range, answered: Range) -> Range | None:
    if teacher.input_price is None or teacher.output_price is None:
        return None
    low = asked.low * teacher.input_price + answered.low * teacher.output_price
    high = asked.high * teacher.input_price + answered.high * teacher.output_price
    return _within_budget(job, low / MILLION, high / MILLION)


def _within_budget(job: DistillationJob, low: float, high: float) -> Range:
    most = job.teacher.budget if job.teacher.budget is not None else float("inf")
    return Range(min(low, most), min(high, most))


def _totals(
    job: DistillationJob, teachers: Sequence[PlannedTeacher]
) -> tuple[Range, Range | None, Range | None, Range | None]:
    """Sums of answers, input tokens, output tokens and cost. The cost is None if that of a teacher is unknown."""
    if not teachers:
        return Range(0, 0), None, None, None
    costs = [teacher.cost for teacher in teachers if teacher.cost]
    total = _sum(costs) if len(costs) == len(teachers) else None
    return (
        _sum([teacher.asked for teacher in teachers]),
        _sum([teacher.input_tokens for teacher in teachers]),
        _sum([teacher.output_tokens for teacher in teachers]),
        total and _within_budget(job, total.low, total.high),
    )


def _sum(ranges: Sequence[Range]) -> Range:
    return Range(sum(item.low for item in ranges), sum(item.high for item in ranges))


def _memory(job: DistillationJob) -> Memory:
    facts = job.known.student(job.student.model)
    vm = job.compute.gpu_instance_type if job.compute.gpu == "serverless" else None
    needed, smallest = (facts.training_gb, facts.smallest_vm) if facts else (None, None)
    size = vm_size(vm) if vm else None
    available = size and size.gpu_memory_gb
    fits = None if needed is None or available is None else needed <= available
    return Memory(needed, vm, available, fits, smallest)


def _sampled(path: Path, most: int) -> _Sampled:
    rows = list(first_rows(path, min(most or SAMPLE, SAMPLE)))
    characters = sum(len(text) for row in rows for text in row_texts(row))
    references = sum(len(reference_in(row)) for row in rows)
    counted, read = count_rows(path), max(len(rows), 1)
    turns = sum(map(_turns, rows)) / read
    return _Sampled(min(counted, most or counted), characters / read, references / read, turns)


def _turns(row: Any) -> int:
    """Assistant turns of a row's conversation, including the answer to its last turn."""
    turns = row.get("messages") if isinstance(row, dict) else None
    roles = [turn.get("role") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return roles.count("assistant") + (roles[-1:] != ["assistant"])
