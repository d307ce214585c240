"""`python -m azdistill.steps.evaluate`: student, baseline and teacher on the same test rows, and the gates."""

import sys
from typing import Literal

from azdistill.contracts.evaluate import STEP, EvaluateConfig
from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.results import GATE_FILE, METRICS_FILE, SCORES_FILE, write_result
from azdistill.contracts.rows import Completion, Prediction, Prompt
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

OURS: tuple[Literal["baseline", "student"], ...] = ("baseline", "student")


def body(arguments: Arguments[EvaluateConfig]) -> None:
    """Write metrics.json, gate.json and scores.jsonl. A student that is refused is a result, not a failure."""
    from azdistill.evaluation.answers import align
    from azdistill.evaluation.gates import decide
    from azdistill.evaluation.metrics import evaluate

    folder = open_folder(arguments.outputs["evaluation"])
    files = arguments.inputs
    for complete in ("prompts", "completions", *OURS):
        read_manifest(files[complete])
    rows = align(
        read_rows(files["prompts"] / "prompts.jsonl", Prompt),
        read_rows(files["completions"] / "completions.jsonl", Completion),
        {who: read_rows(files[who] / "predictions.jsonl", Prediction) for who in OURS},
    )
    evaluation = evaluate(rows, arguments.config, files.get("task_file"))
    gate = decide(evaluation.metrics, arguments.config)
    write_result(folder / METRICS_FILE, evaluation.metrics)
    write_result(folder / GATE_FILE, gate)
    write_rows(folder / SCORES_FILE, evaluation.scores)
    close_folder(folder, STEP.name, {"rows": evaluation.metrics.rows, "decision": gate.decision})
    figures = {role: model.value("accuracy") for role, model in evaluation.metrics.models.items()}
    right = ", ".join(f"{who} n/a" if part is None else f"{who} {part:.1%}" for who, part in figures.items())
    print(f"right on {evaluation.metrics.rows} test rows: {right}; {gate.decision}")


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
