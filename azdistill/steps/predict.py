"""`python -m azdistill.steps.predict`: answer the test rows with a model."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.layout import (
    COMPLETIONS_FILE,
    PREDICTIONS_FILE,
    PROFILE_FILE,
    PROMPTS_FILE,
    SUITES_FILE,
    UNFINISHED,
)
from azdistill.contracts.manifest import (
    close_folder,
    installed_versions,
    open_folder,
    provenance_of,
    read_manifest,
)
from azdistill.contracts.predict import STEP, PredictConfig
from azdistill.contracts.results import write_result
from azdistill.contracts.rows import Completion, Prompt
from azdistill.contracts.step import Arguments
from azdistill.contracts.suites import SuiteRow
from azdistill.steps.runner import run_step

if TYPE_CHECKING:
    from azdistill.generation.unfinished import UnfinishedAnswers
    from azdistill.students.loading import Student


def body(arguments: Arguments[PredictConfig]) -> None:
    """Write predictions.jsonl and profile.json, and suites.jsonl in a job with regression suites.

    Answers to suites do not count for the profile. A row of two suites is answered once.
    """
    inputs = arguments.inputs
    for name in {"prompts", "completions", "regressions"} & inputs.keys():
        read_manifest(inputs[name])  # fails before the slow imports
    from azdistill.students.errors import fitting_memory
    from azdistill.students.gpus import check_gpus

    check_gpus(os.environ)
    with fitting_memory("lower predict.batch_size, or choose a VM size with a larger GPU"):
        _answer_rows(arguments)


def _answer_rows(arguments: Arguments[PredictConfig]) -> None:
    from azdistill.generation.predict import predict
    from azdistill.students.loading import load_student

    inputs, config = arguments.inputs, arguments.config
    folder = open_folder(arguments.outputs["predictions"])
    prompts = [prompt for prompt in read_rows(inputs["prompts"] / PROMPTS_FILE, Prompt) if prompt.split == "test"]
    template = inputs.get("chat_template")
    chat_template = template.read_text(encoding="utf-8") if template else None
    student = load_student(inputs["model"], config.weights, config.seed, chat_template=chat_template)
    unfinished = unfinished_answers(folder / UNFINISHED, inputs["model"], student, config)
    references = reference_answers(prompts, inputs.get("completions"))
    predictions, profile = predict(student, prompts, config, references, unfinished)
    write_rows(folder / PREDICTIONS_FILE, predictions)
    counts = {"rows": profile.rows, "truncated": sum(row.truncated for row in predictions)}
    if "regressions" in inputs:
        rows = {row.id: row for row in read_rows(inputs["regressions"] / SUITES_FILE, SuiteRow)}
        unmeasured = config.model_copy(update={"latency_rows": 0, "latency_concurrency": 1})
        answers, _ = predict(student, list(rows.values()), unmeasured, {}, unfinished)
        counts["suite_rows"] = write_rows(folder / SUITES_FILE, answers)
    write_result(folder / PROFILE_FILE, profile)
    unfinished.delete()
    close_folder(folder, STEP.name, counts, provenance_of(config))


def reference_answers(prompts: Sequence[Prompt], completions: Path | None) -> dict[str, str]:
    """By the id of the prompt: the first gold, or the teacher's complete answers where no test row has a gold."""
    from azdistill.generation.predict import gold_references

    references = gold_references(prompts)
    if references or completions is None:
        return references
    answers = read_rows(completions / COMPLETIONS_FILE, Completion)
    return {row.id: row.completion for row in answers if row.split == "test" and row.finish_reason == "stop"}


def unfinished_answers(folder: Path, model: Path, student: "Student", config: PredictConfig) -> "UnfinishedAnswers":
    """Answers of an interrupted attempt with the same model, settings and versions."""
    from azdistill.generation.unfinished import UnfinishedAnswers, key_of
    from azdistill.students.folders import fingerprint

    settings = {
        "model": fingerprint(model),
        "weights": config.weights,
        "seed": config.seed,
        "engine": config.engine,
        "max_new_tokens": config.max_new_tokens,
        "ends": student.model.generation_config.eos_token_id,
        "device": student.device.type,
        "dtype": str(student.model.dtype),
        "versions": installed_versions(),
    }
    return UnfinishedAnswers(folder, key_of(settings))


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
