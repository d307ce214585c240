"""Collect a Report from the folders of all steps. Reads no clock, so the same folders give the same report."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.layout import (
    COMPLETIONS_FILE,
    DROP_COUNTS_FILE,
    GATE_FILE,
    HISTORY_FILE,
    JUDGE_FILE,
    JUDGE_SUMMARY_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    PROFILE_FILE,
    PROMPTS_FILE,
    SCORES_FILE,
    TRAINING_METRICS_FILE,
    USAGE_FILE,
)
from azdistill.contracts.manifest import WRITE_AGAIN, Manifest, read_manifest
from azdistill.contracts.report import ReportConfig
from azdistill.contracts.results import (
    MODEL_ROLES,
    GateDecision,
    Metrics,
    ModelMetrics,
    ModelRole,
    Profile,
    RowScores,
    ScorerUsage,
    Usage,
    read_result,
)
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.contracts.task import TaskChoice
from azdistill.contracts.verdicts import AnswerScoreSummary, JudgeResults
from azdistill.metrics.metric import ProfileMetric
from azdistill.metrics.registry import METRICS
from azdistill.reporting.confusion import confusion
from azdistill.reporting.costs import costs
from azdistill.reporting.data_card import data_card
from azdistill.reporting.examples import pick_examples, rows_by_kind
from azdistill.reporting.lengths import length_groups
from azdistill.reporting.messages import headline, spaced
from azdistill.reporting.report import (
    AnswerScoreCounts,
    CurvePoint,
    DataCard,
    NewPromptCounts,
    PublicTestSet,
    Report,
    Stage,
    Trials,
)
from azdistill.reporting.split_facts import split_facts

# A curve as wide as a page does not show more points.
MOST_POINTS = 200


@dataclass(frozen=True)
class Folders:
    """One complete folder of each step."""

    prompts: Path
    completions: Path
    curated: Path
    training: Path
    student: Path
    baseline: Path
    evaluation: Path
    augmented: Path | None = None
    answer_scores: Path | None = None
    judgements: Path | None = None
    regressions: Path | None = None

    def manifests(self) -> dict[str, Manifest]:
        """Manifests by the name of the step. Raises DataError for a folder that is not complete."""
        return {
            "prepare": read_manifest(self.prompts),
            **({"regression": read_manifest(self.regressions)} if self.regressions else {}),
            **({"augment": read_manifest(self.augmented)} if self.augmented else {}),
            "teacher": read_manifest(self.completions),
            **({"judge_answers": read_manifest(self.answer_scores)} if self.answer_scores else {}),
            "curate": read_manifest(self.curated),
            "train": read_manifest(self.training),
            "predict_student": read_manifest(self.student),
            "predict_baseline": read_manifest(self.baseline),
            **({"judge": read_manifest(self.judgements)} if self.judgements else {}),
            "evaluate": read_manifest(self.evaluation),
        }


def collect(folders: Folders, config: ReportConfig, trials: Trials | None = None) -> Report:
    """The report of one distillation. Raises DataError for a folder that is not complete."""
    manifests = folders.manifests()
    metrics = read_result(folders.evaluation / METRICS_FILE, Metrics)
    decision = read_result(folders.evaluation / GATE_FILE, GateDecision)
    usage = read_result(folders.completions / USAGE_FILE, Usage)
    augment_usage, scores_usage, judge_usage = (
        read_result(folder / USAGE_FILE, Usage) if folder else None
        for folder in (folders.augmented, folders.answer_scores, folders.judgements)
    )
    training, scorer = read_json(folders.training / TRAINING_METRICS_FILE), folders.training / USAGE_FILE
    scorer_usage = read_result(scorer, ScorerUsage) if scorer.is_file() else None
    profile = read_result(folders.student / PROFILE_FILE, Profile)
    scores = list(read_rows(folders.evaluation / SCORES_FILE, RowScores))
    kinds = rows_by_kind(scores, metrics.primary_metric)
    return Report(
        title=config.title,
        registered_model=config.registered_model,
        baseline_name=config.job_facts.baseline_name,
        licences=tuple(config.job_facts.models),
        task=metrics.task,
        test_rows=metrics.rows,
        reference=metrics.reference,
        primary_metric=metrics.primary_metric,
        primary_reason=metrics.primary_reason,
        headline=headline(decision, metrics),
        verdict=decision,
        models={role: _with_profile(role, metrics.models[role], folders, usage) for role in MODEL_ROLES},
        retention=metrics.retention,
        gain=metrics.gain,
        detectable_gain=metrics.detectable_gain,
        slices=metrics.slices,
        regressions=metrics.regressions,
        lengths=length_groups(scores, _student_lengths(folders), metrics.primary_metric),
        data=split_facts(read_rows(folders.prompts / PROMPTS_FILE, Prompt)),
        data_card=_data_card(folders, metrics, manifests),
        stages=_stages(folders, manifests),
        usage=usage,
        costs=costs(
            usage,
            training.get("seconds", 0.0),
            profile,
            config,
            judge=judge_usage,
            augment=augment_usage,
            judge_answers=scores_usage,
            scorer=scorer_usage,
        ),
        judge=read_result(folders.evaluation / JUDGE_FILE, JudgeResults) if folders.judgements else None,
        judge_usage=judge_usage,
        scorer_usage=scorer_usage,
        training=training,
        curve=_curve(folders.training / HISTORY_FILE),
        trials=trials,
        confusion=confusion(scores),
        examples=pick_examples(
            scores, kinds, folders.prompts, folders.completions, _predictions(folders), metrics.primary_metric
        ),
        example_counts={kind: len(members) for kind, members in kinds.items()},
        steps=manifests,
    )


def _data_card(folders: Folders, metrics: Metrics, manifests: Mapping[str, Manifest]) -> DataCard:
    def config(step: str) -> Mapping[str, Any]:
        provenance = manifests[step].provenance
        return provenance.config if provenance else {}

    labels, seed = config("curate").get("labels"), config("prepare").get("seed", 0)
    task = cast("TaskChoice", metrics.task)  # step evaluate has no other
    card = data_card(folders.prompts, folders.completions, folders.curated, task, labels, seed)
    overlaps = tuple(
        PublicTestSet(name=name, **counts)
        for name, counts in manifests["prepare"].counts.get("public_test_sets", {}).items()
    )
    return card.model_copy(
        update={
            "public_test_sets": overlaps,
            "new_prompts": _new_prompts(manifests["augment"].counts) if "augment" in manifests else None,
            "answer_scores": _answer_scores(folders.answer_scores, config("curate")) if folders.answer_scores else None,
            "personal_data": _personal_data(manifests),
        }
    )


def _new_prompts(counts: Mapping[str, Any]) -> NewPromptCounts:
    return NewPromptCounts(
        requests=counts["requests"],
        without_prompts=counts["without_prompts"],
        written=counts["written"],
        kept=counts["new"],
        not_needed=counts["not_needed"],
        rejected=counts["reasons"],
    )


def _answer_scores(folder: Path, curate: Mapping[str, Any]) -> AnswerScoreCounts:
    summary = read_result(folder / JUDGE_SUMMARY_FILE, AnswerScoreSummary)
    return AnswerScoreCounts(
        judge=summary.model,
        route=read_result(folder / USAGE_FILE, Usage).route,
        minimum=curate["min_judge_score"],
        scores=summary.scores,
        unjudged=summary.unjudged,
    )


def _personal_data(manifests: Mapping[str, Manifest]) -> dict[str, int]:
    """Values in the user's rows and in new prompts by kind."""
    values = Counter[str]()
    for step in manifests.keys() & {"prepare", "augment"}:
        values += Counter(manifests[step].counts.get("personal_data", {}).get("values", {}))
    return dict(sorted(values.items()))


