"""Rollouts by the real SDK in the simulated workspace: traffic at each step, failures, and rollouts that meet."""

import shlex
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from azdistill.azure.deployment.endpoint import OnlineEndpoint, OperationFailed
from azdistill.azure.deployment.files import CONTENT_TAG, release_of, write_files
from azdistill.azure.deployment.lock import LOCK_TAG, EndpointLocked
from azdistill.azure.deployment.rollout import SmokeTestRefused, roll_out
from azdistill.contracts.errors import AzdistillError, InputError
from tests.azure.deployments import Deployments, job_with, release
from tests.cd.az_reference import problem_of
from tests.workspace.resources.online_endpoints import Failure
from tests.workspace.wire import ArmError

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from tests.workspace.simulated import SimulatedWorkspace


@pytest.fixture
def deployments(client: "MLClient", workspace: "SimulatedWorkspace", tmp_path: Path) -> Deployments:
    return Deployments(client, workspace, tmp_path)


@pytest.fixture
def serving(deployments: Deployments) -> Deployments:
    """Version 1 is deployed, as blue."""
    deployments.roll_out("1")
    deployments.workspace.online.traffic.clear()
    deployments.workspace.online.scored.clear()
    return deployments


def _fails_for(color: str, after: int = 0) -> Any:
    """A server whose deployment `color` fails after a number of answers."""
    answers = []

    def answer(deployment: str, body: dict[str, Any]) -> str:
        if deployment == color:
            answers.append(body)
            if len(answers) > after:
                raise ArmError(400, "BadRequest", "out of memory")
        return f"You said: {body['messages'][-1]['content']}"

    return answer


def test_the_first_deployment_gets_all_traffic_after_its_smoke_test(deployments: Deployments) -> None:
    lines = deployments.roll_out("1")
    online = deployments.workspace.online
    assert lines[0] == "endpoint 'support': creating"
    assert "4 of 4 answers are those of the evaluation" in lines[2]
    assert lines[-1] == "endpoint 'support': azureml:support:1 has all traffic, by deployment blue"
    assert online.traffic == [({}, {}), ({"blue": 100}, {})]
    assert online.scored == ["blue"] * 4
    assert LOCK_TAG not in deployments.endpoint.body["tags"]


def test_the_deployment_is_sent_as_in_its_file(serving: Deployments) -> None:
    sent = serving.endpoint.deployments["blue"].body
    properties, arm_id = sent["properties"], serving.workspace.arm_id
    assert properties["model"] == f"{arm_id}/models/support/versions/1"
    assert (properties["requestSettings"]["requestTimeout"], sent["sku"]["capacity"]) == ("PT3M", 1)
    assert properties["livenessProbe"]["initialDelay"] == "PT8M20S"
    assert properties["egressPublicNetworkAccess"].lower() == "disabled"
    assert sent["tags"][CONTENT_TAG] == release("1").content
    (environment,) = serving.workspace.assets.of("environments").values()
    assert environment["inferenceConfig"]["livenessRoute"] == {"port": 8000, "path": "/health"}
    assert serving.endpoint.body["properties"]["authMode"].lower() == "aadtoken"


def test_a_new_version_takes_over_step_by_step(serving: Deployments) -> None:
    lines = serving.roll_out("2")
    assert serving.workspace.online.traffic == [
        ({"blue": 100}, {}),
        ({"blue": 100}, {"green": 10}),
        ({"blue": 90, "green": 10}, {}),
        ({"blue": 50, "green": 50}, {}),
        ({"green": 100}, {}),
    ]
    assert serving.workspace.online.scored == ["green"] * 4 * 5  # without traffic, mirrored, and at each step
    assert (lines[-1], list(serving.endpoint.deployments)) == ("deployment blue: removed", ["green"])
    assert serving.roll_out("3")[-1] == "deployment green: removed"
    assert list(serving.endpoint.deployments) == ["blue"]


