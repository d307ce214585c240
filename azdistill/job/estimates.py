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
from azdistill.job.samples import count_rows, first_rows, reference_in, said

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
class PlannedNode:
    """A node: what it waits for, and where it runs. No VM size for a cluster, which has its own."""

    name: str
    after: tuple[str, ...]
    compute: str
    instance_type: str | None


@dataclass(frozen=True)
class Memory:
    """GPU memory that full fine-tuning of the student takes before activations, and that of the VM, GB.
    None: not known."""

    needed_gb: float | None
    vm: str | None
    vm_gb: int | None
    fits: bool | None
    smallest_vm: str | None


@dataclass(frozen=True)
class PlannedTeacher:
    """What one teacher is asked, or what all are: `asked` counts the answers that are paid for. `cost` is in the
    currency of the prices and never above the budget, None without prices."""

    name: str
    asked: Range
    input_tokens: Range
    output_tokens: Range
    cost: Range | None


@dataclass(frozen=True)
class Estimate:
    """What a job will take. `rows` by split, None where the file is not on this machine. `teachers` in their order
    and `asked` to `cost` of all of them; None and no teachers where not all rows are here, and nothing asked where
    the route leads to none."""

    nodes: tuple[PlannedNode, ...]
    rows: Mapping[str, int | None]
    teachers: tuple[PlannedTeacher, ...]
    asked: Range | None
    input_tokens: Range | None
    output_tokens: Range | None
    cost: Range | None
    memory: Memory


@dataclass(frozen=True)
class _Sampled:
    """A file of rows: how many there are, and the means of a row: its characters, those of its reference answer,
    and its assistant turns."""

    rows: int
    characters: float
    reference: float
    turns: float


def estimate(job: DistillationJob) -> Estimate:
    """The estimate of a job whose local files are there."""
    files = {split: path for split, name in SPLITS.items() if (path := getattr(job.data, name))}
    sampled = {split: _sampled(Path(path), job.prepare.rows) for split, path in files.items() if not is_remote(path)}
    rows = _rows(job, files, sampled)
    counted = {split: count for split, count in rows.items() if count is not None}
    asks = job.teacher.teacher_route == "endpoint"
    teachers = tuple(_teachers(job, counted, sampled)) if asks and len(counted) == len(rows) else ()
    if asks and not teachers:
        return Estimate(_nodes(job), rows, (), None, None, None, None, _memory(job))
    return Estimate(_nodes(job), rows, teachers, *_together(job, teachers), _memory(job))


def _nodes(job: DistillationJob) -> tuple[PlannedNode, ...]:
    """As the bundle has them, so that a plan can't differ from what is submitted."""
    return tuple(
        PlannedNode(name, _upstream(node["inputs"]), node["compute"], node.get("resources", {}).get("instance_type"))
        for name, node in pipeline_document(plan(job))["jobs"].items()
    )


def _upstream(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    found = [expressions.reference(value) for value in inputs.values() if isinstance(value, str)]
    return tuple(dict.fromkeys(one.node for one in found if isinstance(one, expressions.JobOutput)))


def _rows(job: DistillationJob, files: Mapping[str, str], sampled: Mapping[str, _Sampled]) -> dict[str, int | None]:
    """As counted; splits without a file are drawn from the training rows."""
    found: dict[str, int | None] = {split: sampled[split].rows if split in sampled else None for split in files}
    for split, part in (("test", job.prepare.test_fraction), ("validation", job.prepare.validation_fraction)):
        left = found["train"]
        if split not in files:
            found[split] = None if left is None else round(left * part)
            found["train"] = None if left is None else left - round(left * part)
    return {split: found[split] for split in SPLITS}


def _teachers(
    job: DistillationJob, rows: Mapping[str, int], sampled: Mapping[str, _Sampled]
) -> Iterator[PlannedTeacher]:
    for teacher, asked in zip(job.teacher.teachers, _asked(job, rows, sampled["train"].turns), strict=True):
        questions, answers = _tokens(job, asked, sampled)
        yield PlannedTeacher(teacher.called, asked, questions, answers, _cost(job, teacher, questions, answers))


def _asked(job: DistillationJob, rows: Mapping[str, int], turns: float) -> Iterator[Range]:
    """Questions to each teacher. Test rows get one answer and, with policy all, from the first teacher only; a
    cascade needs their samples too, to see whether these agree."""
    config, total = job.teacher, sum(teacher.weight for teacher in job.teacher.teachers)
    learned = (rows["train"] + rows["validation"]) * config.samples * (turns if config.turns == "all" else 1)
    tested = rows["test"] * (config.samples if config.policy == "cascade" else 1)
    for place, teacher in enumerate(config.teachers):
        part = teacher.weight / total if config.policy == "route" else 1
        most = part * (learned + (0 if place and config.policy == "all" else tested))
        is_sure = place == 0 or config.policy in ("route", "all")
        yield Range(round(most) if is_sure else 0, round(most))


def _tokens(job: DistillationJob, asked: Range, sampled: Mapping[str, _Sampled]) -> tuple[Range, Range]:
    """Of all questions, and of all answers: as long as the references at least, max_tokens each at most."""
    short, long = CHARACTERS
    prompting, most = job.teacher.prompting, job.teacher.max_tokens
    characters = sampled["train"].characters + _added(prompting)
    reference = max(file.reference for file in sampled.values())
    least = min(_reasoned(max(reference / long, 1), prompting), most)
    seen = 0.5 if job.teacher.turns == "all" else 1  # an early turn has little before it
    return (
        Range(round(asked.low * characters * seen / long), round(asked.high * characters / short)),
        Range(round(asked.low * least), round(asked.high * most)),
    )


def _added(prompting: Prompting) -> int:
    """Characters that the teacher reads beside the row."""
    return sum(len(turn["content"]) for turn in render((Message(role="user", content=""),), prompting))


def _reasoned(answer: float, prompting: Prompting) -> float:
    """Tokens of an answer of so many, with the reasoning that is asked for before it."""
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


def _together(
    job: DistillationJob, teachers: Sequence[PlannedTeacher]
) -> tuple[Range, Range | None, Range | None, Range | None]:
    """Questions, tokens of questions and of answers, and cost. No cost where one teacher's is not known."""
    if not teachers:
        return Range(0, 0), None, None, None
    costs = [teacher.cost for teacher in teachers if teacher.cost]
    whole = _sum(costs) if len(costs) == len(teachers) else None
    return (
        _sum([teacher.asked for teacher in teachers]),
        _sum([teacher.input_tokens for teacher in teachers]),
        _sum([teacher.output_tokens for teacher in teachers]),
        whole and _within_budget(job, whole.low, whole.high),
    )


def _sum(ranges: Sequence[Range]) -> Range:
    return Range(sum(one.low for one in ranges), sum(one.high for one in ranges))


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
    characters = sum(len(text) for row in rows for text in said(row))
    references = sum(len(reference_in(row)) for row in rows)
    counted, read = count_rows(path), max(len(rows), 1)
    turns = sum(map(_turns, rows)) / read
    return _Sampled(min(counted, most or counted), characters / read, references / read, turns)


def _turns(row: Any) -> int:
    """Assistant turns of a row's conversation, the answer to its last turn included."""
    turns = row.get("messages") if isinstance(row, dict) else None
    roles = [turn.get("role") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return roles.count("assistant") + (roles[-1:] != ["assistant"])
