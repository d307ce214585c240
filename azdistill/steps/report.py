"""`python -m azdistill.steps.report`: render the report from the files of the other steps."""

import logging
import os
import sys

from azdistill.contracts.files import read_json, write_json, write_text
from azdistill.contracts.layout import REPORT_FILE, REPORT_HTML_FILE, REPORT_MARKDOWN_FILE, TRAINING_METRICS_FILE
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.report import STEP, ReportConfig
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step

logger = logging.getLogger("azdistill.steps")


def body(arguments: Arguments[ReportConfig]) -> None:
    """Write report.json, report.html and report.md."""
    from azdistill.reporting.collect import Folders, collect
    from azdistill.reporting.render import html, markdown
    from azdistill.reporting.trials import read_trials

    config, folders = arguments.config, Folders(**arguments.inputs)
    output, trials = open_folder(arguments.outputs["report"]), None
    if config.swept_fields:
        read_manifest(folders.training)
        metrics = read_json(folders.training / TRAINING_METRICS_FILE)
        fields = config.swept_fields.split(",")
        trials = read_trials(os.environ.get("MLFLOW_TRACKING_URI"), metrics.get("mlflow_run"), fields)
    report = collect(folders, config, trials)
    write_json(output / REPORT_FILE, report.model_dump(mode="json"))
    write_text(output / REPORT_HTML_FILE, html(report))
    write_text(output / REPORT_MARKDOWN_FILE, markdown(report))
    close_folder(output, STEP.name, {"decision": report.verdict.decision, "test_rows": report.test_rows})
    logger.info("%s", report.headline)


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
