"""A pipeline file in the words of Azure's own client, without a workspace."""

import gc
import io
from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml._utils import _experimental

from azdistill.azure.offline import load_pipeline_job, sdk_problems
from azdistill.azure.submission import submit
from azdistill.contracts.errors import PipelineError
from azdistill.contracts.problems import dotted
from tests.cli.conftest import Command, azdistill, folder, job
from tests.workspace.simulated import SimulatedWorkspace

__all__ = ["azdistill", "folder", "job"]

PIPELINE = "pipeline.yml"
SUFFIX = "(azure-ai-ml)"


def edit(bundle: Path, before: str, after: str) -> Path:
    path = bundle / PIPELINE
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return path


def test_a_right_pipeline_has_no_refusals(small: Path) -> None:
    assert sdk_problems(small / PIPELINE) == []


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (
            "    compute: azureml:cpu-cluster\n",
            "    compute: azureml:cpu-cluster\n    limits: {timeout: soon}\n",
            "pipeline.yml:15: jobs.register.limits.timeout: Not a valid integer",
        ),
        (
            '    inputs: {rows: "${{parent.inputs.rows}}"}\n',
            "",
            "pipeline.yml:11: jobs.register.inputs.rows: Required input 'rows' for component 'register' not provided",
        ),
    ],
)
def test_what_the_client_refuses_is_told_by_its_line(small: Path, before: str, after: str, told: str) -> None:
    path = edit(small, before, after)
    assert [str(found) for found in sdk_problems(path)] == [f"{path.parent}/{told} {SUFFIX}"]


def test_every_refusal_is_told_in_a_line_of_its_own(small: Path) -> None:
    edit(
        small, "    compute: azureml:cpu-cluster\n", "    limits: {timeout: soon}\n    resources: {instance_count: x}\n"
    )
    found = sdk_problems(small / PIPELINE)
    assert [dotted(problem.field) for problem in found] == [
        "jobs.register.resources.instance_count",
        "jobs.register.limits.timeout",
    ]
    assert not [problem for problem in found if "\n" in problem.message]


INLINE = """\
type: pipeline
jobs:
  say:
    type: command
    command: echo ${{inputs.n}}
    environment: azureml:x:1
    inputs: {n: "${{parent.inputs.gone}}"}
"""


def test_what_has_no_place_is_told_of_the_file(tmp_path: Path) -> None:
    (tmp_path / PIPELINE).write_text(INLINE)
    (found,) = sdk_problems(tmp_path / PIPELINE)
    told = "Failed to find top level definition for input binding ${{parent.inputs.gone}}"
    assert (found.field, found.message) == ((), f"{told} {SUFFIX}")


def test_a_component_file_is_read_as_one(small: Path) -> None:
    path = small / "components/say/component.yml"
    assert sdk_problems(path) == []
    path.write_text(path.read_text().replace("type: integer", "type: whole"))
    (found,) = sdk_problems(path)
    assert (found.code, found.field, found.line) == ("rejected_by_sdk", ("inputs", "rows"), 4)


def test_the_collector_and_the_client_are_left_as_they_were(small: Path) -> None:
    before = _experimental._should_skip_warning
    with pytest.raises(PipelineError):
        load_pipeline_job(small / PIPELINE, io.StringIO("type: pipeline\njobs: {a: {type: 5}}\n"), [])
    sdk_problems(small / PIPELINE)
    assert gc.isenabled()
    assert _experimental._should_skip_warning is before


def test_no_yaml_is_told_as_everywhere(small: Path) -> None:
    (small / PIPELINE).write_text("jobs: [\n")
    with pytest.raises(PipelineError, match=r"pipeline.yml:2: not valid YAML"):
        sdk_problems(small / PIPELINE)


def test_a_bundle_that_does_not_load_is_told_in_lines_and_not_sent(
    small: Path, client: MLClient, workspace: SimulatedWorkspace
) -> None:
    edit(small, "    compute: azureml:cpu-cluster\n", "    limits: {timeout: soon}\n")
    with pytest.raises(PipelineError, match=r"pipeline.yml:14: jobs.register.limits.timeout: Not a valid integer"):
        submit(client, small)
    assert not workspace.requests.of("PUT", "/jobs/")


def test_validate_asks_the_client_where_it_is_told_to(azdistill: Command, job: Path, small: Path) -> None:
    assert azdistill("validate", job, "--sdk").code == 0
    assert azdistill("validate", small, "--sdk").code == 0
    path = edit(
        small, "    compute: azureml:cpu-cluster\n", "    limits: {timeout: 60, colour: blue}\n    compute: azureml:c\n"
    )
    assert azdistill("validate", small).code == 0
    done = azdistill("validate", small, "--sdk")
    assert done.code == 2
    assert "anonymous registration" not in done.err
    assert f"{path}:14: jobs.register.limits.colour: Unknown field {SUFFIX}" in done.err
