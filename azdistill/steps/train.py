"""`python -m azdistill.steps.train`: fine-tune the student on the curated rows."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import read_rows, write_json
from azdistill.contracts.layout import (
    HISTORY_FILE,
    MANIFEST_FILE,
    TRAIN_FILE,
    TRAINING_METRICS_FILE,
    USAGE_FILE,
    VALIDATION_FILE,
)
from azdistill.contracts.manifest import (
    Provenance,
    close_folder,
    open_folder,
    provenance_of,
    read_manifest,
    sha256_file,
)
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.scoring import Scorer
from azdistill.contracts.step import Arguments
from azdistill.contracts.train import STEP, WHITE_BOX_PORTS, TrainConfig, job_folder, resumable_settings
from azdistill.steps.runner import run_step
from azdistill.students.folders import fingerprint

if TYPE_CHECKING:
    from azdistill.training.fine_tune import FineTuned

Config = TypeVar("Config", bound=TrainConfig)

MEMORY_FIX = (
    "lower train.batch_size or raise train.gradient_accumulation_steps, set train.gradient_checkpointing: true or "
    "train.method: lora, or choose a VM size with a larger GPU; `azdistill plan` estimates the memory"
)

# Length of the folder name; the complete hash is in the checkpoints.
HASH_DIGITS = 16


@dataclass(frozen=True)
class ScoringSource:
    """A scoring teacher that is ready inside the context that `open` returns. `identity` is a text that identifies it,
    `models` are the folders of models in this process or next to it."""

    identity: str
    open: Callable[[], AbstractContextManager[Scorer]]
    models: Mapping[str, Path]


def body(arguments: Arguments[TrainConfig]) -> None:
    train(arguments)


def train(arguments: Arguments[Config], scoring: ScoringSource | None = None) -> None:
    """Write the model and its metrics, then delete the checkpoints.

    Each job has a separate folder of checkpoints, so that concurrent jobs do not overwrite each other's.
    """
    read_manifest(arguments.inputs["curated"])  # fails before the slow imports
    from azdistill.students.errors import fitting_memory, saving
    from azdistill.students.gpus import check_gpus
    from azdistill.training.checkpoints import checkpoints_of_jobs, delete_all
    from azdistill.training.fine_tune import fine_tune

    config, inputs, outputs = arguments.config.resolved(), arguments.inputs, arguments.outputs
    check_gpus(os.environ, required_of_trial=config.required_gpus)
    chat_template = inputs["chat_template"].read_text(encoding="utf-8") if "chat_template" in inputs else None
    teachers = {port: inputs[port] for port in WHITE_BOX_PORTS if port in inputs}
    inputs_hash = hash_inputs(
        config,
        inputs["curated"],
        inputs["student"],
        chat_template,
        int(os.environ.get("WORLD_SIZE", "1")),
        inputs.get("completions"),
        tuple(teachers.values()),
        scoring.identity if scoring else "",
    )
    jobs = outputs["checkpoints"] / inputs_hash[:HASH_DIGITS]
    checkpoints = jobs / job_folder(outputs["model"])
    with saving(jobs, "the outputs"):
        open_folder(outputs["model"])
        open_folder(outputs["metrics"])
        checkpoints.mkdir(parents=True, exist_ok=True)
        at_start = checkpoints_of_jobs(jobs, inputs_hash)
    tokenized = local_folder(f"azdistill-{inputs_hash[:HASH_DIGITS]}-{checkpoints.name}")
    is_main = int(os.environ.get("RANK", "0")) == 0
    with fitting_memory(MEMORY_FIX), scoring.open() if scoring and is_main else nullcontext() as scorer:
        tuned = fine_tune(
            TrainRows(inputs["curated"] / TRAIN_FILE),
            TrainRows(inputs["curated"] / VALIDATION_FILE),
            inputs["student"],
            config,
            checkpoints,
            inputs_hash,
            [folder for folder in jobs.iterdir() if folder != checkpoints],
            chat_template,
            tokenized=tokenized,
            workers=os.cpu_count() or 1,
            completions=inputs.get("completions"),
            white_box=tuple(teachers.values()),
            scorer=scorer,
        )
    if tuned.is_main_process:
        models = {"student": inputs["student"], **teachers, **(scoring.models if scoring else {})}
        provenance = provenance_of(config, {name: fingerprint(folder) for name, folder in models.items()})
        _write_outputs(tuned, outputs, provenance, scorer)
        delete_all(jobs, checkpoints, inputs_hash, at_start)
        shutil.rmtree(tokenized, ignore_errors=True)


def _write_outputs(
    tuned: "FineTuned", outputs: Mapping[str, Path], provenance: Provenance, scorer: Scorer | None
) -> None:
    """Write the student, and its metrics with the usage of the scoring teacher. The provenance is in the latter."""
    from azdistill.students.errors import saving
    from azdistill.training.metrics import write_history

    model, metrics = outputs["model"], outputs["metrics"]
    tuned.student.save(model, tuned.dtype)
    with saving(model, "the student"):
        close_folder(model, STEP.name, {"parameters": tuned.metrics.parameters})
    with saving(metrics, "the metrics"):
        write_json(metrics / TRAINING_METRICS_FILE, tuned.metrics.as_json())
        write_history(metrics / HISTORY_FILE, tuned.history)
        if scorer:
            write_json(metrics / USAGE_FILE, scorer.usage())
        counts = {"train_rows": tuned.metrics.train_rows, "steps": tuned.metrics.steps}
        close_folder(metrics, STEP.name, counts, provenance)


@dataclass(frozen=True)
class TrainRows:
    """The rows of a file of the curate step. They are read whenever they are iterated."""

    path: Path

    def __iter__(self) -> Iterator[TrainRow]:
        return read_rows(self.path, TrainRow)


def local_folder(name: str) -> Path:
    """A folder for temporary files on the disk of this node, which its other processes find by its name.

    Raises AzdistillError when it belongs to another user, who could write other rows there.
    """
    folder = Path(tempfile.gettempdir()) / name
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise AzdistillError(
            "belongs to another user", subject=str(folder), code="foreign_folder", fix="delete it, or set TMPDIR"
        )
    return folder


def hash_inputs(
    config: TrainConfig,
    curated: Path,
    student: Path,
    chat_template: str | None = None,
    processes: int = 1,
    completions: Path | None = None,
    white_box: Sequence[Path] = (),
    scorer: str = "",
) -> str:
    """Hash of student, chat template, rows, log probabilities, teachers and settings: a checkpoint is resumed only with
    the same ones. `scorer` identifies a scoring teacher.

    With another number of processes, an epoch has another number of steps.
    """
    inputs = f"{sha256_file(curated / MANIFEST_FILE)} {fingerprint(student)} {chat_template} {processes}"
    if completions is not None:
        inputs += f" {sha256_file(completions / MANIFEST_FILE)}"
    inputs += "".join(f" {fingerprint(folder)}" for folder in white_box) + scorer
    return hashlib.sha256(f"{resumable_settings(config)} {inputs}".encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
