"""The workflows: clean for three linters, and the rules that a security review asks for."""

import re
from pathlib import Path

import pytest
import yaml

from tests.cd import linters
from tests.cd.linters import GITHUB, ROOT, SCHEMAS, workflows
from tests.infra.bicep import BICEP_FILES

ACTION = re.compile(r"^ *(?:- )?uses: +(\S+)(?: +# (\S+))?$", re.MULTILINE)
# Commits of releases, each seen in public workflows with this version as comment.
COMMITS = {
    "actions/checkout": "11bd71901bbe5b1630ceea73d27597364c9af683 v4.2.2",
    "actions/setup-python": "0b93645e9fea7318ecaed2b359559ac225c90a2b v5.3.0",
    "actions/upload-artifact": "ea165f8d65b6e75b540449e92b4886f43607fa02 v4.6.2",
    "actions/download-artifact": "d3f86a106a0bac45b974a628896c90dbdf5c8093 v4.3.0",
}
VERBS = "setup login infra train redistil cancel summary comment publish promote deploy".split()


def content(path):
    return yaml.safe_load(path.read_text())


def jobs():
    return [
        pytest.param(job, id=f"{path.stem}.{name}")
        for path in workflows()
        for name, job in content(path)["jobs"].items()
    ]


def test_actionlint_finds_nothing_but_what_is_wrong(tmp_path):
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(
        "on: push\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n      - run: echo ${{ inputs.x }}\n"
    )
    (finding,) = linters.actionlint([*workflows(), wrong])
    assert (finding["path"], 'property "x" is not defined' in finding["message"]) == (str(wrong), True)


def test_zizmor_finds_nothing():
    findings = linters.zizmor(GITHUB / "workflows", GITHUB / "actions", GITHUB / "dependabot.yml")
    assert [(finding["ident"], str(finding["locations"])[:300]) for finding in findings] == []


def test_zizmor_finds_what_is_wrong(tmp_path):
    path = tmp_path / "wrong.yml"
    step = "      - run: echo ${{ github.event.issue.title }}\n"
    path.write_text(f"on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{step}")
    assert "template-injection" in {finding["ident"] for finding in linters.zizmor(path)}


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_have_their_schema(schema):
    paths = sorted(GITHUB.glob(SCHEMAS[schema]))
    assert paths
    assert linters.schema_errors(schema, paths) == []


def test_the_azure_pipeline_has_its_schema():
    assert linters.schema_errors("vendor.azure-pipelines", [ROOT / "azure-pipelines.yml"]) == []


@pytest.mark.parametrize("path", [*workflows(), *GITHUB.glob("actions/*/action.yml")], ids=lambda path: path.stem)
def test_actions_are_pinned_by_the_commit_of_a_release(path):
    for reference, version in ACTION.findall(path.read_text()):
        if not reference.startswith("./"):
            name, _, commit = reference.partition("@")
            assert COMMITS[name] == f"{commit} {version}"


@pytest.mark.parametrize("path", workflows(), ids=lambda path: path.stem)
def test_a_workflow_has_no_permission_and_limits_its_runs(path):
    workflow = content(path)
    assert workflow["permissions"] == {}
    assert {"group", "cancel-in-progress"} <= workflow["concurrency"].keys()


@pytest.mark.parametrize("job", jobs())
def test_a_job_is_bounded_and_has_the_permissions_that_it_needs(job):
    assert job["permissions"]
    if "uses" in job:
        return
    assert 0 < job["timeout-minutes"] <= 350
    assert set(job["permissions"]) <= {"contents", "id-token", "pull-requests"}
    assert job["permissions"].get("contents") != "write"
    # Only a job of an environment may get a token for Azure, and no other one needs the variables.
    assert ("id-token" in job["permissions"]) == ("environment" in job)
    assert ("AZURE_CLIENT_ID" in job.get("env", {})) == ("environment" in job)


@pytest.mark.parametrize("job", jobs())
def test_a_checkout_keeps_no_token_and_no_script_contains_an_expression(job):
    for step in job.get("steps", ()):
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"] == {"persist-credentials": False}
        assert "${{" not in step.get("run", "")


def test_the_workflows_use_every_verb():
    files = [*workflows(), *GITHUB.glob("actions/*/action.yml")]
    text = "\n".join(path.read_text() for path in files)
    assert set(re.findall(r"python -m scripts\.cd (\w+)", text)) == set(VERBS)


def test_a_verb_that_waits_is_the_process_that_the_runner_signals():
    for path in workflows():
        waiting = re.findall(r"(\S+) python -m scripts\.cd (?:train|redistil|deploy|infra|promote)\b", path.read_text())
        assert set(waiting) <= {"exec"}, path.name


def test_a_training_is_cancelled_with_its_run_and_its_results_are_kept():
    for name in ("train", "redistil"):
        steps = content(GITHUB / "workflows" / f"{name}.yml")["jobs"]["train"]["steps"]
        cancel = next(step for step in steps if step.get("run") == "python -m scripts.cd cancel")
        assert cancel["if"] == "cancelled()"
        (kept,) = [step for step in steps if step.get("uses", "").startswith("actions/upload-artifact@")]
        assert kept["if"] == "${{ !cancelled() }}"
        # Not the report and the scores, which contain test rows.
        assert kept["with"]["path"].split() == ["cd-results/comment.md", "cd-results/job.json"]


def test_a_change_of_any_file_of_the_infrastructure_is_deployed():
    """The Bicep files read the table of roles, which is not in their folder."""
    read = set(re.findall(r"loadJsonContent\('(?:\.\./)+(.*?)'\)", "".join(map(Path.read_text, BICEP_FILES))))
    triggers = content(GITHUB / "workflows" / "infra.yml")[True]  # the key `on`
    for event in ("pull_request", "push"):
        assert set(triggers[event]["paths"]) == {"infra/**", *read}


def test_only_a_student_that_passed_is_promoted_by_a_schedule():
    workflow = content(GITHUB / "workflows" / "redistil.yml")["jobs"]
    assert workflow["promote"]["if"] == "needs.train.outputs.gate == 'passed'"
    assert workflow["deploy"]["needs"] == ["train", "promote"]


def test_the_azure_pipeline_runs_verbs_that_exist():
    files = [ROOT / "azure-pipelines.yml", *(ROOT / ".azuredevops").glob("*.yml")]
    text = "\n".join(path.read_text() for path in files)
    verbs = {*re.findall(r"verb: (\w+)", text), *re.findall(r"python -m scripts\.cd (\w+)", text)}
    assert {"setup", "login", "train", "cancel", "comment", "promote", "deploy"} <= verbs <= {*VERBS}
    for path in files:
        yaml.safe_load(path.read_text())