def _student_lengths(folders: Folders) -> dict[str, int]:
    """Characters of the student's answers by the id of the row."""
    return {row.id: len(row.completion) for row in read_rows(folders.student / PREDICTIONS_FILE, Prediction)}


def _predictions(folders: Folders) -> dict[ModelRole, Path]:
    return {"student": folders.student, "baseline": folders.baseline}


def _with_profile(role: ModelRole, metrics: ModelMetrics, folders: Folders, usage: Usage) -> ModelMetrics:
    """Metrics of the evaluation and of the profile. Of a teacher behind an endpoint only the latency is known."""
    profile = usage if role == "teacher" else read_result(_predictions(folders)[role] / PROFILE_FILE, Profile)
    measured = {
        metric.name: getattr(profile, metric.name, None) for metric in METRICS if isinstance(metric, ProfileMetric)
    }
    return ModelMetrics(metrics.root | measured)


def _stages(folders: Folders, manifests: Mapping[str, Manifest]) -> tuple[Stage, ...]:
    """The number of rows from step to step. Raises DataError for manifests whose counts are not those of their steps:
    no digest covers a manifest itself."""
    try:
        return tuple(_count_stages(folders, manifests))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(
            f"a manifest has other counts than its step writes ({type(error).__name__}: {error})",
            code="invalid_manifest",
            subject="prepare, teacher or curate",
            fix=WRITE_AGAIN,
        ) from None


def _count_stages(folders: Folders, manifests: Mapping[str, Manifest]) -> Iterator[Stage]:
    counts = manifests["prepare"].counts
    prepared = counts["train"] + counts["validation"] + counts["test"]
    unused = _reasons(counts["reasons"] | counts["left_out"])
    yield Stage(name="read", rows=prepared + sum(unused.values()), left_behind={})
    yield Stage(name="prepared", rows=prepared, left_behind=unused)
    if "augment" in manifests:
        yield Stage(name="with new prompts", rows=prepared + manifests["augment"].counts["new"], left_behind={})
    answered = manifests["teacher"].counts
    yield Stage(name="answered by the teacher", rows=answered["answered"], left_behind=_reasons(answered["reasons"]))
    drops = read_json(folders.curated / DROP_COUNTS_FILE)
    test_rows = sum(row.split == "test" for row in read_rows(folders.completions / COMPLETIONS_FILE, Completion))
    curated, traces = sum(drops["kept"].values()), drops.get("traces", 0)
    removed = _reasons(drops["dropped"] | {"held out for the test": test_rows})
    yield Stage(name="curated", rows=curated - traces, left_behind=removed)
    if traces:
        yield Stage(name="with a row for each trace", rows=curated, left_behind={})
    trained = read_json(folders.training / TRAINING_METRICS_FILE)["train_rows"]
    removed = {"held out for validation": drops["kept"]["validation"], "too long": drops["kept"]["train"] - trained}
    yield Stage(name="trained on", rows=trained, left_behind=_reasons(removed))


def _reasons(counts: Mapping[str, int]) -> dict[str, int]:
    """Most frequent first; reasons that never occurred are left out."""
    occurred = {spaced(reason): count for reason, count in counts.items() if count}
    return dict(sorted(occurred.items(), key=lambda item: (-item[1], item[0])))


def _curve(path: Path) -> tuple[CurvePoint, ...]:
    """The training history, thinned to MOST_POINTS; its last point and validation points are kept."""
    points = list(read_rows(path, CurvePoint))
    stride = -(-len(points) // MOST_POINTS) or 1
    last = len(points) - 1
    return tuple(
        point
        for index, point in enumerate(points)
        if index % stride == 0 or index == last or point.validation_loss is not None
    )
