"""DistillationClient in a simulated workspace, and the snippet of the tutorial as a dry run on this machine."""

import json
from pathlib import Path

import pytest

from azdistill import DistillationClient, DistillationJob
from azdistill.azure.workspace_jobs import WorkspaceJobs
from azdistill.contracts.errors import DataError, InputError
from azdistill.job.plan import plan
from tests.azure.tutorial import SNIPPET
from tests.small_job import QUICKSTART

STUDENT = {
    "accuracy": {"value": 0.8, "low": 0.7, "high": 0.9},
    "bleu": 31.5,
    "latency_p50_s": 0.2,
    "tokens_per_s": 90.0,
    "peak_memory_bytes": 4096,
}


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
def distillation(client, workspace) -> DistillationClient:
    """A client of a workspace that has the connection which the short form uses by default."""
    from azure.ai.ml.entities import ServerlessConnection

    client.connections.create_or_update(ServerlessConnection(name="deepseek-v3", endpoint="https://h", api_key="k"))
    return DistillationClient(WorkspaceJobs(client, poll_s=0.01))


@pytest.fixture
def completed(distillation, job, workspace) -> str:
    """The name of a submitted job that ends with a report."""
    name = distillation.jobs.create_or_update(job).name
    baseline = {**STUDENT, "accuracy": {"value": 0.3, "low": 0, "high": 1}}
    report = {"models": {"student": STUDENT, "baseline": baseline}}
    workspace.runs.output(name, "report", {"report.json": json.dumps(report)})
    workspace.jobs[name].script = ["Running", "Running", "Completed"]
    return name


SENT_ONCE = (("PUT", "/environments/"), ("POST", "/listSecrets"), ("PUT", "/components/"))


def test_a_job_is_submitted_once_and_followed(distillation, job, workspace):
    workspace.jobs.script = ["NotStarted", "Running"]
    submitted = distillation.jobs.create_or_update(job)
    # The SDK alone sends an environment for every node, and asks for the datastore's secrets for every file.
    sent = {path: len(workspace.requests.of(method, path)) for method, path in SENT_ONCE}
    steps = {node.step.name for node in plan(job).nodes}
    assert sent == {"/environments/": 2, "/listSecrets": 2, "/components/": len(steps)}  # one /listSecrets by a check
    assert distillation.jobs.create_or_update(job).name == submitted.name
    assert distillation.jobs.get(submitted.name).status == "Running"
    assert [status.name for status in distillation.jobs.list()] == [submitted.name]


@pytest.mark.slow
def test_evaluate_waits_for_the_job_and_reads_its_report(distillation, completed):
    student, baseline = (distillation.models.evaluate(f"phi-4-mini-{model}") for model in ("distilled", "baseline"))
    assert student.accuracy - baseline["accuracy"] == pytest.approx(0.5)
    assert (student.latency, student.throughput, student.agreement) == (0.2, 90.0, None)
    assert {"accuracy", "agreement", "sentence_chrf", "rougeL", "bleu", "latency", "memory"} <= set(student)
    with pytest.raises(AttributeError, match="no metric 'beauty'"):
        student.beauty  # noqa: B018
    assert distillation.jobs.cancel(completed).status == "Completed"


@pytest.mark.slow
def test_evaluate_accepts_the_metric_names_of_the_tutorials(distillation, completed):
    metrics = ["accuracy", "bleu_score", "inference_time", "memory_usage", "latency"]
    student = distillation.models.evaluate("phi-4-mini-distilled", metrics=metrics)
    assert dict(student) == {
        "accuracy": 0.8,
        "bleu_score": 31.5,
        "inference_time": 0.2,
        "memory_usage": 4096,
        "latency": 0.2,
    }


@pytest.mark.slow
def test_another_client_finds_a_job_by_its_display_name(distillation, completed):
    client = DistillationClient(WorkspaceJobs(distillation.jobs._client, poll_s=0.01))
    assert client.models.evaluate("phi-4-mini-distilled", metrics=["accuracy"]) == {"accuracy": 0.8}


NOT_EVALUATED = [
    ("phi-4-mini", {}, "model_name='phi-4-mini': unknown model"),
    ("none-distilled", {}, "job 'none': "),
    ("phi-4-mini-distilled", {"metrics": ["beauty"]}, "metrics='beauty': unknown metric; did you mean 'bleu'"),
    ("phi-4-mini-distilled", {"test_data": "other.jsonl"}, "other.jsonl: no such file"),
    ("phi-4-mini-distilled", {"test_data": "test_data.jsonl", "task": "maths"}, "task='maths': .*did you mean 'math'"),
    ("none:1", {"test_data": "test_data.jsonl"}, "model 'none:1': HTTP 404"),
]


def test_evaluate_names_the_argument_that_is_wrong(distillation, job, workspace):
    workspace.jobs.script = ["Running"]
    distillation.jobs.create_or_update(job)
    for model, arguments, message in NOT_EVALUATED:
        with pytest.raises(InputError, match=message):
            distillation.models.evaluate(model, **arguments)


def test_nothing_is_submitted_while_something_is_missing(client, job, workspace):
    with pytest.raises(InputError, match="connection 'deepseek-v3': "):
        DistillationClient(WorkspaceJobs(client)).jobs.create_or_update(job)
    assert workspace.requests.of("PUT", "/jobs/") == []


def test_the_workspace_is_read_from_config_json(rows, credential):
    (rows / "config.json").write_text('{"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}')
    client = DistillationClient.from_config(credential=credential)
    assert client.jobs._client.workspace_name == "w"
    with pytest.raises(InputError, match="elsewhere"):
        DistillationClient.from_config(rows / "elsewhere")


def test_an_unknown_run_of_this_machine_is_an_error(tmp_path):
    local = DistillationClient.local(tmp_path / "runs")
    assert list(local.jobs.list()) == []
    for method in (local.jobs.get, local.jobs.stream, local.jobs.cancel):
        with pytest.raises(InputError, match="job 'none': "):
            method("none")
    with pytest.raises(InputError, match="job 'none': "):
        local.models.evaluate("none-distilled")


def test_the_progress_of_a_local_job_is_shown(rows, capsys):
    (rows / "training_data.jsonl").write_text("no row\n")
    job = DistillationJob(
        task="conversation",
        data={"training_data": "training_data.jsonl"},
        teacher={"completions": "test_data.jsonl"},
        student={"model": str(QUICKSTART / "student"), "weights": "random"},
    )
    assert DistillationClient.local("runs").jobs.create_or_update(job).status == "Failed"
    assert capsys.readouterr().out.startswith("prepare: running\nprepare: failed\nteacher: skipped\n")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_snippet_of_the_tutorial_runs_to_its_end_as_a_dry_run(rows, capsys):
    assert 'metrics = ["accuracy", "bleu_score", "inference_time"]' in SNIPPET
    code = SNIPPET.replace("DistillationClient.from_config()", 'DistillationClient.local("runs", dry_run=True)')
    assert code != SNIPPET
    names: dict[str, object] = {}
    exec(compile(code, "tutorial", "exec"), names)
    out = capsys.readouterr().out
    assert "Status: Completed" in out
    assert "Accuracy: " in out
    assert "BLEU: " in out
    local = names["client"]
    assert isinstance(local, DistillationClient)
    assert local.models.evaluate("phi-4-mini-distilled").accuracy is not None
    without_references = rows / "bare.jsonl"
    without_references.write_text('{"messages": [{"role": "user", "content": "who?"}]}\n')
    with pytest.raises(DataError, match="no row has a reference answer"):
        local.models.evaluate("phi-4-mini-distilled", test_data=without_references)
