"""A job that was submitted: followed, cancelled, told apart by its gate, fetched."""

import json

import pytest

from azdistill.azure.jobs import cancel, download, listed, outputs, status, stream
from azdistill.azure.submission import submit
from azdistill.contracts.errors import GateRefused, InputError, NodeFailed

GATES = {"decision": "refused", "enforced": True, "register": False, "gates": []}


@pytest.fixture
def job(small, client, workspace) -> str:
    workspace.jobs.script = ["Running"]
    return submit(client, small).name


def test_a_job_and_its_nodes_are_told_in_azures_words(job, client, workspace):
    workspace.jobs[job].child("register").script = ["Queued"]
    found = status(client, job)
    assert (found.display_name, found.status, found.ended) == ("small", "Running", False)
    assert [(node.node, node.status) for node in found.nodes] == [("register", "Queued")]
    assert [one.name for one in listed(client)] == [job]


def test_a_job_is_followed_to_its_end(job, client, workspace, capsys):
    workspace.jobs[job].script = ["Running", "Running", "Running", "Running", "Completed"]
    workspace.runs.log(job, "logs/azureml/executionlogs.txt", "teacher: started\n")
    assert stream(client, job).status == "Completed"
    assert "teacher: started" in capsys.readouterr().out


@pytest.mark.parametrize(("register", "kind"), [(False, GateRefused), (True, NodeFailed), (None, NodeFailed)])
def test_a_refused_student_is_no_failure_of_the_work(job, client, workspace, register, kind):
    workspace.jobs[job].script = ["Running", "Failed"]
    workspace.jobs[job].error = "register exited with 3"
    workspace.jobs[job].child("register").script = ["Failed"]
    if register is not None:
        gate = json.dumps({**GATES, "register": register})
        workspace.runs.output(job, "evaluation", {"gate.json": gate})
    with pytest.raises(kind) as ended:
        stream(client, job)
    assert ended.type is kind
    assert ("refused, so it gets no name" if kind is GateRefused else "Failed in register; see https://") in str(
        ended.value
    )


def test_a_job_is_cancelled_once_and_one_that_ended_is_left_alone(job, client, workspace):
    workspace.jobs[job].script = ["Running", "CancelRequested", "Canceled"]
    assert cancel(client, job).status in ("CancelRequested", "Canceled")
    workspace.jobs[job].script = ["Completed"]
    assert cancel(client, job).status == "Completed"
    assert len(workspace.requests.of("POST", "/cancel")) == 1


def test_what_a_job_made_is_fetched_whole_or_by_name(job, client, workspace, tmp_path):
    workspace.jobs[job].script = ["Completed"]
    workspace.runs.output(job, "report", {"report.md": "# good"})
    workspace.runs.output(job, "evaluation", {"gate.json": "{}"})
    place = f"azureml://datastores/workspaceblobstore/paths/azureml/{job}"
    assert outputs(client, job) == {"evaluation": f"{place}/evaluation/", "report": f"{place}/report/"}
    download(client, job, tmp_path / "here", "report")
    assert [path.read_bytes() for path in (tmp_path / "here").rglob("*.*")] == [b"# good"]
    download(client, job, tmp_path / "all")
    assert {path.name for path in (tmp_path / "all").rglob("*.*")} == {"gate.json", "report.md"}
    with pytest.raises(InputError, match="no output 'model'; it has "):
        download(client, job, tmp_path, "model")


def test_a_name_that_is_not_there_is_wrong_input(client):
    for verb in (status, stream, cancel, outputs):
        with pytest.raises(InputError, match=r"job 'none': the workspace has no such job; azdistill status lists"):
            verb(client, "none")
