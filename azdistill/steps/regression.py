"""`python -m azdistill.steps.regression`: the files of the regression suites to rows."""

import logging
import sys

from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.layout import PROMPTS_FILE, REJECTS_FILE, SUITES_FILE
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest, settings_of, sha256_file
from azdistill.contracts.regression import STEP, SUITE_PORTS, RegressionConfig
from azdistill.contracts.rows import Prompt
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[RegressionConfig]) -> None:
    """Write suites.jsonl and rejects.jsonl. Rejects are written also when there are too many."""
    from azdistill.data.suites import check_suite, counts, read_suite, suite_rows

    config, inputs = arguments.config, arguments.inputs
    folder = open_folder(arguments.outputs["regressions"])
    read_manifest(inputs["prompts"])
    files = [inputs[port] for port in SUITE_PORTS if port in inputs]
    suites = [
        read_suite(suite, path, inputs.get("task_file"), config.rows)
        for suite, path in zip(config.suites, files, strict=True)
    ]
    write_rows(folder / REJECTS_FILE, (reject for suite in suites for reject in suite.rejects))
    for suite in suites:
        check_suite(suite, config.max_reject_ratio)
    rows = suite_rows(suites, read_rows(inputs["prompts"] / PROMPTS_FILE, Prompt))
    write_rows(folder / SUITES_FILE, rows.rows)
    row_counts = counts(suites, rows)
    data = {suite.name: sha256_file(path) for suite, path in zip(config.suites, files, strict=True)}
    close_folder(folder, STEP.name, row_counts, settings_of(config, data))
    shown = ", ".join(f"{name} {count}" for name, count in row_counts["rows"].items())
    logger.info(
        "rows of the suites: %s; %s rejected, %s duplicates, %s that the student is trained on",
        shown,
        *(row_counts[name] for name in ("rejected", "duplicates", "leaked")),
    )


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
