"""Figures of the delivery of students, for `make bench-ship`: findings of linters, checked commands, and a promote.

workflow_findings   findings of zizmor and actionlint in .github/
az_commands_checked commands of scripts/cd and of all pages that were checked against scripts/az_commands.yaml; a wrong
                    one ends the benchmark
promote_s           seconds of a full promote with the recording `az`: train, summary, comment, promote and deploy
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.cd import linters
from tests.cd.az_reference import problem_of
from tests.cd.issued_commands import checked_commands
from tests.cd.recording_az import recording_az
from tests.cd.simulated_azure import SimulatedAzure

ROOT = Path(__file__).parent.parent
BUNDLE = "type: pipeline\ndisplay_name: small\ninputs: {seed: 1}\njobs: {}\n"
TARGET = {
    "AZURE_RESOURCE_GROUP": "group",
    "AZURE_ML_WORKSPACE": "workspace",
    "AZURE_ML_REGISTRY": "house",
    "AZURE_SUBSCRIPTION_ID": "s",
}


def workflow_findings() -> int:
    """Findings of zizmor and actionlint."""
    github = linters.GITHUB
    return len(linters.actionlint(linters.workflows())) + len(
        linters.zizmor(github / "workflows", github / "actions", github / "dependabot.yml")
    )


def az_commands_checked() -> int:
    """Number of checked commands. Raises AssertionError for a command or an option that is not documented."""
    lines = checked_commands()
    problems = [problem for line in lines if (problem := problem_of(line))]
    assert not problems, "\n".join(problems)
    return len(lines)


def promote_seconds() -> float:
    """Seconds from a bundle to a promoted and deployed student, with processes of the real verbs."""
    with tempfile.TemporaryDirectory() as temporary, recording_az(Path(temporary, "bin"), SimulatedAzure()):
        folder = Path(temporary)
        (folder / "pipeline.yml").write_text(BUNDLE)
        path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        environ = {**os.environ, **TARGET, "PATH": path, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": os.devnull}

        def run(*arguments: str) -> None:
            command = [sys.executable, "-m", "scripts.cd", *arguments]
            subprocess.run(command, check=True, cwd=folder, env=environ, capture_output=True)

        start = time.perf_counter()
        run("train", "--job", ".", "--poll", "0")
        run("summary")
        run("comment", "--body", "comment.md")
        job = json.loads((folder / "cd-results" / "job.json").read_bytes())
        run("promote", "--model", job["model"], "--version", job["version"], "--job-name", job["job"])
        uri = f"azureml://registries/house/models/{job['model']}/versions/{job['version']}"
        run("deploy", "--job", "job.yaml", "--model", uri)
        return time.perf_counter() - start
