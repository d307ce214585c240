"""A bundle is sent once, whatever comes between."""

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


def sent(workspace: SimulatedWorkspace) -> int:
    return len([one for one in workspace.requests.of("PUT", "/jobs/") if one.status < 300])


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
    assert sent(workspace) == 3


def test_a_completed_job_is_found_unless_again_is_set(small, client: MLClient, workspace: SimulatedWorkspace):
    workspace.jobs.script = ["Completed"]
    first = submit(client, small)
    assert submit(client, small).attached
    again = submit(client, small, again=True)
    assert (again.name, again.attached) == (first.name.removesuffix("1") + "2", False)


@pytest.mark.parametrize("ended", ["Failed", "Canceled"])
def test_one_that_ended_badly_gets_a_next_attempt(small, client: MLClient, workspace: SimulatedWorkspace, ended: str):
    workspace.jobs.script = [ended]
    names = [submit(client, small).name for _ in range(3)]
    assert [name.rpartition("-")[2] for name in names] == ["1", "2", "3"]
    workspace.jobs[names[2]].script = ["Running"]
    assert submit(client, small).name == names[2]


def test_an_interrupted_upload_submits_nothing_and_continues_at_the_next_try(
    small, client: MLClient, workspace: SimulatedWorkspace
):
    workspace.faults.inject("PUT", "/codes/", 503, times=4)  # the client tries so often
    with pytest.raises(AzdistillError, match=r"HTTP 503 .*run again later: nothing is sent twice"):
        submit(client, small)
    assert sent(workspace) == 0
    assert not submit(client, small).attached
    assert sent(workspace) == 1


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, InputError, "not signed in .*az login"),
        (403, InputError, "have the role 'AzureML Data Scientist' given to you"),
        (429, AzdistillError, "run again in a minute"),
    ],
)
def test_a_refusal_by_azure_says_what_to_do(
    small, client: MLClient, workspace: SimulatedWorkspace, status, kind, words
):
    workspace.faults.inject("PUT", "/jobs/", status, times=50)
    with pytest.raises(kind, match=words) as refused:
        submit(client, small)
    assert refused.type is kind
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ({"row": "5"}, "the bundle has no such input; it has rows, teacher_route"),
        ({"teacher_route": "simulated"}, "rehearse"),
    ],
)
def test_inputs_that_make_no_sense_are_refused_before_anything_is_asked(small, client, workspace, inputs, words):
    with pytest.raises(InputError, match=words):
        submit(client, small, inputs)
    assert workspace.requests.all == []


def test_a_folder_that_is_no_bundle_says_how_to_make_one(tmp_path, client):
    with pytest.raises(InputError, match="azdistill compile JOB"):
        submit(client, tmp_path)
