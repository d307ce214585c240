"""`python -m azdistill.steps.evaluate`: student, baseline and teacher on the same test rows, and the gates."""

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.evaluate import STEP, EvaluateConfig
from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.layout import (
    COMPLETIONS_FILE,
    GATE_FILE,
    HUMAN_LABELS_FILE,
    JUDGE_FILE,
    JUDGE_SUMMARY_FILE,
    METRICS_FILE,
    PREDICTIONS_FILE,
    PROFILE_FILE,
    PROMPTS_FILE,
    SCORES_FILE,
    SUITES_FILE,
    VERDICTS_FILE,
)
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest
from azdistill.contracts.results import NO_REFERENCES, Metrics, Profile, read_result, write_result
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.suites import SuiteRow, read_suite_gates
from azdistill.contracts.verdicts import JudgeSummary, Verdict
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.evaluation.answers import EvaluationRow

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[EvaluateConfig]) -> None:
    """Write metrics.json, gate.json and scores.jsonl. A refused student is a result, not a failure."""
    from azdistill.evaluation.answers import LOCAL_MODELS, align
    from azdistill.evaluation.gates import decide, needs_profile
    from azdistill.evaluation.intervals import PairedBootstrap
    from azdistill.evaluation.metrics import evaluate
    from azdistill.evaluation.slices import slice_metrics

    config, inputs = arguments.config, arguments.inputs
    folder = open_folder(arguments.outputs["evaluation"])
    for name in ("prompts", "completions", *LOCAL_MODELS, *(["judgements"] if "judgements" in inputs else [])):
        read_manifest(inputs[name])
    prompts = list(read_rows(inputs["prompts"] / PROMPTS_FILE, Prompt))
    rows = align(
        prompts,
        read_rows(inputs["completions"] / COMPLETIONS_FILE, Completion),
        {role: read_rows(inputs[role] / PREDICTIONS_FILE, Prediction) for role in LOCAL_MODELS},
    )
    if "judgements" in inputs:
        rows = _with_verdicts(rows, inputs["judgements"], folder, config)
    evaluation = evaluate(rows, config, inputs.get("task_file"), inputs.get("metric_file"))
    profile = _profile(arguments) if needs_profile(config.gates) else None
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    slices = slice_metrics(prompts, evaluation.scores, evaluation.metrics.primary_metric, bootstrap)
    metrics = evaluation.metrics.model_copy(update={"slices": slices})
    if "regressions" in inputs:
        metrics = _with_suites(metrics, arguments, folder)
    gate = decide(metrics, config, profile, prompts, evaluation.scores)
    write_result(folder / METRICS_FILE, metrics)
    write_result(folder / GATE_FILE, gate)
    write_rows(folder / SCORES_FILE, evaluation.scores)
    close_folder(folder, STEP.name, {"rows": metrics.rows, "decision": gate.decision}, provenance_of(config))
    values = {role: model.value(metrics.primary_metric) for role, model in metrics.models.items()}
    shown = ", ".join(f"{role} {'n/a' if value is None else f'{value:.3f}'}" for role, value in values.items())
    if metrics.rows and metrics.reference == "teacher":
        logger.warning("%s", NO_REFERENCES)
    logger.info("%s on %s test rows: %s; %s", metrics.primary_metric, metrics.rows, shown, gate.decision)


def _profile(arguments: Arguments[EvaluateConfig]) -> Profile:
    profile = read_result(arguments.inputs["student"] / PROFILE_FILE, Profile)
    return profile.with_cost(arguments.config.serving_hour_price)


def _with_verdicts(
    rows: "list[EvaluationRow]", judgements: Path, folder: Path, config: EvaluateConfig
) -> "list[EvaluationRow]":
    """The rows with the scores of the judge. Writes judge.json."""
    from azdistill.evaluation.intervals import PairedBootstrap
    from azdistill.evaluation.judge import judge_results, with_judge_scores

    summary = read_result(judgements / JUDGE_SUMMARY_FILE, JudgeSummary)
    verdicts = list(read_rows(judgements / VERDICTS_FILE, Verdict))
    labels = list(read_rows(judgements / HUMAN_LABELS_FILE, Verdict))
    bootstrap = PairedBootstrap(config.seed, config.resamples, config.confidence)
    write_result(folder / JUDGE_FILE, judge_results(summary, verdicts, labels, bootstrap))
    return with_judge_scores(rows, verdicts, summary)


def _with_suites(metrics: Metrics, arguments: Arguments[EvaluateConfig], folder: Path) -> Metrics:
    """The metrics with those of the regression suites. Writes suites.jsonl."""
    from azdistill.evaluation.answers import LOCAL_MODELS
    from azdistill.evaluation.suites import evaluate_suite

    config, inputs = arguments.config, arguments.inputs
    read_manifest(inputs["regressions"])
    rows = list(read_rows(inputs["regressions"] / SUITES_FILE, SuiteRow))
    predictions = {role: list(read_rows(inputs[role] / SUITES_FILE, Prediction)) for role in LOCAL_MODELS}
    files = inputs.get("task_file"), inputs.get("metric_file")
    suites = [
        evaluate_suite(suite, rows, predictions, config, *files) for suite in read_suite_gates(inputs["suite_gates"])
    ]
    write_rows(folder / SUITES_FILE, [row for suite in suites for row in suite.scores])
    return metrics.model_copy(update={"regressions": tuple(suite.metrics for suite in suites)})


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
