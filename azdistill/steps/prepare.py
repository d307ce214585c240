"""`python -m azdistill.steps.prepare`: the user's files to prompts."""

import logging
import sys

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
    left_out = "".join(f", {count} {reason}" for reason, count in counts["left_out"].items())
    logger.info(
        "%(train)s train, %(validation)s validation, %(test)s test rows; left out: %(rejected)s rejected%(left_out)s",
        {**counts, "left_out": left_out},
    )
    leakage = counts.get("leakage", {"near_leaked": 0, "compared": 0})
    if leakage["near_leaked"] > MANY_LEAKED * leakage["compared"]:
        logger.warning(
            "%(near_leaked)s of %(compared)s rows are nearly held-out rows; for questions about the same passages, set "
            "prepare.group_column to the passage's title, or prepare.leakage: report to keep them",
            leakage,
        )
    if "personal_data" in counts:
        values = ", ".join(f"{count} {kind}" for kind, count in counts["personal_data"]["values"].items())
        redacted = " redacted" if config.pii == "redact" else ""
        logger.info("personal data%s: %s", redacted, values or "none")


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
