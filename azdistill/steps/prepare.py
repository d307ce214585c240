"""`python -m azdistill.steps.prepare`: the user's files to prompts."""

import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from azdistill.contracts.manifest import close_folder, open_folder, settings_of, sha256_path
from azdistill.contracts.prepare import STEP, PrepareConfig
from azdistill.contracts.rows import Split
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")

# From this fraction of nearly leaked rows on, the cause is probably a text that many rows share, such as a passage.
MANY_LEAKED = 0.05

SPLIT_OF_PORT: dict[str, Split] = {"training_data": "train", "validation_data": "validation", "test_data": "test"}


def body(arguments: Arguments[PrepareConfig]) -> None:
    """Write the folder of prompts."""
    from azdistill.data.prepare import prepare

    config, inputs = arguments.config, arguments.inputs
    folder = open_folder(arguments.outputs["prompts"])
    files = {split: inputs[port] for port, split in SPLIT_OF_PORT.items() if port in inputs}
    counts = prepare(files, config, folder, inputs.get("task_file"))
    if "public_test_sets" in inputs:
        from azdistill.data.public_test_sets import check_public_test_sets

        counts["public_test_sets"] = check_public_test_sets(folder, inputs["public_test_sets"])
    data = {port: sha256_path(path) for port, path in inputs.items()}
    close_folder(folder, STEP.name, counts, settings_of(config, data))
    logger.info("; ".join(_summary(counts, config)))


def _summary(counts: Mapping[str, Any], config: PrepareConfig) -> Iterator[str]:
    """Parts of the last line of the log, which `azdistill run` shows."""
    yield "{train} train, {validation} validation, {test} test rows".format_map(counts)
    removed = {"rejected": counts["rejected"], **counts["left_out"]}
    yield "left out: " + ", ".join(f"{count} {reason}" for reason, count in removed.items())
    if "personal_data" in counts:
        values = ", ".join(f"{count} {kind}" for kind, count in counts["personal_data"]["values"].items())
        yield f"personal data{' redacted' if config.pii == 'redact' else ''}: {values or 'none'}"
    leakage = counts.get("leakage", {"near_leaked": 0, "compared": 0})
    if leakage["near_leaked"] > MANY_LEAKED * leakage["compared"]:
        yield "{near_leaked} of {compared} rows are nearly held-out rows".format_map(leakage)
        yield (
            "for questions about the same passages, set prepare.group_column to the passage's title, or "
            "prepare.leakage: report to keep them"
        )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
