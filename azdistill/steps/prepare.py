"""`python -m azdistill.steps.prepare`: the user's files to prompts."""

import logging
import sys

from azdistill.contracts.files import write_rows
from azdistill.contracts.layout import PROMPTS_FILE, REJECTS_FILE
from azdistill.contracts.manifest import close_folder, open_folder, settings_of, sha256_path
from azdistill.contracts.prepare import STEP, PrepareConfig
from azdistill.contracts.rows import Split
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")

SPLIT_OF_PORT: dict[str, Split] = {"training_data": "train", "validation_data": "validation", "test_data": "test"}


def body(arguments: Arguments[PrepareConfig]) -> None:
    """Write prompts.jsonl and rejects.jsonl. Rejects are written also when there are too many."""
    from azdistill.data.prepare import counts, prepare, read_files

    config, inputs = arguments.config, arguments.inputs
    folder = open_folder(arguments.outputs["prompts"])
    files = {split: inputs[port] for port, split in SPLIT_OF_PORT.items() if port in inputs}
    rows = read_files(files, config, inputs.get("task_file"))
    write_rows(folder / REJECTS_FILE, rows.rejects)
    splits = prepare(rows, config)
    write_rows(folder / PROMPTS_FILE, splits.prompts)
    data = {port: sha256_path(path) for port, path in inputs.items()}
    row_counts = counts(rows, splits)
    close_folder(folder, STEP.name, row_counts, settings_of(config, data))
    logger.info(
        "%(train)s train, %(validation)s validation, %(test)s test rows; "
        "%(rejected)s rejected, %(duplicates)s duplicates, %(leaked)s leaked",
        row_counts,
    )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
