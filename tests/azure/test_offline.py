"""Problems that Azure's own client finds in a pipeline file, without a workspace."""

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
SWEEP_JOB = """
type: sweep
trial: {command: "ls ${{search_space.n}}", environment: "azureml:e:1"}
compute: azureml:c
sampling_algorithm: grid
search_space: {n: {type: choice, values: [1, 2]}}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 2}
"""
COMPUTE = "    compute: azureml:cpu-cluster\n"


def edit(bundle: Path, before: str, after: str) -> Path:
    path = bundle / PIPELINE
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    return path


def test_a_valid_pipeline_has_no_problems(small: Path) -> None:
    assert sdk_problems(small / PIPELINE) == []


@pytest.mark.parametrize(
    ("before", "after", "line", "field", "message"),
    [
        (
            COMPUTE,
            f"{COMPUTE}    limits: {{timeout: soon}}\n",
            15,
            "jobs.register.limits.timeout",
            "Not a valid integer",
        ),
        (
            '    inputs: {rows: "${{parent.inputs.rows}}"}\n',
            "",
            11,
            "jobs.register.inputs.rows",
            "Required input 'rows' for component 'register' not provided",
        ),
    ],
)
def test_a_problem_has_the_line_and_field_that_the_client_names(
    small: Path, before: str, after: str, line: int, field: str, message: str
) -> None:
    path = edit(small, before, after)
    (problem,) = sdk_problems(path)
    assert (problem.code, problem.file, problem.line) == ("rejected_by_sdk", path, line)
    assert (dotted(problem.field), problem.message, problem.refused_by) == (field, message, ("client",))


def test_every_problem_is_one_line(small: Path) -> None:
    edit(small, COMPUTE, "    limits: {timeout: soon}\n    resources: {instance_count: x}\n")
    problems = sdk_problems(small / PIPELINE)
    assert [dotted(problem.field) for problem in problems] == [
        "jobs.register.resources.instance_count",
        "jobs.register.limits.timeout",
    ]
    assert not [problem for problem in problems if "\n" in str(problem)]


INLINE = """\
type: pipeline
jobs:
  say:
    type: command
    command: echo ${{inputs.n}}
    environment: azureml:x:1
    inputs: {n: "${{parent.inputs.gone}}"}
"""


def test_a_problem_without_a_field_is_one_of_the_file(tmp_path: Path) -> None:
    (tmp_path / PIPELINE).write_text(INLINE)
    (problem,) = sdk_problems(tmp_path / PIPELINE)
    message = "Failed to find top level definition for input binding ${{parent.inputs.gone}}"
    assert (problem.field, problem.message) == ((), message)


def test_a_component_file_is_loaded_as_a_component(small: Path) -> None:
    path = small / "components/say/component.yml"
    assert sdk_problems(path) == []
    path.write_text(path.read_text().replace("type: integer", "type: whole"))
    (problem,) = sdk_problems(path)
    assert (problem.code, problem.field, problem.line) == ("rejected_by_sdk", ("inputs", "rows"), 4)


def test_garbage_collection_and_the_client_are_restored(small: Path) -> None:
    before = _experimental._should_skip_warning
    with pytest.raises(PipelineError):
        load_pipeline_job(small / PIPELINE, io.StringIO("type: pipeline\njobs: {a: {type: 5}}\n"), [])
    sdk_problems(small / PIPELINE)
    assert gc.isenabled()
    assert _experimental._should_skip_warning is before


def test_a_file_that_is_not_yaml_is_rejected(small: Path) -> None:
    (small / PIPELINE).write_text("jobs: [\n")
    with pytest.raises(PipelineError) as error:
        sdk_problems(small / PIPELINE)
    (problem,) = error.value.problems
    assert (problem.code, problem.line) == ("invalid_yaml", 2)


def test_a_bundle_that_the_client_does_not_load_is_not_sent(
    small: Path, client: MLClient, workspace: SimulatedWorkspace
) -> None:
    edit(small, COMPUTE, "    limits: {timeout: soon}\n")
    with pytest.raises(PipelineError, match=r"pipeline.yml:14: jobs.register.limits.timeout: Not a valid integer"):
        submit(client, small)
    assert not workspace.requests.of("PUT", "/jobs/")


def test_validate_runs_the_client_with_its_option(azdistill: Command, job: Path, small: Path) -> None:
    assert azdistill("validate", job, "--sdk").code == 0
    assert azdistill("validate", small, "--sdk").code == 0
    path = edit(small, "jobs:\n", "jobs:\n  words: {type: spark, component: azureml:words:1, args: [5]}\n")
    assert azdistill("validate", small).code == 0
    done = azdistill("validate", small, "--sdk")
    assert done.code == 2
    assert "anonymous registration" not in done.err
    assert f"{path}:11: jobs.words.args: " in done.err


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("command: ls\nenvironment: azureml:e:1\ncompute: azureml:c\n", None),
        ("command: ls\nenvironment: azureml:e:1\nlimit: {timeout: 1}\n", "limit"),
        (SWEEP_JOB, None),
        (SWEEP_JOB.replace("goal: minimize", "goal: less"), "objective.goal"),
    ],
)
def test_a_job_outside_a_pipeline_is_checked_as_a_job(tmp_path: Path, text: str, field: str | None) -> None:
    path = tmp_path / "job.yml"
    path.write_text(text)
    assert [dotted(problem.field) for problem in sdk_problems(path)] == ([field] if field else [])


SPARK = "{type: spark, code: ., entry: {file: a.py}, resources: {instance_type: x, runtime_version: '3.3'}}"
ODD = """\
type: pipeline
settings: {default_compute: "azureml:cpu"}
inputs: {a: 1}
jobs:
  say:
    command: echo
    environment: azureml:x:1
"""


@pytest.mark.parametrize(
    ("before", "after", "location", "words"),
    [
        ("a: 1", "b: 2, a: 2024-01-01", "3: inputs.a: ", "Object of type date is not JSON serializable"),
        ("command: echo", "command: 5\n    outputs: {a: 5}", "7: jobs.say.outputs.a: ", "AttributeError"),
        ("a: 1", "1: 2", "3: inputs.1: ", "TypeError"),
        ("  say:\n", "  tune: {type: sweep, trial: [x]}\n  say:\n", "5: jobs.tune.trial: ", "AttributeError"),
        (
            "  say:\n",
            f"  s: {SPARK}\n  say:\n",
            "5: jobs.s.resources.instance_type: ",
            "Value 'x' passed is not in set",
        ),
    ],
)
def test_an_exception_of_the_client_is_one_line_with_its_field(
    tmp_path: Path, before: str, after: str, location: str, words: str
) -> None:
    path = tmp_path / PIPELINE
    assert before in ODD
    path.write_text(ODD.replace(before, after, 1))
    (problem,) = sdk_problems(path)
    assert str(problem).startswith(f"{path}:{location}")
    assert words in problem.message
    assert "\n" not in str(problem)
