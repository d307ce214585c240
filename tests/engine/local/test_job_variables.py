"""A command has the variables of an Azure ML job, with local values, and none of the job that the engine runs in."""

import pytest

from azdistill.contracts.azure_ml import azure_ml_job
from azdistill.engine.local.variables import rank_variables
from azdistill.engine.pipeline.run_settings import ProcessLayout
from tests.engine.local.conftest import Project
from tests.job_variables import job_variables

PIPELINE = """
experiment_name: trials
jobs:
  show:
    command: env -0 > ${{outputs.out}}
    inputs: {rows: {type: uri_file, path: ./rows.txt}, rate: 0.5}
    outputs: {out: {type: uri_file}}
    environment_variables: {AZUREML_NODE_COUNT: own, OWN: "yes"}
"""


def variables(project: Project) -> dict[str, str]:
    """Those of the command of PIPELINE."""
    return dict(line.split("=", 1) for line in project.text("show").split("\0") if line)


def test_a_command_has_the_variables_of_a_job_but_no_workspace(project: Project) -> None:
    project.write("rows.txt", "a\n")
    project.write("pipeline.yml", PIPELINE)
    project.run().check()
    shown, node = variables(project), project.folder / "show"
    expected = {
        "AZUREML_RUN_ID": "run-show",
        "AZUREML_ROOT_RUN_ID": "run",
        "AZUREML_CR_NODE_RANK": "0",
        "AZ_BATCHAI_JOB_MASTER_NODE_IP": "127.0.0.1",
        "AZUREML_CR_EXECUTION_WORKING_DIR_PATH": str(node / ".code"),
        "AZUREML_PARAMETER_rate": "0.5",
        "AZUREML_PARAMETER_rows": str(project.root / "rows.txt"),
        "AZURE_ML_INPUT_rows": str(project.root / "rows.txt"),
        "AZURE_ML_OUTPUT_out": str(node / "out"),
        "AZUREML_NODE_COUNT": "own",
        "OWN": "yes",
    }
    assert {name: shown.get(name) for name in expected} == expected
    assert not [name for name in shown if name.startswith(("AZUREML_ARM", "AZUREML_WORKSPACE")) or "RUN_TOKEN" in name]
    assert azure_ml_job(shown) is None


def test_the_variables_of_the_job_that_the_engine_runs_in_do_not_reach_a_command(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = job_variables("outer") | {
        "MLFLOW_RUN_ID": "outer",
        "RANK": "3",
        "WORLD_SIZE": "4",
        "AZURE_ML_INPUT_x": "/x",
    }
    others |= {"AZUREML_PARAMETER_x": "/x", "AZ_BATCH_MASTER_NODE": "10.0.0.4:6000", "OMPI_COMM_WORLD_RANK": "3"}
    for name, value in others.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", "AzureChinaCloud")
    project.write("rows.txt", "a\n")
    project.write("pipeline.yml", PIPELINE)
    project.run().check()
    shown = variables(project)
    assert {name for name in others if name in shown} == {"AZUREML_RUN_ID"}
    assert (shown["AZUREML_RUN_ID"], shown["AZUREML_CURRENT_CLOUD"]) == ("run-show", "AzureChinaCloud")


def test_a_simulated_workspace_has_names_and_is_not_taken_for_one_of_azure(project: Project) -> None:
    project.write("rows.txt", "a\n")
    project.write("pipeline.yml", PIPELINE)
    project.run(simulate_workspace=True).check()
    shown = variables(project)
    assert shown["AZUREML_ARM_PROJECT_NAME"] == "trials"
    assert shown["AZUREML_WORKSPACE_SCOPE"].startswith(f"/subscriptions/{shown['AZUREML_ARM_SUBSCRIPTION']}/")
    assert shown["AZUREML_WORKSPACE_SCOPE"].endswith(f"/{shown['AZUREML_ARM_WORKSPACE_NAME']}")
    assert azure_ml_job(shown) is None
    assert project.states() == {"show": "reused"}


def test_ids_of_jobs_have_no_blanks(project: Project) -> None:
    project.write(
        "pipeline.yml", "jobs: {show: {command: 'mkdir outputs/$AZUREML_RUN_ID outputs/$AZUREML_ROOT_RUN_ID'}}"
    )
    project.run(folder=project.root / "my first (run)").check()
    outputs = project.root / "my first (run)/show/.code/outputs"
    assert sorted(path.name for path in outputs.iterdir()) == ["my_first__run_", "my_first__run_-show"]


def test_the_only_node_of_a_file_is_its_own_root(project: Project) -> None:
    project.write("pipeline.yml", "command: 'echo $AZUREML_RUN_ID $AZUREML_ROOT_RUN_ID > outputs/ids'\ntype: command")
    project.run().check()
    ((name, _),) = project.run().nodes.items()
    assert (project.folder / name / ".code/outputs/ids").read_text().split() == [f"run-{name}"] * 2


def test_mpi_processes_of_several_instances_have_the_address_of_the_first() -> None:
    _, last = rank_variables(ProcessLayout("mpi", instances=2, per_instance=1), port=5)
    assert (last["AZ_BATCH_MASTER_NODE"], last["AZUREML_CR_NODE_RANK"]) == ("127.0.0.1:5", "1")
