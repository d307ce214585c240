"""The client streams, cancels, lists and downloads jobs, whose statuses are scripted."""

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.exceptions import JobException, PipelineChildJobError
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.simulated import SimulatedWorkspace

LOG = "logs/azureml/executionlogs.txt"


@pytest.fixture
def pipeline(client: MLClient, workspace: SimulatedWorkspace) -> str:
    """A pipeline that is queued, runs, and has completed at the third request."""
    workspace.jobs.script = ["Queued", "Running", "Completed"]
    return str(scenarios.job(client, "scheduled.yml", "pipeline-1").name)


def test_each_request_moves_a_job_to_its_next_status(pipeline: str, client: MLClient) -> None:
    statuses = [client.jobs.get(pipeline).status for _ in range(4)]
    assert statuses == ["Queued", "Running", "Completed", "Completed"]


def test_the_client_streams_the_log_until_the_job_has_completed(
    pipeline: str, client: MLClient, workspace: SimulatedWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.jobs[pipeline].script = ["Queued", "Running", "Running", "Completed"]
    workspace.runs.log(pipeline, LOG, "train: started\ntrain: completed\n")
    client.jobs.stream(pipeline)
    printed = capsys.readouterr().out
    assert f"Streaming {LOG}" in printed
    assert printed.count("train: started\ntrain: completed\n") == 1


def test_streaming_a_failed_job_raises_the_error_of_run_history(
    pipeline: str, client: MLClient, workspace: SimulatedWorkspace
) -> None:
    workspace.jobs[pipeline].script = ["Running", "Failed"]
    workspace.jobs[pipeline].error = "train exited with 3"
    with pytest.raises(JobException, match="train exited with 3"):
        client.jobs.stream(pipeline)


def test_the_log_of_a_command_is_read_from_the_artifact_store(
    client: MLClient, workspace: SimulatedWorkspace, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios.environment(client, "environment")
    scenarios.job(client, "command.yml", "command-1")
    workspace.jobs["command-1"].script = ["Running", "Running", "Completed"]
    workspace.runs.log("command-1", "user_logs/std_log.txt", "loss 0.1\n")
    client.jobs.stream("command-1")
    assert "loss 0.1" in capsys.readouterr().out


def test_children_of_a_pipeline_are_its_nodes(pipeline: str, client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.jobs[pipeline].child("train").script = ["Running"]
    children = list(client.jobs.list(parent_job_name=pipeline))
    assert [(child.name, child.display_name, child.status) for child in children] == [
        (f"{pipeline}-train", "train", "Running")
    ]
    assert client.jobs.get(f"{pipeline}-train").status == "Running"


def test_a_child_cannot_be_streamed(pipeline: str, client: MLClient) -> None:
    """Its log is in the details of its run, or can be downloaded."""
    with pytest.raises(PipelineChildJobError, match="not supported on pipeline child job"):
        client.jobs.stream(f"{pipeline}-train")


def test_logs_and_outputs_of_a_child_are_downloaded(
    pipeline: str, client: MLClient, workspace: SimulatedWorkspace, tmp_path: Path
) -> None:
    child = workspace.jobs[pipeline].child("train")
    child.script = ["Completed"]
    workspace.runs.log(child.name, "user_logs/std_log.txt", "loss 0.1\n")
    workspace.runs.output(child.name, "checkpoints", {"step-1/state.json": "{}"})
    client.jobs.download(child.name, download_path=tmp_path, all=True)
    assert (tmp_path / "artifacts/user_logs/std_log.txt").read_text() == "loss 0.1\n"
    assert (tmp_path / "named-outputs/checkpoints/step-1/state.json").read_text() == "{}"


def test_cancelling_a_job_cancels_its_children(pipeline: str, client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.operations.polls = 2
    poller = client.jobs.begin_cancel(pipeline)
    assert client.jobs.get(pipeline).status == "CancelRequested"
    poller.result()
    assert client.jobs.get(pipeline).status == "Canceled"
    assert workspace.jobs[pipeline].child("train").status == "Canceled"
    statuses = [seen.status for seen in workspace.requests.of("GET", "mfeOperationResults")]
    assert statuses == [202, 202, 200]


def test_a_name_is_used_once(pipeline: str, client: MLClient) -> None:
    scenarios.job(client, "scheduled.yml", pipeline)  # an identical job is accepted and changes nothing
    with pytest.raises(
        HttpResponseError, match=r"this name already exists.* existing job's .*inputs.* cannot be changed"
    ):
        scenarios.job(client, "pipeline.yml", pipeline)


def test_a_job_gets_new_labels_and_is_found_by_its_tag(pipeline: str, client: MLClient) -> None:
    client.jobs.update(pipeline, display_name="Tuesday", tags={"bundle": "0f3a"})
    assert client.jobs.get(pipeline).display_name == "Tuesday"
    assert [job.name for job in client.jobs.list(tag="bundle=0f3a")] == [pipeline]
    assert list(client.jobs.list(tag="bundle=9e1c")) == []


def test_an_archived_job_is_no_longer_listed(pipeline: str, client: MLClient) -> None:
    client.jobs.archive(pipeline)
    assert list(client.jobs.list()) == []
    assert [job.name for job in client.jobs.list(list_view_type="ArchivedOnly")] == [pipeline]


def test_an_unknown_job_is_not_found(client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="'pipeline-2' was not found"):
        client.jobs.get("pipeline-2")


@pytest.mark.parametrize("name", ["pipeline.1", "-pipeline", "p" * 256])
def test_a_name_that_the_rest_specification_does_not_allow_is_refused(name: str, client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="not valid"):
        scenarios.job(client, "scheduled.yml", name)
