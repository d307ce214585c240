"""Verbs train, redistil and cancel: one job for the same content, a bounded wait, and gate.json as the outcome."""

import json
import signal

import pytest

from tests.cd.conftest import wait_for
from tests.cd.recording_az import failure
from tests.cd.simulated_azure import outputs_of
from tests.workspace.first_day import small_job

EXPIRED = failure("AADSTS700024: Client assertion is not within its valid time range.")


def created(az):
    return az.of("ml job create")


def test_a_student_that_passed_is_success_with_its_version_as_output(train, az, outputs):
    done = train()
    assert (done.code, done.err) == (0, "")
    name = outputs()["job"]
    assert name.startswith("small-")
    assert name.endswith("-1")
    assert outputs() == {
        "job": name,
        "status": "Completed",
        "studio_url": f"https://ml.azure.com/runs/{name}",
        "gate": "passed",
        "model": "student",
        "version": "3",
    }
    assert [call[:3] for call in az.calls if call[2] != "show"] == [
        ("ml", "job", "create"),
        *[("ml", "job", "download")] * 3,
    ]
    downloaded = [call[call.index("--output-name") + 1] for call in az.of("ml job download")]
    assert downloaded == ["evaluation", "report", "registration"]


@pytest.mark.parametrize("status", ["Completed", "Failed"])
def test_a_refused_student_is_exit_code_3_whatever_the_status_is(train, azure, outputs, status):
    azure.script, azure.outputs = ["Running", status], outputs_of("refused")
    done = train()
    assert (done.code, outputs()["gate"]) == (3, "refused")
    assert "the gates refused the student" in done.err


def test_inconclusive_gates_are_no_failure_and_say_so(train, azure, outputs):
    azure.outputs = outputs_of("inconclusive")
    done = train()
    assert (done.code, outputs()["gate"], outputs()["model"]) == (0, "inconclusive", "")
    assert "warning: job" in done.out
    assert "::warning::job" in train(GITHUB_ACTIONS="true").out


def test_a_failed_job_whose_student_passed_and_is_registered_is_a_warning(train, azure, outputs):
    azure.script = ["Failed"]
    done = train()
    assert (done.code, outputs()["gate"]) == (0, "passed")
    assert "Failed, although the gates passed" in done.out


def test_a_student_that_passed_and_is_not_registered_is_a_failure(train, azure, outputs):
    azure.script = ["Failed"]
    del azure.outputs["registration"]
    done = train()
    assert (done.code, outputs()["gate"]) == (1, "passed")
    assert "the gates passed, but the student is not registered" in done.err


@pytest.mark.parametrize(("status", "code"), [("Completed", 4), ("Failed", 1), ("Canceled", 1)])
def test_a_job_without_gate_json_is_never_success(train, azure, outputs, status, code):
    azure.script, azure.outputs = [status], {"evaluation": {"metrics.json": "{}"}}
    done = train()
    assert (done.code, outputs()["gate"]) == (code, "unknown")


def test_a_gate_json_that_cannot_be_parsed_is_exit_code_4(train, azure):
    azure.outputs["evaluation"] = {"gate.json": '{"decision": "fine"}'}
    done = train()
    assert (done.code, "gate.json cannot be read" in done.err) == (4, True)


@pytest.mark.parametrize("decision", ["passed", "refused", "inconclusive"])
def test_a_second_run_submits_nothing_and_has_the_same_outcome(train, azure, az, outputs, decision):
    azure.script, azure.outputs = ["Completed" if decision == "passed" else "Failed"], outputs_of(decision)
    first = train()
    before = outputs()
    again = train()
    assert (again.code, outputs(), len(created(az))) == (first.code, before, 1)
    assert "already ended, nothing submitted" in again.out


def test_a_job_that_still_runs_is_attached_to(train, azure, az, outputs):
    azure.script = ["Running"]
    assert train("--minutes", "0", "--poll", "0").code == 1
    azure.jobs[outputs()["job"]].script = ["Running", "Completed"]
    done = train()
    assert (done.code, len(created(az)), "already submitted, Running" in done.out) == (0, 1, True)


def test_a_failed_job_gets_the_next_attempt(train, azure, az, outputs):
    azure.script, azure.outputs = ["Failed"], {}
    assert train().code == 1
    azure.script, azure.outputs = ["Completed"], outputs_of("passed")
    done = train()
    assert (done.code, outputs()["job"][-2:], len(created(az))) == (0, "-2", 2)


def test_again_submits_a_job_that_has_ended(train, az, outputs):
    train()
    assert (train("--again").code, outputs()["job"][-2:], len(created(az))) == (0, "-2", 2)


def test_two_runs_at_once_submit_one_job(train, az, azure):
    """The name is taken between look and submission: the run waits for that job."""
    az.inject("ml job show", failure("(UserError) not found", 3))
    assert train().code == 0
    az.inject("ml job show", failure("(UserError) not found", 3))
    assert (train().code, len(azure.jobs)) == (0, 1)


def test_another_content_is_another_job(train, az, bundle):
    train()
    (bundle / "pipeline.yml").write_text((bundle / "pipeline.yml").read_text().replace("seed: 1", "seed: 2"))
    train("--input", "seed=3")
    first, second = created(az)
    assert first[first.index("--name") + 1] != second[second.index("--name") + 1]
    assert second[second.index("--set") + 1] == "inputs.seed=3"


def test_an_unknown_input_is_wrong_before_anything_is_sent(train, az):
    done = train("--input", "sed=3")
    assert (done.code, az.calls, "did you mean" in done.err) == (2, [], True)


