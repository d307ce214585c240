"""What a job will take, before it runs: nodes, rows, tokens, cost and memory. Reads its local files, asks nobody."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.bundle import pipeline_document
from azdistill.pipeline import expressions
from azdistill.plan import plan
from azdistill.samples import count_rows, first_rows, reference_in, said
from azdistill.spec.catalog import VMS
from azdistill.spec.job import DistillationJob
from azdistill.spec.paths import is_remote

CHARACTERS = (3, 5)
"""Of a token, least and most: what tokenizers make of text in the languages of Europe."""

SAMPLE = 200
"""Rows of each file that are read for their length; the others are counted only."""

MILLION = 1_000_000
SPLITS = {"train": "training_data", "validation": "validation_data", "test": "test_data"}


@dataclass(frozen=True)
class Range:
    """At least and at most."""

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
class Estimate:
    """What a job will take. `rows` by split, None where the file is not on this machine; `asked` are the rows
    that the teacher is paid for. `cost` is in the currency of the prices and never above the budget, None
    without prices."""

    nodes: tuple[PlannedNode, ...]
    rows: Mapping[str, int | None]
    asked: int | None
    input_tokens: Range | None
    output_tokens: Range | None
    cost: Range | None
    memory: Memory


@dataclass(frozen=True)
class _Sampled:
    """A file of rows: how many there are, and the mean characters of a row and of its reference answer."""

    rows: int
    characters: float
    reference: float


def estimate(job: DistillationJob) -> Estimate:
    """The estimate of a job whose local files are there."""
    files = {split: path for split, name in SPLITS.items() if (path := getattr(job.data, name))}
    sampled = {split: _sampled(Path(path), job.data.rows) for split, path in files.items() if not is_remote(path)}
    rows = _rows(job, files, sampled)
    asked = _asked(job, rows)
    questions, answers = _tokens(job, asked, sampled) if asked else (None, None)
    return Estimate(_nodes(job), rows, asked, questions, answers, _cost(job, questions, answers), _memory(job))


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
    for split, part in (("test", job.data.test_fraction), ("validation", job.data.validation_fraction)):
        left = found["train"]
        if split not in files:
            found[split] = None if left is None else round(left * part)
            found["train"] = None if left is None else left - round(left * part)
    return {split: found[split] for split in SPLITS}


def _asked(job: DistillationJob, rows: Mapping[str, int | None]) -> int | None:
    if job.teacher.teacher_route != "endpoint":
        return 0
    counted = [count for count in rows.values() if count is not None]
    return sum(counted) if len(counted) == len(rows) else None


def _tokens(job: DistillationJob, asked: int, sampled: Mapping[str, _Sampled]) -> tuple[Range, Range]:
    """Of all questions, and of all answers: as long as the references at least, max_tokens each at most."""
    short, long = CHARACTERS
    characters = asked * (sampled["train"].characters + len(job.teacher.prompting.system_prompt or ""))
    reference = max(file.reference for file in sampled.values())
    least = asked * min(max(reference / long, 1), job.teacher.max_tokens)
    return (
        Range(round(characters / long), round(characters / short)),
        Range(round(least), asked * job.teacher.max_tokens),
    )


def _cost(job: DistillationJob, asked: Range | None, answered: Range | None) -> Range | None:
    teacher = job.teacher.teachers[0]
    if asked is None or answered is None or teacher.input_price is None or teacher.output_price is None:
        return None
    low = asked.low * teacher.input_price + answered.low * teacher.output_price
    high = asked.high * teacher.input_price + answered.high * teacher.output_price
    most = job.teacher.budget if job.teacher.budget is not None else float("inf")
    return Range(min(low / MILLION, most), min(high / MILLION, most))


def _memory(job: DistillationJob) -> Memory:
    facts = job.known.student(job.student.model)
    vm = job.compute.gpu_instance_type if job.compute.gpu == "serverless" else None
    needed, smallest = (facts.training_gb, facts.smallest_vm) if facts else (None, None)
    there = VMS.get(vm) if vm else None
    return Memory(needed, vm, there, None if needed is None or there is None else needed <= there, smallest)


def _sampled(path: Path, most: int) -> _Sampled:
    rows = list(first_rows(path, min(most or SAMPLE, SAMPLE)))
    characters = sum(len(text) for row in rows for text in said(row))
    references = sum(len(reference_in(row)) for row in rows)
    counted, read = count_rows(path), max(len(rows), 1)
    return _Sampled(min(counted, most or counted), characters / read, references / read)