def test_the_same_version_again_changes_nothing(serving: Deployments) -> None:
    sent = len(serving.workspace.requests.of("PUT"))
    assert serving.roll_out("1") == ["endpoint 'support': azureml:support:1 already has all traffic, nothing done"]
    assert len(serving.workspace.requests.of("PUT")) == sent


def test_other_settings_of_the_same_version_are_another_release(serving: Deployments) -> None:
    serving.roll_out("1", max_model_length=2048)
    assert list(serving.endpoint.deployments) == ["green"]


def test_a_refused_smoke_test_leaves_the_traffic(serving: Deployments) -> None:
    serving.workspace.online.answer = lambda *_: "something else"
    with pytest.raises(SmokeTestRefused, match=r"only 0 of 4 answers .*; at least 80% are required") as refused:
        serving.roll_out("2")
    assert refused.value.exit_code == 3
    assert serving.endpoint.traffic == {"blue": 100}
    assert {*serving.endpoint.deployments} == {"blue", "green"}


FAILURES = {
    "OutOfQuota": "request quota of the VM family",
    "ResourceNotReady": "the server did not start in time",
    "ImageBuildFailure": "open the log of the image",
}


@pytest.mark.parametrize("code", FAILURES)
def test_a_failed_deployment_leaves_the_traffic_and_shows_its_log(serving: Deployments, code: str) -> None:
    serving.workspace.online.failures = [Failure(code, "A reason.", log="line 1\nline 2")]
    lines: list[str] = []
    with pytest.raises(OperationFailed, match=rf"deployment 'green': {code} \(A reason\); {FAILURES[code]}") as failed:
        lines.extend(serving.start("2"))  # keeps the lines before the error
    assert failed.value.exit_code == 1
    assert "log of deployment green:\ninference-server: line 1\ninference-server: line 2" in lines
    assert lines[-1].startswith("endpoint 'support': traffic as before, blue 100%; green is kept for its log")
    assert serving.endpoint.traffic == {"blue": 100}
    again = serving.roll_out("2")
    assert "deployment green: removing what an earlier rollout left" in again
    assert list(serving.endpoint.deployments) == ["green"]


def test_a_failure_at_a_step_gives_the_old_deployment_all_requests(serving: Deployments) -> None:
    serving.workspace.online.answer = _fails_for("green", after=12)
    with pytest.raises(AzdistillError, match=r"deployment 'green': row 0: HTTP 400 .*out of memory"):
        serving.roll_out("2")
    assert serving.workspace.online.traffic[-2:] == [({"blue": 50, "green": 50}, {}), ({"blue": 100}, {})]


def test_requests_before_a_vm_is_ready_are_repeated(deployments: Deployments) -> None:
    deployments.workspace.faults.inject("POST", "/v1/chat/completions", 424, times=2, retry_after_ms="10")
    assert "4 of 4 answers" in deployments.roll_out("1")[2]


def test_a_user_who_may_not_send_requests_is_told_the_role(deployments: Deployments) -> None:
    deployments.workspace.faults.inject("POST", "/v1/chat/completions", 403)
    with pytest.raises(AzdistillError, match=r"row 0: HTTP 403 .*the role 'AzureML Data Scientist'"):
        deployments.roll_out("1")
    assert deployments.endpoint.traffic == {}


