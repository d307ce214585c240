"""`python -m azdistill.steps.train`: fine-tune the student on the curated rows."""

import hashlib
import sys
from pathlib import Path

from azdistill.contracts.files import read_rows, write_json
from azdistill.contracts.manifest import NAME, close_folder, open_folder, read_manifest, sha256_file
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.step import Arguments
from azdistill.contracts.train import STEP, TrainConfig
from azdistill.steps.runner import run_step
from azdistill.students.folders import fingerprint


def body(arguments: Arguments[TrainConfig]) -> None:
    """Write model/ and the metrics. Checkpoints are cleared once both are complete."""
    read_manifest(arguments.inputs["curated"])  # before the slow imports
    from azdistill.training.checkpoints import clear
    from azdistill.training.fine_tune import fine_tune
    from azdistill.training.history import write_history
    from azdistill.training.setup import precision

    config, curated, outputs = arguments.config, arguments.inputs["curated"], arguments.outputs
    model, metrics = open_folder(outputs["model"]), open_folder(outputs["metrics"])
    tuned = fine_tune(
        list(read_rows(curated / "train.jsonl", TrainRow)),
        list(read_rows(curated / "validation.jsonl", TrainRow)),
        arguments.inputs["student"],
        config,
        outputs["checkpoints"],
        work_of(config, curated, arguments.inputs["student"]),
    )
    if not tuned.leads:
        return
    tuned.student.save(model, precision(config))
    close_folder(model, STEP.name, {"parameters": tuned.figures.parameters})
    write_json(metrics / "metrics.json", tuned.figures.as_json())
    write_history(metrics / "history.jsonl", tuned.history)
    close_folder(metrics, STEP.name, {"train_rows": tuned.figures.train_rows, "steps": tuned.figures.steps})
    clear(outputs["checkpoints"])


def work_of(config: TrainConfig, curated: Path, student: Path) -> str:
    """What a checkpoint must be of to be continued: this student and these rows, in these settings."""
    told = f"{config!r} {sha256_file(curated / NAME)} {fingerprint(student)}"
    return hashlib.sha256(told.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
