"""A bundle is submitted once, also after interruptions and refusals."""

import re
from pathlib import Path

import pytest
from azure.ai.ml import MLClient

from azdistill.azure.submission import submit
from azdistill.contracts.errors import AzdistillError, InputError
from tests.workspace.simulated import SimulatedWorkspace


def edited(folder: Path) -> Path:
    path = folder / "components/say/code/say.py"
    path.write_text(path.read_text() + "print(2)\n")
    return folder


def submissions(workspace: SimulatedWorkspace) -> int:
    return len([logged for logged in workspace.requests.of("PUT", "/jobs/") if logged.status < 300])


def test_the_same_bundle_is_found_again_and_another_is_another_job(
    small, client: MLClient, workspace: SimulatedWorkspace
):
    workspace.jobs.script = ["NotStarted", "Running", "Running", "Completed"]
    first, second = submit(client, small), submit(client, small)
    assert re.fullmatch(r"small-[0-9a-f]{12}-1", first.name)
    assert (second.name, second.attached, first.attached) == (first.name, True, False)
    assert first.studio_url.startswith("https://")
    few = submit(client, small, {"rows": "50"})
    assert few.name != first.name
    assert workspace.jobs[few.name].properties["inputs"]["rows"]["value"] == "50"
    assert submit(client, edited(small)).name not in (first.name, few.name)
    assert submissions(workspace) == 3


def test_a_completed_job_is_found_unless_again_is_set(small, client: MLClient, workspace: SimulatedWorkspace):
    workspace.jobs.script = ["Completed"]
    first = submit(client, small)
    assert submit(client, small).attached
    again = submit(client, small, again=True)
    assert (again.name, again.attached) == (first.name.removesuffix("1") + "2", False)


@pytest.mark.parametrize("ended", ["Failed", "Canceled"])
def test_a_failed_or_cancelled_job_gets_the_next_attempt(
    small, client: MLClient, workspace: SimulatedWorkspace, ended: str
):
    workspace.jobs.script = [ended]
    names = [submit(client, small).name for _ in range(3)]
    assert [name.rpartition("-")[2] for name in names] == ["1", "2", "3"]
    workspace.jobs[names[2]].script = ["Running"]
    assert submit(client, small).name == names[2]


@pytest.mark.slow
def test_an_interrupted_upload_submits_nothing_and_continues_at_the_next_try(
    small, client: MLClient, workspace: SimulatedWorkspace
):
    workspace.faults.inject("PUT", "/codes/", 503, times=4)  # as often as the client tries
    with pytest.raises(AzdistillError, match=r"HTTP 503 .*run again later: nothing is sent twice") as error:
        submit(client, small)
    assert error.value.problems[0].code == "unavailable"
    assert submissions(workspace) == 0
    assert not submit(client, small).attached
    assert submissions(workspace) == 1


@pytest.mark.parametrize(
    ("status", "kind", "code", "words"),
    [
        (401, InputError, "not_signed_in", "az login"),
        (403, InputError, "forbidden", "'AzureML Data Scientist'"),
        (429, AzdistillError, "throttled", "run again in a minute"),
    ],
)
def test_a_refusal_by_azure_says_what_to_do(small, client, workspace, status, kind, code, words):
    workspace.faults.inject("PUT", "/jobs/", status, times=50)
    with pytest.raises(kind) as error:
        submit(client, small)
    assert error.type is kind
    (problem,) = error.value.problems
    assert problem.code == code
    assert words in str(problem)


@pytest.mark.parametrize(
    ("inputs", "code", "field"),
    [
        ({"row": "5"}, "unknown_input", ("inputs", "row")),
        ({"teacher_route": "simulated"}, "simulated_teacher", ("inputs", "teacher_route")),
        ({"judge_route": "simulated"}, "simulated_judge", ("inputs", "judge_route")),
    ],
)
def test_wrong_inputs_are_refused_before_any_request(small, client, workspace, inputs, code, field):
    with pytest.raises(InputError) as error:
        submit(client, small, inputs)
    (problem,) = error.value.problems
    assert (problem.code, problem.field) == (code, field)
    assert workspace.requests.all == []


def test_a_folder_without_a_bundle_is_reported_with_the_command_that_writes_one(tmp_path, client):
    with pytest.raises(InputError) as error:
        submit(client, tmp_path)
    (problem,) = error.value.problems
    assert (problem.code, problem.file, problem.command) == (
        "no_bundle",
        tmp_path,
        f"azdistill compile JOB -o {tmp_path}",
    )


@pytest.mark.slow
def test_a_job_with_a_judge_is_submitted(bundle, client: MLClient, workspace: SimulatedWorkspace):
    judge = {"judge_model": {"model": "gpt-5.1", "connection": "boss"}, "rubric": "Be right."}
    job = submit(client, bundle(judge=judge))
    sent = workspace.jobs[job.name].properties["jobs"]
    assert sent["evaluate"]["inputs"]["judgements"]["value"] == "${{parent.jobs.judge.outputs.judgements}}"
    assert sent["judge"]["inputs"]["rubric"]["value"] == "${{parent.inputs.rubric}}"
    assert sent["judge"]["outputs"]["store"]["uri"].endswith("/paths/azdistill/store")
