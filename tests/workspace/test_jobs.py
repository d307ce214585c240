"""Jobs go where the test's script says; the client follows, cancels, lists and fetches them."""

from pathlib import Path

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.exceptions import JobException, PipelineChildJobError
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from tests.workspace import scenarios
from tests.workspace.stand_in import Workspace

LOG = "logs/azureml/executionlogs.txt"


@pytest.fixture
def pipeline(client: MLClient, workspace: Workspace) -> str:
    """A pipeline that is in the queue, runs, and is done at the third look."""
    workspace.jobs.script = ["Queued", "Running", "Completed"]
    return str(scenarios.job(client, "scheduled.yml", "pipeline-1").name)


def test_each_look_at_a_job_moves_it_on(pipeline: str, client: MLClient) -> None:
    looks = [client.jobs.get(pipeline).status for _ in range(4)]
    assert looks == ["Queued", "Running", "Completed", "Completed"]


def test_the_client_streams_the_log_until_the_job_is_done(
    pipeline: str, client: MLClient, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.jobs[pipeline].script = ["Queued", "Running", "Running", "Completed"]
    workspace.runs.log(pipeline, LOG, "train: started\ntrain: completed\n")
    client.jobs.stream(pipeline)
    printed = capsys.readouterr().out
    assert f"Streaming {LOG}" in printed
    assert printed.count("train: started\ntrain: completed\n") == 1


def test_a_stream_of_a_failed_job_raises_what_the_service_says(
    pipeline: str, client: MLClient, workspace: Workspace
) -> None:
    workspace.jobs[pipeline].script = ["Running", "Failed"]
    workspace.jobs[pipeline].error = "train exited with 3"
    with pytest.raises(JobException, match="train exited with 3"):
        client.jobs.stream(pipeline)


def test_the_log_of_a_command_is_read_from_the_artifact_store(
    client: MLClient, workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    scenarios.environment(client, "environment")
    scenarios.job(client, "command.yml", "command-1")
    workspace.jobs["command-1"].script = ["Running", "Running", "Completed"]
    workspace.runs.log("command-1", "user_logs/std_log.txt", "loss 0.1\n")
    client.jobs.stream("command-1")
    assert "loss 0.1" in capsys.readouterr().out


def test_the_children_of_a_pipeline_are_its_nodes(pipeline: str, client: MLClient, workspace: Workspace) -> None:
    workspace.jobs[pipeline].child("train").script = ["Running"]
    children = list(client.jobs.list(parent_job_name=pipeline))
    assert [(child.name, child.display_name, child.status) for child in children] == [
        (f"{pipeline}-train", "train", "Running")
    ]
    assert client.jobs.get(f"{pipeline}-train").status == "Running"


def test_a_child_cannot_be_streamed(pipeline: str, client: MLClient) -> None:
    """Its log is in its run's details, or comes with a download."""
    with pytest.raises(PipelineChildJobError, match="not supported on pipeline child job"):
        client.jobs.stream(f"{pipeline}-train")


def test_logs_and_outputs_of_a_child_are_fetched(
    pipeline: str, client: MLClient, workspace: Workspace, tmp_path: Path
) -> None:
    child = workspace.jobs[pipeline].child("train")
    child.script = ["Completed"]
    workspace.runs.log(child.name, "user_logs/std_log.txt", "loss 0.1\n")
    workspace.runs.output(child.name, "checkpoints", {"step-1/state.json": "{}"})
    client.jobs.download(child.name, download_path=tmp_path, all=True)
    assert (tmp_path / "artifacts/user_logs/std_log.txt").read_text() == "loss 0.1\n"
    assert (tmp_path / "named-outputs/checkpoints/step-1/state.json").read_text() == "{}"


def test_a_cancelled_job_takes_its_children_along(pipeline: str, client: MLClient, workspace: Workspace) -> None:
    workspace.operations.polls = 2
    poller = client.jobs.begin_cancel(pipeline)
    assert client.jobs.get(pipeline).status == "CancelRequested"
    poller.result()
    assert client.jobs.get(pipeline).status == "Canceled"
    assert workspace.jobs[pipeline].child("train").status == "Canceled"
    statuses = [seen.status for seen in workspace.ledger.of("GET", "mfeOperationResults")]
    assert statuses == [202, 202, 200]


def test_a_name_is_used_once(pipeline: str, client: MLClient) -> None:
    scenarios.job(client, "scheduled.yml", pipeline)  # the very same job: nothing happens
    with pytest.raises(
        HttpResponseError, match=r"this name already exists.* existing job's .*inputs.* cannot be changed"
    ):
        scenarios.job(client, "pipeline.yml", pipeline)


def test_a_job_takes_new_labels_and_is_found_by_them(pipeline: str, client: MLClient) -> None:
    client.jobs.update(pipeline, display_name="Tuesday", tags={"bundle": "0f3a"})
    assert client.jobs.get(pipeline).display_name == "Tuesday"
    assert [job.name for job in client.jobs.list(tag="bundle=0f3a")] == [pipeline]
    assert list(client.jobs.list(tag="bundle=9e1c")) == []


def test_an_archived_job_is_no_longer_listed(pipeline: str, client: MLClient) -> None:
    client.jobs.archive(pipeline)
    assert list(client.jobs.list()) == []
    assert [job.name for job in client.jobs.list(list_view_type="ArchivedOnly")] == [pipeline]


def test_a_job_that_was_never_sent_is_not_found(client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="'pipeline-2' was not found"):
        client.jobs.get("pipeline-2")
