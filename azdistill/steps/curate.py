"""`python -m azdistill.steps.curate`: completions to training rows."""

import logging
import sys
from pathlib import Path

from azdistill.contracts.curate import STEP, CurateConfig
from azdistill.contracts.files import read_rows, write_json, write_rows
from azdistill.contracts.layout import (
    COMPLETIONS_FILE,
    DROP_COUNTS_FILE,
    DROPS_FILE,
    TRAIN_FILE,
    USAGE_FILE,
    VALIDATION_FILE,
)
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of
from azdistill.contracts.results import Usage, read_result
from azdistill.contracts.rows import Completion
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[CurateConfig]) -> None:
    """Write train.jsonl, validation.jsonl and the drops. Drops are written also when there are too many."""
    from azdistill.data.curate import check_drops, curate
    from azdistill.data.teacher_check import check_teacher

    config, completions = arguments.config, arguments.inputs["completions"]
    folder = open_folder(arguments.outputs["curated"])
    read_manifest(completions)
    rows, task_file = completions / COMPLETIONS_FILE, arguments.inputs.get("task_file")
    curated = curate(read_rows(rows, Completion), config, task_file)
    write_rows(folder / DROPS_FILE, curated.drops)
    write_json(folder / DROP_COUNTS_FILE, curated.counts())
    check_drops(curated, config.max_drop_ratio)
    if not _is_simulated(completions):
        check_teacher(read_rows(rows, Completion), config, task_file)
    write_rows(folder / TRAIN_FILE, curated.train)
    write_rows(folder / VALIDATION_FILE, curated.validation)
    close_folder(folder, STEP.name, curated.counts(), settings_of(config))
    traces = f" ({curated.traces} of them traces)" if curated.traces else ""
    train, validation, drops = len(curated.train), len(curated.validation), len(curated.drops)
    logger.info("%d train%s, %d validation rows; %d dropped", train, traces, validation, drops)


def _is_simulated(completions: Path) -> bool:
    """True for the answers of simulated teachers, which have the form of the task only."""
    usage = completions / USAGE_FILE
    return usage.is_file() and read_result(usage, Usage).simulated


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
