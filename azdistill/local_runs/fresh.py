"""A model on rows that its job did not know."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.prepare import PrepareConfig


def measured(
    model: Path, rows: Path, task: str, task_file: Path | None, config: PredictConfig
) -> Mapping[str, float | None]:
    """How a model answers a file of rows, held against their reference answers.

    Figures by the names of report.json: accuracy 0 to 1, latency in seconds, memory in bytes. Raises DataError for
    rows that can't be read, or none of which has a reference answer.
    """
    from azdistill.data.prepare import read_prompts
    from azdistill.generation.predict import predict
    from azdistill.metrics.bleu import bleu
    from azdistill.students.loading import load_student
    from azdistill.tasks.registry import task_of

    prepare = PrepareConfig.model_validate({"task": task})
    prompts, _ = read_prompts(rows, prepare, task_file)
    held = [prompt for prompt in prompts if prompt.gold is not None]
    if not held:
        raise DataError(
            f"test_data {str(rows)!r}: no row has a reference answer; give each a gold, or an assistant turn"
        )
    answers, profile = predict(load_student(model, config.weights, config.seed), held, config)
    read = task_of(prepare.task, task_file)
    right = sum(_is_right(read, answer, str(prompt.gold)) for prompt, answer in zip(held, answers, strict=True))
    return {
        "accuracy": right / len(held),
        "bleu": bleu([answer.completion for answer in answers], [str(prompt.gold) for prompt in held]).value,
        "answered": len(held),
        "latency_p50_s": profile.latency_p50_s,
        "latency_p95_s": profile.latency_p95_s,
        "tokens_per_s": profile.tokens_per_s,
        "peak_memory_bytes": profile.peak_memory_bytes,
        "parameters": profile.parameters,
    }


def _is_right(task: Any, answer: Any, gold: str) -> bool:
    said, reference = task.answer(answer.completion), task.answer(gold)
    return not answer.truncated and None not in (said, reference) and task.correct(said, reference)
