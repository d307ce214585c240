"""The tutorial's snippet: as far as submission on the stand-in, and to its end in a dry run on this machine."""

import json
from pathlib import Path

import pytest

from azdistill import DistillationClient, DistillationJob
from azdistill.azure.workspace_jobs import WorkspaceJobs
from azdistill.contracts.errors import DataError, InputError
from tests.azure.tutorial import SNIPPET

FIGURES = {"accuracy": {"value": 0.8, "low": 0.7, "high": 0.9}, "latency_p50_s": 0.2, "tokens_per_s": 90.0}


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the snippet names, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AZDISTILL_HOME", str(tmp_path / "home"))
    for name in ("training_data", "validation_data", "test_data"):
        lines = [{"messages": [{"role": "user", "content": f"{name} {n}?"}], "gold": "yes"} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


@pytest.fixture
def job(rows) -> DistillationJob:
    return DistillationJob(
        teacher_model="deepseek-v3",
        student_model="phi-4-mini",
        training_data="./training_data.jsonl",
        validation_data="./validation_data.jsonl",
        task_type="conversation",
    )


@pytest.fixture
def there(client, workspace) -> DistillationClient:
    """A workspace with what the short form leaves to its defaults."""
    from azure.ai.ml.entities import ServerlessConnection

    client.connections.create_or_update(ServerlessConnection(name="deepseek-v3", endpoint="https://h", api_key="k"))
    return DistillationClient(WorkspaceJobs(client, poll_s=0.01))


def test_a_job_is_sent_followed_and_measured(there, job, workspace, capsys):
    workspace.jobs.script = ["NotStarted", "Running"]
    sent = there.jobs.create_or_update(job)
    assert there.jobs.create_or_update(job).name == sent.name
    assert there.jobs.get(sent.name).status == "Running"
    assert [one.name for one in there.jobs.list()] == [sent.name]
    report = {"models": {"student": FIGURES, "baseline": {**FIGURES, "accuracy": {"value": 0.3, "low": 0, "high": 1}}}}
    workspace.runs.output(sent.name, "report", {"report.json": json.dumps(report)})
    workspace.jobs[sent.name].script = ["Running", "Running", "Completed"]
    student, baseline = (there.models.evaluate(f"phi-4-mini-{who}") for who in ("distilled", "baseline"))
    assert student.accuracy - baseline["accuracy"] == pytest.approx(0.5)
    assert (student.latency, student.throughput, student.memory) == (0.2, 90.0, None)
    assert there.jobs.cancel(sent.name).status == "Completed"
    later = DistillationClient(WorkspaceJobs(there.jobs._client))
    assert later.models.evaluate("phi-4-mini-distilled", metrics=["accuracy"]) == {"accuracy": 0.8}


UNKNOWN = [
    ("phi-4-mini", {}, "expected JOB-distilled or JOB-baseline"),
    ("none-distilled", {}, "job 'none': none of the workspace's latest jobs"),
    ("phi-4-mini-distilled", {"metrics": ["beauty"]}, "metric 'beauty': there is none; there are accuracy"),
    ("phi-4-mini-distilled", {"test_data": "other.jsonl"}, "is measured on its own test rows"),
]


def test_what_cannot_be_measured_is_told(there, job, workspace):
    workspace.jobs.script = ["Running"]
    there.jobs.create_or_update(job)
    for model, fields, words in UNKNOWN:
        with pytest.raises(InputError, match=words):
            there.models.evaluate(model, **fields)


def test_nothing_is_sent_while_something_is_missing(client, job, workspace):
    with pytest.raises(InputError, match="connection 'deepseek-v3': the workspace has none of that name"):
        DistillationClient(WorkspaceJobs(client)).jobs.create_or_update(job)
    assert workspace.requests.of("PUT", "/jobs/") == []


def test_the_workspace_is_the_one_of_the_config(rows, credential):
    (rows / "config.json").write_text('{"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}')
    client = DistillationClient.from_config(credential=credential)
    assert client.jobs._client.workspace_name == "w"
    with pytest.raises(InputError, match=r"neither config\.json nor a folder with one"):
        DistillationClient.from_config(rows / "elsewhere")


def test_a_machine_without_runs_says_so(tmp_path):
    here = DistillationClient.local(tmp_path / "runs")
    assert list(here.jobs.list()) == []
    for ask in (here.jobs.get, here.jobs.stream, here.jobs.cancel):
        with pytest.raises(InputError, match="job 'none': there is no such run"):
            ask("none")
    with pytest.raises(InputError, match="there is no such run"):
        here.models.evaluate("none-distilled")


@pytest.mark.slow
def test_the_tutorials_snippet_runs_here_in_a_dry_run(rows, capsys):
    code = SNIPPET.replace("DistillationClient.from_config()", 'DistillationClient.local("runs", dry_run=True)')
    assert code != SNIPPET
    found: dict[str, object] = {}
    exec(compile(code, "tutorial", "exec"), found)
    out = capsys.readouterr().out
    assert "Status: Completed" in out
    assert "Accuracy: " in out
    here = found["client"]
    assert isinstance(here, DistillationClient)
    on_its_own_rows = here.models.evaluate("phi-4-mini-distilled")
    assert on_its_own_rows.accuracy is not None
    bare = rows / "bare.jsonl"
    bare.write_text('{"messages": [{"role": "user", "content": "who?"}]}\n')
    with pytest.raises(DataError, match="no row has a reference answer"):
        here.models.evaluate("phi-4-mini-distilled", test_data=bare)