def test_an_interrupted_rollout_goes_on(serving: Deployments) -> None:
    pauses = []

    def interrupt(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    serving.sleep = interrupt
    with pytest.raises(KeyboardInterrupt):
        serving.roll_out("2", step_minutes=3)
    assert pauses == [180, 180]
    assert serving.endpoint.traffic == {"blue": 100}
    assert LOCK_TAG not in serving.endpoint.body["tags"]
    serving.workspace.online.traffic.clear()
    serving.sleep = pauses.append
    lines = serving.roll_out("2", step_minutes=3)
    assert lines[0] == "deployment green: exists"
    steps = [traffic for traffic, _ in serving.workspace.online.traffic]
    assert steps[-3:] == [{"blue": 90, "green": 10}, {"blue": 50, "green": 50}, {"green": 100}]
    assert list(serving.endpoint.deployments) == ["green"]


def test_a_rollout_whose_lines_are_no_longer_read_gives_the_old_deployment_all_requests(serving: Deployments) -> None:
    with closing(serving.start("2")) as lines:
        assert any("answers 10%" in line for line in lines)
        assert serving.endpoint.traffic == {"blue": 90, "green": 10}
    assert serving.endpoint.traffic == {"blue": 100}
    assert LOCK_TAG not in serving.endpoint.body["tags"]


def _killed_at_ten_percent(serving: Deployments) -> Iterator[str]:
    """A rollout of version 2 that does nothing any more, and has not released its lock."""
    killed = serving.start("2")
    while "answers 10%" not in next(killed):
        pass
    serving.workspace.online.traffic.clear()
    return killed


def test_a_rollout_goes_on_from_the_traffic_of_a_killed_one(serving: Deployments) -> None:
    killed = _killed_at_ten_percent(serving)
    serving.roll_out("2")
    steps = [traffic for traffic, _ in serving.workspace.online.traffic]
    assert steps == [{"blue": 90, "green": 10}, {"blue": 50, "green": 50}, {"green": 100}]
    with pytest.raises(EndpointLocked):
        next(killed)


def test_a_rollout_that_stopped_before_the_old_deployment_was_removed_goes_on(serving: Deployments) -> None:
    serving.workspace.faults.inject("DELETE", "/deployments/blue", 403)
    with pytest.raises(InputError, match="deployment 'blue': HTTP 403"):
        serving.roll_out("2")
    assert serving.endpoint.traffic == {"green": 100}
    assert serving.roll_out("2")[-1] == "deployment blue: removed"


def test_another_model_does_not_take_over_divided_traffic(serving: Deployments) -> None:
    killed = _killed_at_ten_percent(serving)
    with pytest.raises(EndpointLocked):
        serving.roll_out("3")
    with pytest.raises(
        InputError, match=r"divided \(blue 90%, green 10%\).*--name support --traffic 'blue=100' --workspace-name"
    ):
        list(serving.start("3", take_over=True))
    assert list(killed)[-1] == "deployment blue: removed"


def test_a_second_rollout_is_refused_while_the_first_runs(serving: Deployments) -> None:
    first = serving.start("2")
    next(first)
    with pytest.raises(EndpointLocked, match=r"another rollout is in progress, of azureml:support:2.*--take-over"):
        serving.roll_out("3")
    assert list(first)[-1] == "deployment blue: removed"


def test_a_rollout_stops_when_another_one_has_taken_over(serving: Deployments) -> None:
    first = serving.start("2")
    next(first)
    second = list(serving.start("3", take_over=True))
    with pytest.raises(EndpointLocked, match=r"a rollout of|was removed"):
        list(first)
    assert second[-1] == "deployment blue: removed"
    assert serving.endpoint.traffic == {"green": 100}
    assert serving.endpoint.deployments["green"].body["properties"]["model"].endswith("/versions/3")


def test_a_rollout_goes_on_when_the_one_before_was_killed_while_azure_created_the_deployment(
    serving: Deployments,
) -> None:
    killed = serving.start("2")
    while "answers are those" not in next(killed):
        pass
    green = serving.endpoint.deployments["green"]
    green.state = "Creating"
    serving.sleep = lambda _: setattr(green, "state", "Succeeded")
    lines = serving.roll_out("2")
    assert lines[0].endswith("waiting for the operation of an interrupted rollout of azureml:support:2")
    assert (lines[1], lines[-1]) == ("deployment green: exists", "deployment blue: removed")
    with pytest.raises(EndpointLocked):
        list(killed)


def test_the_lock_of_a_killed_rollout_ends(serving: Deployments) -> None:
    serving.endpoint.body["tags"][LOCK_TAG] = "0123456789ab 2026-01-01T00:00:00Z 0a1b2c azureml:support:9"
    assert serving.roll_out("2")[-1] == "deployment blue: removed"


def test_an_operation_in_progress_is_a_conflict(serving: Deployments) -> None:
    serving.endpoint.deployments["blue"].state = "Updating"
    with pytest.raises(AzdistillError, match=r"HTTP 409 .*another operation on the endpoint is in") as conflict:
        serving.roll_out("2")
    assert conflict.value.exit_code == 1
    serving.endpoint.state = "Updating"
    with pytest.raises(AzdistillError, match="its provisioning state is Updating; wait until"):
        serving.roll_out("2")


def test_a_deployment_of_someone_else_is_kept(serving: Deployments) -> None:
    serving.endpoint.deployments = {"prod": serving.endpoint.deployments["blue"]}
    serving.endpoint.deployments["prod"].body["tags"] = {}
    serving.endpoint.body["properties"]["traffic"] = {"prod": 100}
    assert "deployment prod: kept" in serving.roll_out("2")[-1]
    assert (serving.endpoint.traffic, {*serving.endpoint.deployments}) == ({"blue": 100}, {"blue", "prod"})
    other = serving.endpoint.deployments.pop("prod")
    serving.endpoint.deployments["green"] = other
    with pytest.raises(InputError, match="deployment 'green': was not created by azdistill"):
        serving.roll_out("3")


def test_autoscale_settings_come_and_go_with_their_deployment(deployments: Deployments) -> None:
    scaled = {"autoscale": {"min_instances": 2, "max_instances": 5}}
    online = deployments.workspace.online
    deployments.roll_out("1", **scaled)
    setting = online.autoscale["support-blue"]
    assert setting["properties"]["targetResourceUri"].endswith("/onlineEndpoints/support/deployments/blue")
    assert (setting["location"], deployments.endpoint.deployments["blue"].body["sku"]["capacity"]) == ("eastus2", 2)
    deployments.roll_out("2", **scaled)
    assert list(online.autoscale) == ["support-green"]
    deployments.roll_out("3")
    assert (list(online.autoscale), list(deployments.endpoint.deployments)) == ([], ["blue"])
    deployments.roll_out("1")
    assert len(deployments.workspace.requests.of("DELETE", "autoscaleSettings")) == 2


def test_a_model_of_a_registry_is_deployed_by_its_address(deployments: Deployments) -> None:
    address = "azureml://registries/house/models/support/versions/1"
    released = release_of(job_with(), address)
    write_files(released, deployments.folder)
    list(roll_out(deployments.client, released, deployments.rows, deployments.folder))
    sent = deployments.endpoint.deployments["blue"].body["properties"]
    assert (sent["model"], sent["environmentVariables"]["SERVED_MODEL_NAME"]) == (address, "support")


def test_the_commands_of_errors_are_documented(serving: Deployments) -> None:
    state = OnlineEndpoint(serving.client, "support").read()
    assert state
    for command in (state.set_traffic_command({"blue": 90, "green": 10}), state.delete_command("blue")):
        assert problem_of(shlex.split(command)[1:]) == ""


def test_traffic_that_cannot_be_restored_is_reported_with_its_command(serving: Deployments) -> None:
    def refuse(*_: object) -> str:
        serving.workspace.faults.inject("PUT", "/onlineEndpoints/support", 403, times=5)
        raise ArmError(400, "BadRequest", "out of memory")

    rollout, lines = serving.start("2", mirror_percent=0), list[str]()
    while "answers 10%" not in (line := next(rollout)):
        lines.append(line)
    serving.workspace.online.answer = refuse
    with pytest.raises(AzdistillError, match="out of memory"):
        lines.extend(rollout)
    assert "its traffic could not be restored" in lines[-1]
    assert "set it: az ml online-endpoint update --name support --traffic 'blue=100'" in lines[-1]
