"""Command and sweep jobs that are not part of a pipeline."""

import pytest

from azdistill.engine.errors import PipelineError
from tests.engine.local.conftest import Project

COMMAND_JOB = """
type: command
command: echo "$GREETING $(cat ${{inputs.rows}}) ${{inputs.times}}" > ${{outputs.out}}
environment: azureml:e:1
environment_variables: {GREETING: hello}
experiment_name: greetings
inputs:
  rows: {type: uri_file, path: ./rows.txt}
  times: 2
outputs: {out: {type: uri_file}}
"""

SWEEP_JOB = """
type: sweep
trial:
  command: >-
    echo ${{inputs.base}} ${{search_space.rate}} > ${{outputs.out}} &&
    python -c "import mlflow; mlflow.log_metric('loss', ${{search_space.rate}})"
  environment: azureml:e:1
inputs: {base: 3}
outputs: {out: {type: uri_file}}
sampling_algorithm: grid
search_space: {rate: {type: choice, values: [0.5, 0.25]}}
objective: {goal: minimize, primary_metric: loss}
limits: {max_total_trials: 2}
"""


@pytest.mark.parametrize(("inputs", "expected"), [({}, "hello rows 2\n"), ({"times": "5"}, "hello rows 5\n")])
def test_a_command_job_runs_with_its_values_and_variables(
    project: Project, inputs: dict[str, str], expected: str
) -> None:
    project.write("rows.txt", "rows")
    project.write("pipeline.yml", COMMAND_JOB)
    project.run(inputs=inputs).check()
    assert project.text("pipeline") == expected


def test_a_sweep_job_gives_the_output_of_its_best_trial(project: Project) -> None:
    project.write("pipeline.yml", SWEEP_JOB)
    project.run().check()
    assert project.text("pipeline") == "3 0.25\n"


COMPONENT = """
name: say
type: command
command: echo ${{inputs.word}} ${{inputs.other}} > ${{outputs.out}}
environment: azureml:e:1
inputs:
  word: {type: string}
  other: {type: string, optional: true}
outputs: {out: {type: uri_file}}
"""

PIPELINE = """
type: pipeline
settings: {default_compute: azureml:c}
inputs: {other: {type: string, optional: true}}
jobs:
  say:
    component: ./say.yml
    inputs: {word: a, other: "${{parent.inputs.other}}"}
"""


@pytest.mark.parametrize(("pipeline", "inputs"), [(COMPONENT, {"word": "a"}), (PIPELINE, {})])
def test_an_optional_input_that_the_command_needs_is_an_error_of_a_run_without_it(
    project: Project, pipeline: str, inputs: dict[str, str]
) -> None:
    project.write("say.yml", COMPONENT)
    project.write("pipeline.yml", pipeline)
    with pytest.raises(PipelineError, match=r"inputs\.other: the command of say needs its value") as error:
        project.run(inputs=inputs)
    (problem,) = error.value.problems
    assert (problem.code, problem.line, problem.refused_by) == (
        "missing_value",
        pipeline.split("other:")[0].count("\n") + 1,
        ("engine",),
    )
    assert problem.fix == "set it with --set inputs.other=VALUE"
    project.run(inputs={**inputs, "other": "b"}).check()
    assert project.text("say") == "a b\n"