def test_a_wait_that_is_too_long_cancels_the_job(train, azure, az, outputs):
    azure.script = ["Running"]
    done = train("--minutes", "0.001")
    assert (done.code, azure.jobs[outputs()["job"]].status) == (1, "Canceled")
    assert "minutes; the job was cancelled" in done.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_cancelled_wait_cancels_the_job(start, azure, az, bundle, number):
    azure.script = ["Running"]
    with start("train", "--job", bundle, "--poll", "0.02") as process:
        wait_for(lambda: len(az.of("ml job show")) > 2)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert (process.returncode, len(az.of("ml job cancel"))) == (130, 1)
    assert "interrupted; the job was cancelled" in err
    assert [job.status for job in azure.jobs.values()] == ["Canceled"]


def test_the_status_is_looked_at_again_after_a_failed_look(train, az):
    az.inject("ml job show", failure("(UserError) not found", 3))
    az.inject("ml job show", failure("Connection reset"), times=3)
    done = train()
    assert (done.code, done.out.count("its status cannot be read")) == (0, 3)


def test_a_wait_without_any_answer_ends_and_leaves_the_job(train, az):
    az.inject("ml job show", failure("(UserError) not found", 3))
    az.inject("ml job show", failure("Connection reset"), times=99)
    done = train("--poll", "0")
    assert (done.code, "Connection reset" in done.err, az.of("ml job cancel")) == (1, True, [])


def test_an_expired_login_is_renewed_during_the_wait(train, azure, az, oidc, outputs):
    azure.script = ["Running", "Running", "Completed"]
    az.inject("ml job show", failure("(UserError) not found", 3))
    az.inject("ml job show", EXPIRED)
    az.inject("ml job download", EXPIRED)
    done = train(**oidc.variables)
    assert (done.code, outputs()["gate"]) == (0, "passed")
    assert azure.logins == ["oidc-token-1", "oidc-token-2"]
    assert "oidc-token" not in done.out + done.err


def test_an_expired_login_without_oidc_is_an_error(train, az):
    az.inject("ml job show", EXPIRED)
    done = train()
    assert (done.code, "log in again: az login" in done.err) == (1, True)


def test_a_login_that_fails_is_not_repeated_for_ever(train, az, azure, oidc):
    az.inject("ml job show", EXPIRED, times=9)
    az.inject("login", EXPIRED, times=9)
    done = train(**oidc.variables)
    assert (done.code, len(az.of("login"))) == (1, 1)


def test_without_a_target_nothing_is_called(train, az):
    done = train(AZURE_RESOURCE_GROUP="", AZURE_ML_WORKSPACE="")
    assert (done.code, az.calls) == (2, [])
    assert "not set: --group or $AZURE_RESOURCE_GROUP, --workspace or $AZURE_ML_WORKSPACE" in done.err


def test_without_az_the_error_says_so(cd, bundle, tmp_path):
    done = cd("train", "--job", bundle, PATH=str(tmp_path))
    assert (done.code, done.err.strip()) == (2, "az: the Azure CLI is not installed; https://aka.ms/azure-cli")


def test_a_dry_run_runs_nothing_and_has_no_outputs(train, az, outputs, tmp_path):
    done = train("--dry-run", "--input", "seed=3")
    assert (done.code, az.calls, outputs(), (tmp_path / "cd-results").exists()) == (0, [], {}, False)
    lines = done.out.splitlines()
    assert [line.split()[:4] for line in lines][:3] == [
        ["az", "ml", "job", "show"],
        ["az", "ml", "job", "create"],
        ["az", "ml", "job", "show"],
    ]
    assert all(line.startswith("az ml job ") for line in lines)


# redistil


@pytest.fixture
def redistil(cd, tmp_path):
    (tmp_path / "job.yaml").write_text(json.dumps(small_job(tmp_path)))  # JSON is YAML

    def call(*arguments):
        return cd("redistil", "--job", "job.yaml", "--poll", "0.02", *arguments)

    return call


def test_a_redistillation_is_one_job_for_each_date(redistil, az, outputs):
    names = []
    for date in ("2026-11-29", "2026-12-06"):
        assert redistil("--trigger-date", date).code == 0
        names.append(outputs()["job"])
    assert len(created(az)) == 2
    assert [name.rsplit("-", 4)[1:] for name in names] == [["2026", "11", "29", "1"], ["2026", "12", "06", "1"]]


def test_a_redistillation_reuses_no_result_and_has_a_student_to_beat(redistil, tmp_path):
    done = redistil("--trigger-date", "2026-11-29", "--baseline", "azureml:student:3")
    assert done.code == 0, done.err
    pipeline = (tmp_path / "bundles" / "small" / "pipeline.yml").read_text()
    assert "force_rerun: true" in pipeline
    assert "azureml:student:3" in pipeline


def test_a_bundle_cannot_be_redistilled(cd, bundle, az):
    done = cd("redistil", "--job", bundle, "--trigger-date", "2026-11-29")
    assert (done.code, az.calls, "only pipeline inputs can be set" in done.err) == (2, [], True)


# cancel


def test_cancel_ends_the_job_of_an_interrupted_train_once(cd, train, azure, az):
    azure.script = ["Running"]
    train("--minutes", "0.001")
    next(iter(azure.jobs.values())).script = ["Running"]
    cancelled, again = cd("cancel"), cd("cancel")
    assert (cancelled.code, again.code, len(az.of("ml job cancel"))) == (0, 0, 2)
    assert "already Canceled" in again.out


def test_cancel_without_a_job_does_nothing(cd, az, tmp_path):
    assert (cd("cancel").code, az.calls) == (0, [])
    (tmp_path / "cd-results").mkdir()
    (tmp_path / "cd-results" / "job.json").write_text(json.dumps({"job": "never-sent-1"}))
    done = cd("cancel")
    assert (done.code, "not in the workspace, nothing to cancel" in done.out) == (0, True)
