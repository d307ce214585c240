"""Verb promote: one version that passed its gates, shared once, with its lineage as tags."""

import json
import threading

import pytest

from azdistill.registry.lineage import DIGEST_TAG
from tests.cd.recording_az import Reply, failure
from tests.cd.simulated_azure import DIGEST, SimulatedJob, gate, lineage, outputs_of

OTHER = "c" * 64
OPTIONS = ("--model", "student", "--job-name", "job-1", "--poll", "0.02")


@pytest.fixture
def promote(cd, azure):
    azure.jobs["job-1"] = SimulatedJob(["Completed"], outputs_of("passed"))

    def call(*arguments, version="3", **variables):
        return cd("promote", *OPTIONS, "--version", version, *arguments, **variables)

    return call


def test_a_version_is_shared_under_its_own_name_and_version_with_its_lineage(promote, az, azure, outputs):
    done = promote()
    assert (done.code, done.err) == (0, "")
    (share,) = az.of("ml model share")
    assert share[3:] == tuple(
        "--name student --version 3 --resource-group group --workspace-name workspace --registry-name house "
        "--share-with-name student --share-with-version 3".split()
    )
    assert azure.registry["student", "3"] == {
        "azdistill_model_digest": DIGEST,
        "azdistill_gate": "passed",
        "azdistill_job": "job-1",
        "azdistill_source": "group/workspace",
        "azdistill_teacher": "DeepSeek-V3.2",
        "azdistill_completions_manifest": "b" * 64,
    }
    assert outputs() == {"model_uri": "azureml://registries/house/models/student/versions/3"}


def test_a_second_promotion_does_nothing(promote, az, azure):
    promote()
    tags = dict(azure.registry["student", "3"])
    done = promote()
    assert (done.code, "promoted already" in done.out) == (0, True)
    assert (len(az.of("ml model share")), len(az.of("ml model update"))) == (1, 1)
    assert azure.registry["student", "3"] == tags


def test_a_registry_that_copies_the_tags_of_the_workspace_has_the_same_model(promote, az, azure):
    azure.registry["student", "3"] = {DIGEST_TAG: DIGEST}
    assert (promote().code, az.of("ml model share")) == (0, [])


def test_another_model_of_that_name_and_version_is_not_replaced(promote, az, azure):
    azure.registry["student", "3"] = {"azdistill_model_digest": OTHER}
    done = promote()
    assert (done.code, az.of("ml model share"), az.of("ml model update")) == (1, [], [])
    assert "the registry has it already, with other content" in done.err
    assert azure.registry == {("student", "3"): {"azdistill_model_digest": OTHER}}


def test_a_version_without_tags_is_not_taken_for_ours(promote, az, azure):
    azure.registry["student", "3"] = {}
    done = promote()
    assert (done.code, azure.registry["student", "3"]) == (1, {})
    assert "az ml model update --name student --version 3 --registry-name house" in done.err


def test_two_promotions_at_once_share_one_model(start, az, azure):
    azure.jobs["job-1"] = SimulatedJob(["Completed"], outputs_of("passed"))
    azure.before_share = threading.Barrier(2)
    options = (*OPTIONS, "--version", "3", "--poll", "1")
    processes = [start("promote", *options, "--results", f"results-{number}") for number in (1, 2)]
    outputs = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(az.of("ml model share")) == 2
    assert sorted(out.count("another promotion was first") for out, _ in outputs) == [0, 1]
    assert list(azure.registry) == [("student", "3")]


@pytest.mark.parametrize("decision", ["refused", "inconclusive"])
def test_only_a_student_that_passed_is_promoted(promote, az, azure, decision):
    azure.jobs["job-1"].outputs = outputs_of(decision) | {"registration": {"lineage.json": json.dumps(lineage())}}
    done = promote()
    assert (done.code, az.of("ml model share"), azure.registry) == (3, [], {})
    assert f"the gates are {decision}; only a student that passed is promoted" in done.err


def test_a_job_without_gates_has_not_passed_any(promote, az, azure):
    no_gates = {**gate("passed"), "gates": []}
    azure.jobs["job-1"].outputs["evaluation"] = {"gate.json": json.dumps(no_gates)}
    done = promote()
    assert (done.code, az.of("ml model share"), "it has no gates, so nothing was checked" in done.err) == (3, [], True)


def test_without_gate_json_nothing_is_promoted(promote, az, azure):
    del azure.jobs["job-1"].outputs["evaluation"]
    assert (promote().code, az.of("ml model share")) == (4, [])


def test_a_gate_json_of_an_earlier_download_does_not_count(promote, az, azure):
    assert promote().code == 0
    azure.registry.clear()
    azure.jobs["job-1"].outputs = {}
    assert (promote().code, len(az.of("ml model share"))) == (4, 1)


def test_the_version_must_be_the_one_that_the_job_registered(promote, az):
    done = promote(version="2")
    assert (done.code, az.of("ml model share")) == (2, [])
    assert "model student:2: the job registered student:3; name this version" in done.err


def test_a_version_with_other_content_than_the_evaluated_model_is_not_promoted(promote, az, azure):
    azure.models["student", "3"] = {DIGEST_TAG: OTHER}
    assert (promote().code, az.of("ml model share")) == (2, [])


@pytest.mark.parametrize("version", ["latest", "3@latest", "", "3 4"])
def test_a_label_is_no_version(promote, az, version):
    done = promote(version=version)
    assert (done.code, az.calls, "must be one version, not a label" in done.err) == (2, [], True)


def test_a_share_that_fails_leaves_the_registry_as_it_was(promote, az, azure):
    az.inject("ml model share", failure("(Forbidden) the role AzureML Registry User is missing"))
    done = promote()
    assert (done.code, "the role AzureML Registry User is missing" in done.err, azure.registry) == (1, True, {})


def test_tags_that_fail_are_reported_with_the_command_that_sets_them(promote, az, azure):
    az.inject("ml model update", failure("(Forbidden) no"))
    done = promote()
    assert (done.code, "the model is shared, but it has no tags" in done.err) == (1, True)
    assert f"--set tags.azdistill_model_digest={DIGEST}" in done.err


def test_tags_that_the_registry_does_not_keep_are_reported(promote, az):
    az.inject("ml model update", Reply())
    done = promote()
    assert (done.code, "it has no tags (they were not set); run: az ml model update" in done.err) == (1, True)


def test_a_dry_run_prints_the_commands_and_runs_none(promote, az, outputs):
    done = promote("--dry-run")
    assert (done.code, az.calls, outputs()) == (0, [], {})
    verbs = [" ".join(line.split()[1:4]) for line in done.out.splitlines()]
    assert verbs[-3:] == ["ml model show", "ml model share", "ml model update"]
