"""Command and sweep jobs that are not part of a pipeline."""

import pytest

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
