"""`python -m azdistill.steps.predict`: answer the test rows with a model."""

import os
import sys

from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.layout import PREDICTIONS_FILE, PROFILE_FILE, PROMPTS_FILE
from azdistill.contracts.manifest import close_folder, open_folder, provenance_of, read_manifest
from azdistill.contracts.predict import STEP, PredictConfig
from azdistill.contracts.results import write_result
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step


def body(arguments: Arguments[PredictConfig]) -> None:
    """Write predictions.jsonl and profile.json."""
    read_manifest(arguments.inputs["prompts"])  # fails before the slow imports
    from azdistill.generation.predict import predict
    from azdistill.students.gpus import check_gpus
    from azdistill.students.loading import load_student

    check_gpus(os.environ)
    config = arguments.config
    folder = open_folder(arguments.outputs["predictions"])
    prompts = read_rows(arguments.inputs["prompts"] / PROMPTS_FILE, Prompt)
    test_prompts = [prompt for prompt in prompts if prompt.split == "test"]
    template = arguments.inputs.get("chat_template")
    chat_template = template.read_text(encoding="utf-8") if template else None
    student = load_student(arguments.inputs["model"], config.weights, config.seed, chat_template=chat_template)
    predictions, profile = predict(student, test_prompts, config)
    write_rows(folder / PREDICTIONS_FILE, predictions)
    write_result(folder / PROFILE_FILE, profile)
    counts = {"rows": profile.rows, "truncated": sum(row.truncated for row in predictions)}
    close_folder(folder, STEP.name, counts, provenance_of(config))


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
