"""Submitted jobs: status, log, cancellation, outputs, and the gate's decision."""

import json

import pytest

from azdistill.azure.jobs import cancel, download, list_jobs, outputs, raise_for_failure, status, stream
from azdistill.azure.submission import submit
from azdistill.azure.workspace_jobs import WorkspaceJobs
from azdistill.contracts.errors import GateRefused, GateUnknown, InputError, NodeFailed
from tests.workspace.simulated_job import SimulatedJob

GATE = {"decision": "refused", "enforced": True, "register": False, "gates": []}
PASSED = {**GATE, "decision": "passed", "register": True}


@pytest.fixture
def job(small, client, workspace) -> str:
    """Name of a running job."""
    workspace.jobs.script = ["Running"]
    return submit(client, small).name


def end(workspace, job, reported, failed):
    """Let the job end. A second node `report` is added: submitting it would take longer."""
    children = workspace.jobs[job].children
    if len(children) == 1:
        children.append(SimulatedJob(f"{job}-report", {}, ["Running"], "report"))
    workspace.jobs[job].end(reported, failed)


def write_gate(workspace, job, gate):
    workspace.runs.output(job, "evaluation", {"gate.json": json.dumps(gate)})


def test_status_of_a_job_and_its_nodes(job, client, workspace):
    workspace.jobs[job].child("register").script = ["Queued"]
    running = status(client, job)
    assert (running.display_name, running.status, running.ended) == ("small", "Running", False)
    assert [(node.node, node.status) for node in running.nodes] == [("register", "Queued")]
    assert [latest.name for latest in list_jobs(client)] == [job]


def test_a_job_is_streamed_to_its_end(job, client, workspace, capsys):
    workspace.jobs[job].script = ["Running", "Running", "Running", "Running", "Finalizing", "Finalizing", "Completed"]
    write_gate(workspace, job, PASSED)
    workspace.runs.log(job, "logs/azureml/executionlogs.txt", "teacher: started\n")
    assert stream(client, job, poll_s=0).status == "Completed"
    assert "teacher: started" in capsys.readouterr().out


@pytest.mark.parametrize("failed_looks", [0, 1])
def test_a_node_that_waits_is_shown_while_the_job_is_streamed(job, client, workspace, monkeypatch, failed_looks):
    """The status of a pipeline whose nodes wait for quota is Running. A look at the nodes that fails is repeated."""
    monkeypatch.setattr("azdistill.azure.jobs.NODES_POLL_S", 0.01)
    workspace.jobs[job].script = ["Running"] * 8 + ["Completed"]
    workspace.jobs[job].child("register").script = ["Queued"]
    write_gate(workspace, job, PASSED)
    workspace.faults.inject("GET", f"/runs/{job}/children", 404, failed_looks)
    changes = []

    def on_node(node):
        changes.append(node)
        workspace.jobs[job].child("register").script = ["Completed"]

    stream(client, job, poll_s=0, on_node=on_node)
    assert (changes[0].node, changes[0].status) == ("register", "Queued")
    assert "quota" in changes[0].waits_for
    if not failed_looks:
        assert [(node.status, node.waits_for) for node in changes[1:]] == [("Completed", "")]


# Status of the pipeline, failed nodes, gate.json (None: not written) -> error and codes of its problems.
OUTCOMES = [
    ("Completed", (), None, GateUnknown, ["gate_unknown", "no_gate"]),
    ("Completed", ("report",), None, NodeFailed, ["job_failed"]),
    ("Failed", ("register",), None, NodeFailed, ["job_failed"]),
    ("Completed", (), PASSED, None, []),
    ("Completed", ("register",), PASSED, NodeFailed, ["job_failed"]),
    ("Failed", ("register",), PASSED, NodeFailed, ["job_failed"]),
    ("Completed", (), GATE, GateRefused, ["gate_refused"]),
    ("Completed", ("register",), GATE, GateRefused, ["gate_refused"]),
    ("Failed", ("register",), GATE, GateRefused, ["gate_refused"]),
    ("Completed", ("report", "register"), GATE, GateRefused, ["gate_refused", "job_failed"]),
]


def test_the_outcome_of_a_job_is_that_of_its_nodes_and_its_gate(job, client, workspace):
    for reported, failed, gate, error, codes in OUTCOMES:
        if gate:
            write_gate(workspace, job, gate)
        end(workspace, job, reported, failed)
        raised = outcome(client, job)
        case = (reported, failed, gate)
        problems = raised.problems if raised else ()
        assert (type(raised) if raised else None, [problem.code for problem in problems]) == (error, codes), case
        assert {problem.subject.partition(",")[0] for problem in problems} <= {f"job {job!r}"}, case
        for problem in problems:
            assert problem.code != "job_failed" or all(node in problem.message for node in failed), case
        if error is not GateUnknown:
            assert WorkspaceJobs(client).get(job).status == ("Failed" if error else "Completed"), case


def outcome(client, job):
    """The error of an ended job, None if it is a success."""
    while not (ended := status(client, job)).ended:
        pass
    try:
        raise_for_failure(client, ended)
    except (GateRefused, GateUnknown, NodeFailed) as error:
        return error
    return None


@pytest.mark.parametrize(
    ("reported", "failed"), [("Completed", ()), ("Completed", ("register",)), ("Failed", ("register",))]
)
def test_a_gate_that_cannot_be_downloaded_is_no_decision(job, client, workspace, reported, failed):
    """The cause is reported: the student may be refused or not."""
    write_gate(workspace, job, GATE)
    end(workspace, job, reported, failed)
    workspace.faults.inject("POST", "batchGetResolvedUris", 403, times=50)
    with pytest.raises(GateUnknown) as error:
        stream(client, job)
    unknown, *failure, download_failure = error.value.problems
    assert (unknown.code, error.value.exit_code) == ("gate_unknown", 4)
    assert [problem.code for problem in failure] == ["job_failed"][: len(failed)]
    assert (download_failure.code, download_failure.subject) == ("forbidden", f"job {job!r}, output evaluation")
    with pytest.raises(GateUnknown):
        WorkspaceJobs(client).get(job) if reported == "Completed" else stream(client, job)


def test_another_failed_node_is_a_failure_also_without_the_gate(job, client, workspace):
    write_gate(workspace, job, GATE)
    end(workspace, job, "Failed", ["report"])
    workspace.faults.inject("POST", "batchGetResolvedUris", 403, times=50)
    with pytest.raises(NodeFailed) as error:
        stream(client, job)
    assert [problem.code for problem in error.value.problems] == ["job_failed", "forbidden"]


def test_a_completed_job_with_a_failed_node_gets_the_next_attempt(job, small, client, workspace):
    workspace.jobs[job].end("Completed", ["register"])
    status(client, job, nodes=False)
    again = submit(client, small)
    assert (again.attached, again.name) == (False, job.removesuffix("1") + "2")
    workspace.jobs[again.name].end("Completed")
    assert submit(client, small).attached


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
