"""Estimate a job before it runs: nodes, rows, tokens, cost and memory. Reads local files only."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.engine.pipeline import expressions
from azdistill.job.bundle import pipeline_document
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote
from azdistill.job.plan import plan
from azdistill.job.planned_requests import (
    EstimatedRange,
    PlannedTeacher,
    SampledFile,
    judge_cost,
    planned_augment,
    planned_judge,
    planned_judge_answers,
    planned_scorer,
    planned_teachers,
    sample_file,
    totals,
)
from azdistill.job.planned_training import PlannedTraining, planned_training
from azdistill.job.serving import PlannedServing, planned_serving

SPLITS = {"train": "training_data", "validation": "validation_data", "test": "test_data"}


@dataclass(frozen=True)
class EstimatedNode:
    """A node, the nodes it depends on, its compute and its time limit in seconds.

    `instance_type` is None on a cluster, which has a fixed one. With section `tuning`, train is a sweep of at most
    `trials` trainings, and the time limit is that of each one. 1 for every other node.
    """

    name: str
    after: tuple[str, ...]
    compute: str
    instance_type: str | None
    timeout: int
    trials: int


@dataclass(frozen=True)
class Estimate:
    """Estimate of a job.

    `rows` is the number of rows by split, None for a remote file. `asked` (the number of paid requests),
    `input_tokens`, `output_tokens` and `cost` are sums over `teachers`. They are None, and `teachers` is empty, when a
    file is remote. `asked` is 0 when the job sends no requests to an endpoint. `judge` is None without one, when its
    rows are remote, and when it is simulated, and so is `judge_answers`, the requests about the teacher's answers to
    training and validation rows. `judge_cost` is the cost of both, None without prices. `augment` are the requests for
    new prompts, whose answers are counted in `teachers`; None without data.augment, for remote rows and simulated
    teachers. `scorer` are the requests of step train to score sampled answers; None without section `scorer`, for
    remote rows and a dry run. `serving` is None without section `deployment`.
    """

    nodes: tuple[EstimatedNode, ...]
    rows: Mapping[str, int | None]
    teachers: tuple[PlannedTeacher, ...]
    asked: EstimatedRange | None
    input_tokens: EstimatedRange | None
    output_tokens: EstimatedRange | None
    cost: EstimatedRange | None
    training: PlannedTraining
    judge: PlannedTeacher | None = None
    judge_answers: PlannedTeacher | None = None
    judge_cost: EstimatedRange | None = None
    augment: PlannedTeacher | None = None
    serving: PlannedServing | None = None
    scorer: PlannedTeacher | None = None


def estimate(job: DistillationJob) -> Estimate:
    """Estimate a job whose local files exist."""
    files = {split: path for split, name in SPLITS.items() if (path := getattr(job.data, name))}
    sampled = {split: sample_file(Path(path), job.prepare.rows) for split, path in files.items() if not is_remote(path)}
    rows = _rows(job, files, sampled)
    counted = {split: count for split, count in rows.items() if count is not None}
    has_endpoint = job.teacher.teacher_route == "endpoint"
    teachers = tuple(planned_teachers(job, counted, sampled)) if has_endpoint and len(counted) == len(rows) else ()
    asked, input_tokens, output_tokens, cost = totals(job, teachers)
    judge, judge_answers = planned_judge(job, rows["test"], sampled), planned_judge_answers(job, rows, sampled)
    return Estimate(
        nodes=planned_nodes(job),
        rows=rows,
        teachers=teachers,
        asked=None if has_endpoint and not teachers else asked,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=cost,
        training=planned_training(job, sampled),
        judge=judge,
        judge_answers=judge_answers,
        judge_cost=judge_cost(job, [planned for planned in (judge_answers, judge) if planned]),
        augment=planned_augment(job, sampled),
        serving=planned_serving(job),
        scorer=planned_scorer(job, rows["train"], sampled),
    )


def planned_nodes(job: DistillationJob) -> tuple[EstimatedNode, ...]:
    """The nodes of the pipeline that is submitted."""
    return tuple(_planned_node(name, node) for name, node in pipeline_document(plan(job))["jobs"].items())


def _planned_node(name: str, node: Mapping[str, Any]) -> EstimatedNode:
    limits = node["limits"]
    return EstimatedNode(
        name=name,
        after=_upstream(node["inputs"]),
        compute=node["compute"],
        instance_type=node.get("resources", {}).get("instance_type"),
        timeout=limits["trial_timeout" if node["type"] == "sweep" else "timeout"],
        trials=limits.get("max_total_trials", 1),
    )


def _upstream(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    references = [expressions.reference(value) for value in inputs.values() if isinstance(value, str)]
    return tuple(dict.fromkeys(source.node for source in references if isinstance(source, expressions.JobOutput)))


def _rows(job: DistillationJob, files: Mapping[str, str], sampled: Mapping[str, SampledFile]) -> dict[str, int | None]:
    """Number of rows by split. A split without a file is a fraction of the training rows."""
    counts: dict[str, int | None] = {split: sampled[split].rows if split in sampled else None for split in files}
    total = counts["train"]
    for split, fraction in (("test", job.prepare.test_fraction), ("validation", job.prepare.validation_fraction)):
        if split not in files:
            counts[split] = None if total is None else _drawn(total, fraction)
            counts["train"] = None if counts["train"] is None else max(0, counts["train"] - (counts[split] or 0))
    return {split: counts[split] for split in SPLITS}


def _drawn(rows: int, fraction: float) -> int:
    """Number of rows that step prepare draws for a split: one at least."""
    return max(1, round(rows * fraction)) if fraction and rows > 1 else 0
