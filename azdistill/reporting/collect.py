"""From the folders of all steps to one Report. Reads no clock, so the same folders give the same report."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.results import (
    GATE_FILE,
    METRICS_FILE,
    MODEL_ROLES,
    PROFILE_FILE,
    USAGE_FILE,
    GateDecision,
    Metrics,
    ModelMetrics,
    ModelRole,
    Profile,
    Usage,
    read_result,
)
from azdistill.contracts.rows import Completion
from azdistill.metrics.metric import ProfileMetric
from azdistill.metrics.registry import METRICS
from azdistill.reporting.examples import pick_examples
from azdistill.reporting.messages import headline
from azdistill.reporting.report import CurvePoint, Report, Stage

MOST_POINTS = 200
"""More points than this can't be told apart in a curve as wide as a page."""


@dataclass(frozen=True)
class Folders:
    """What a report is made of: one complete folder of each step."""

    prompts: Path
    completions: Path
    curated: Path
    training: Path
    student: Path
    baseline: Path
    evaluation: Path


def collect(folders: Folders, title: str, registered_model: str) -> Report:
    """The report of one distillation. Raises DataError for a folder that isn't complete."""
    for folder in vars(folders).values():
        read_manifest(folder)
    metrics = read_result(folders.evaluation / METRICS_FILE, Metrics)
    verdict = read_result(folders.evaluation / GATE_FILE, GateDecision)
    usage = read_result(folders.completions / USAGE_FILE, Usage)
    models = {role: _metrics(role, metrics.models[role], folders, usage) for role in MODEL_ROLES}
    return Report(
        title=title,
        registered_model=registered_model,
        task=metrics.task,
        test_rows=metrics.rows,
        reference=metrics.reference,
        headline=headline(verdict, metrics),
        verdict=verdict,
        models=models,
        retention=metrics.retention,
        gain=metrics.gain,
        stages=tuple(_stages(folders)),
        usage=usage,
        training=read_json(folders.training / "metrics.json"),
        curve=_curve(folders.training / "history.jsonl"),
        examples=pick_examples(folders.prompts, folders.completions, folders.evaluation, _predictions(folders)),
    )


def _predictions(folders: Folders) -> dict[ModelRole, Path]:
    return {"student": folders.student, "baseline": folders.baseline}


def _metrics(role: ModelRole, evaluated: ModelMetrics, folders: Folders, usage: Usage) -> ModelMetrics:
    """Metrics of the evaluation and of the profile. A teacher behind an endpoint has only a latency."""
    profile = usage if role == "teacher" else read_result(_predictions(folders)[role] / PROFILE_FILE, Profile)
    measured = {
        metric.name: getattr(profile, metric.name, None) for metric in METRICS if isinstance(metric, ProfileMetric)
    }
    return ModelMetrics(evaluated.root | measured)


def _stages(folders: Folders) -> Iterator[Stage]:
    """The way of the rows, in the order that steps took them."""
    prepared = read_manifest(folders.prompts).counts
    kept = {"train": prepared["train"], "validation": prepared["validation"], "test": prepared["test"]}
    unread = _counted(prepared["reasons"] | {"duplicate": prepared["duplicates"], "leaked": prepared["leaked"]})
    yield Stage(name="read", rows=sum(kept.values()) + sum(unread.values()), left_behind={})
    yield Stage(name="prepared", rows=sum(kept.values()), left_behind=unread)
    answered = read_manifest(folders.completions).counts
    yield Stage(name="answered by the teacher", rows=answered["answered"], left_behind=_counted(answered["reasons"]))
    drops = read_json(folders.curated / "drops.json")
    held_out = sum(row.split == "test" for row in read_rows(folders.completions / "completions.jsonl", Completion))
    rows, traces = sum(drops["kept"].values()), drops.get("traces", 0)
    left = _counted(drops["dropped"] | {"held out for the test": held_out})
    yield Stage(name="curated", rows=rows - traces, left_behind=left)
    if traces:
        yield Stage(name="with a row for each trace", rows=rows, left_behind={})
    yield _trained(drops["kept"], read_json(folders.training / "metrics.json")["train_rows"])


def _trained(kept: Mapping[str, int], rows: int) -> Stage:
    left = {"kept for validation": kept["validation"], "too long": kept["train"] - rows}
    return Stage(name="trained on", rows=rows, left_behind=_counted(left))


def _counted(reasons: Mapping[str, int]) -> dict[str, int]:
    """Most frequent first; what never happened isn't worth a line."""
    found = {reason.replace("_", " "): count for reason, count in reasons.items() if count}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _curve(path: Path) -> tuple[CurvePoint, ...]:
    points = list(read_rows(path, CurvePoint))
    stride = -(-len(points) // MOST_POINTS) or 1
    last = len(points) - 1
    return tuple(
        point
        for number, point in enumerate(points)
        if number % stride == 0 or number == last or point.validation_loss is not None
    )
