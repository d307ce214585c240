"""Render the report from what the steps wrote."""

import sys

from azdistill.contracts.files import write_json, write_text
from azdistill.contracts.manifest import close_folder, open_folder
from azdistill.contracts.report import STEP, ReportConfig
from azdistill.contracts.step import Arguments
from azdistill.steps.runner import run_step


def body(arguments: Arguments[ReportConfig]) -> None:
    from azdistill.reporting.collect import Folders, collect
    from azdistill.reporting.render import html, markdown

    config = arguments.config
    output = open_folder(arguments.outputs["report"])
    report = collect(Folders(**arguments.inputs), config.title, config.registered_model)
    write_json(output / "report.json", report.model_dump(mode="json"))
    write_text(output / "report.html", html(report))
    write_text(output / "report.md", markdown(report))
    close_folder(output, STEP.name, {"decision": report.verdict.decision, "test_rows": report.test_rows})
    print(report.headline)


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
