"""Submitted jobs: status, log, cancellation, outputs, and the gate's decision."""

import json

import pytest

from azdistill.azure.jobs import cancel, download, list_jobs, outputs, status, stream
from azdistill.azure.submission import submit
from azdistill.contracts.errors import GateRefused, InputError, NodeFailed

GATE = {"decision": "refused", "enforced": True, "register": False, "gates": []}


@pytest.fixture
def job(small, client, workspace) -> str:
    """Name of a running job."""
    workspace.jobs.script = ["Running"]
    return submit(client, small).name


@pytest.fixture
def failed_job(job, workspace) -> str:
    """Name of a job whose node `register` fails."""
    workspace.jobs[job].script = ["Running", "Failed"]
    workspace.jobs[job].error = "register exited with 3"
    workspace.jobs[job].child("register").script = ["Failed"]
    return job


def test_status_of_a_job_and_its_nodes(job, client, workspace):
    workspace.jobs[job].child("register").script = ["Queued"]
    running = status(client, job)
    assert (running.display_name, running.status, running.ended) == ("small", "Running", False)
    assert [(node.node, node.status) for node in running.nodes] == [("register", "Queued")]
    assert [latest.name for latest in list_jobs(client)] == [job]


def test_a_job_is_streamed_to_its_end(job, client, workspace, capsys):
    workspace.jobs[job].script = ["Running", "Running", "Running", "Running", "Completed"]
    workspace.runs.log(job, "logs/azureml/executionlogs.txt", "teacher: started\n")
    assert stream(client, job).status == "Completed"
    assert "teacher: started" in capsys.readouterr().out


def test_a_refused_student_raises_gate_refused(failed_job, client, workspace):
    workspace.runs.output(failed_job, "evaluation", {"gate.json": json.dumps(GATE)})
    with pytest.raises(GateRefused) as error:
        stream(client, failed_job)
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == ("gate_refused", f"job {failed_job!r}")
    assert "'refused'" in problem.message


@pytest.mark.parametrize("gate", [{**GATE, "register": True}, None])
def test_another_failure_names_the_failed_node(failed_job, client, workspace, gate):
    """The gate passed, or the job failed before the evaluation."""
    if gate:
        workspace.runs.output(failed_job, "evaluation", {"gate.json": json.dumps(gate)})
    with pytest.raises(NodeFailed) as error:
        stream(client, failed_job)
    (problem,) = error.value.problems
    assert (problem.code, problem.message) == ("job_failed", "Failed in register")
    assert "https://" in problem.fix


def test_a_gate_that_cannot_be_downloaded_is_no_decision(failed_job, client, workspace):
    """Both the failure and the failed download are reported: the student may be refused or not."""
    workspace.runs.output(failed_job, "evaluation", {"gate.json": json.dumps(GATE)})
    workspace.faults.inject("POST", "batchGetResolvedUris", 403, times=50)
    with pytest.raises(NodeFailed) as error:
        stream(client, failed_job)
    failure, download_failure = error.value.problems
    assert (failure.code, download_failure.code) == ("job_failed", "forbidden")
    assert download_failure.subject == f"job {failed_job!r}, output evaluation"


def test_a_job_is_cancelled_once_and_an_ended_one_is_left_alone(job, client, workspace):
    workspace.jobs[job].script = ["Running", "CancelRequested", "Canceled"]
    assert cancel(client, job).status in ("CancelRequested", "Canceled")
    workspace.jobs[job].script = ["Completed"]
    assert cancel(client, job).status == "Completed"
    assert len(workspace.requests.of("POST", "/cancel")) == 1


def test_outputs_are_downloaded_one_by_one_or_together(job, client, workspace, tmp_path):
    workspace.jobs[job].script = ["Completed"]
    workspace.runs.output(job, "report", {"report.md": "# good"})
    workspace.runs.output(job, "evaluation", {"gate.json": "{}"})
    folder = f"azureml://datastores/workspaceblobstore/paths/azureml/{job}"
    assert outputs(client, job) == {"evaluation": f"{folder}/evaluation/", "report": f"{folder}/report/"}
    download(client, job, tmp_path / "one", "report")
    assert [path.read_bytes() for path in (tmp_path / "one").rglob("*.*")] == [b"# good"]
    download(client, job, tmp_path / "all")
    assert {path.name for path in (tmp_path / "all").rglob("*.*")} == {"gate.json", "report.md"}
    with pytest.raises(InputError) as error:
        download(client, job, tmp_path, "reports")
    (problem,) = error.value.problems
    assert (problem.code, problem.fix) == ("unknown_output", "did you mean 'report'?")


def test_an_unknown_name_is_wrong_input(client):
    for verb in (status, stream, cancel, outputs):
        with pytest.raises(InputError) as error:
            verb(client, "none")
        (problem,) = error.value.problems
        assert (problem.code, problem.subject, problem.command) == ("not_found", "job 'none'", "azdistill status")
