"""Test rows and the student's answers to them, for the smoke test of a deployment in another workspace."""

import shutil
import tempfile
from pathlib import Path

from azdistill.azure.deployment.smoke import PREDICTIONS_OUTPUT, PROMPTS_OUTPUT
from azdistill.contracts.errors import InputError
from azdistill.contracts.layout import PREDICTIONS_FILE, PROMPTS_FILE
from scripts.cd.az import AzureCli
from scripts.cd.settings import Target

# Node and output of a job with each file, which is also its path in a run folder.
FILES = {PROMPTS_OUTPUT: PROMPTS_FILE, PREDICTIONS_OUTPUT: PREDICTIONS_FILE}


def download_answers(az: AzureCli, source: Target, job: str, run: Path) -> None:
    """Download the rows and answers of a job into `run`, which then has the layout of a run folder.

    Raises InputError for a job without them.
    """
    source.require("group", "workspace")
    assumed = [{"name": node.upper(), "display_name": node} for node, _ in FILES]
    options = ("--parent-job-name", job, *source.workspace_options)
    children = {child["display_name"]: child["name"] for child in az("ml", "job", "list", *options, assume=assumed)}
    for (node, output), file in FILES.items():
        if node not in children:
            raise InputError(
                f"it has no node {node}", subject=f"job {job!r}", code="no_answers", fix="name another job"
            )
        with tempfile.TemporaryDirectory() as temporary:
            download = ("--name", str(children[node]), "--output-name", output, "--download-path", temporary)
            az("ml", "job", "download", *download, *source.workspace_options)
            path = next(Path(temporary).rglob(file), None)
            if az.dry_run:
                continue
            if path is None:
                raise InputError(f"output {output} of {node} has no {file}", subject=f"job {job!r}", code="no_answers")
            (run / node / output).mkdir(parents=True, exist_ok=True)
            shutil.move(path, run / node / output / file)
