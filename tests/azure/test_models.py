"""Registered models: found by any of their addresses, downloaded once, and evaluated on this machine."""

import shlex
from functools import partial

import pytest

from azdistill import DistillationClient
from azdistill.azure.models import cache_folder, download_model, download_with_card, find_model
from azdistill.azure.submission import submit
from azdistill.azure.workspace_jobs import WorkspaceJobs
from azdistill.contracts.errors import DataError, InputError
from tests.cd.az_reference import commands_in_shell, problem_of
from tests.students import tiny
from tests.teacher.conftest import simulate
from tests.workspace.azurite import ACCOUNT
from tests.workspace.resources.datastores import BLOB_STORE

__all__ = ["simulate"]

ROWS = '{"messages": [{"role": "user", "content": "a"}], "gold": "You said: a"}\n'


def register(workspace, name: str, version: str, files: dict[str, bytes], job: str = "register-1") -> None:
    """A version that points at files in the storage of the workspace."""
    path = f"azureml/{job}/{name}-{version}"
    for file, content in files.items():
        workspace.blobs.write(workspace.datastores.containers[BLOB_STORE], f"{path}/{file}", content)
    uri = f"azureml://datastores/{BLOB_STORE}/paths/{path}/"
    properties = {"modelType": "custom_model", "modelUri": uri, "tags": {"a": "b"}, "description": "d", "jobName": job}
    workspace.assets.put("models", name, version, properties)


ADDRESSES = {
    "support": "2",
    "support:1": "1",
    "azureml:support:1": "1",
    "azureml:support@latest": "2",
    "azureml://locations/eastus2/workspaces/w/models/support/versions/1": "1",
}


def test_a_model_is_found_by_any_address_and_downloaded_once(client, workspace, tmp_path):
    register(workspace, "support", "1", {"config.json": b"first"})
    register(workspace, "support", "2", {"config.json": b"second", "sub/weights.bin": b"\x00\xff"})
    assert {address: find_model(client, address).version for address in ADDRESSES} == ADDRESSES
    latest = find_model(client, "support")
    assert (latest.tags, latest.description, latest.job) == ({"a": "b"}, "d", "register-1")
    folder = download_model(client, latest, cache_folder(client, latest, tmp_path))
    assert {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == {
        "config.json": b"second",
        "weights.bin": b"\x00\xff",
        ".complete": b"",
    }
    assert cache_folder(client, find_model(client, "support:1"), tmp_path) != folder
    sent = len(workspace.requests.all)
    assert download_model(client, latest, folder) == folder
    assert len(workspace.requests.all) == sent


def test_an_interrupted_download_is_repeated(client, workspace, tmp_path):
    register(workspace, "support", "1", {"config.json": b"first"})
    model = find_model(client, "support")
    (tmp_path / "cached").mkdir()
    (tmp_path / "cached/half").write_text("of an earlier download")
    files = {path.name for path in download_model(client, model, tmp_path / "cached").rglob("*") if path.is_file()}
    assert files == {"config.json", ".complete"}


def test_a_model_of_a_registry_is_downloaded_with_a_sas_of_its_container(client, workspace, tmp_path):
    workspace.blobs.create("house-models")
    workspace.blobs.write("house-models", "phi/config.json", b"{}")
    uri = f"https://{ACCOUNT}.blob.core.windows.net/house-models/phi"
    workspace.registries.create("house").put("models", "phi", "3", {"modelType": "custom_model", "modelUri": uri})
    address = "azureml://registries/house/models/phi/versions/3"
    model = find_model(client, address)
    baseline = {"modelType": "custom_model", "modelUri": address}
    workspace.assets.put("models", "support-baseline", "1", baseline)
    assert find_model(client, "support-baseline") == model
    folder = download_model(client, model, cache_folder(client, model, tmp_path))
    assert [path.read_bytes() for path in folder.rglob("config.json")] == [b"{}"]


def test_a_model_is_downloaded_with_the_card_of_the_job_that_registered_it(client, workspace, small, tmp_path):
    name = submit(client, small).name
    workspace.jobs[name].end("Completed")
    child = workspace.jobs[name].child("register").name
    register(workspace, "support", "1", {"model/config.json": b"{}"}, job=child)
    workspace.runs.output(child, "registration", {"README.md": "# support"})
    card = download_with_card(client, find_model(client, "support"), tmp_path / "first")
    assert card.read_text() == "# support"
    assert card.parent == next((tmp_path / "first").rglob("config.json")).parent
    register(workspace, "other", "1", {"config.json": b"{}", "README.md": b"# its own"}, job=child)
    assert download_with_card(client, find_model(client, "other"), tmp_path / "own").read_text() == "# its own"
    register(workspace, "bare", "1", {"config.json": b"{}"}, job="deleted")
    assert download_with_card(client, find_model(client, "bare"), tmp_path / "bare") is None


UNKNOWN = {
    "none": "not_found",
    "none:3": "not_found",
    "azureml://registries/azureml/models/None/versions/1": "not_found",
    "azureml://datastores/workspaceblobstore/paths/x": "wrong_format",
}


@pytest.mark.parametrize("address", UNKNOWN)
def test_a_model_that_does_not_exist_is_named(client, workspace, address):
    with pytest.raises(InputError) as caught:
        find_model(client, address)
    (problem,) = caught.value.problems
    assert (problem.code, address in str(problem)) == (UNKNOWN[address], True)
    assert all(problem_of(command) == "" for command in commands_in_shell(problem.command))


def test_a_client_evaluates_an_endpoint_with_exactly_the_requested_metrics(client, simulate, tmp_path, monkeypatch):
    monkeypatch.setenv("AZDISTILL_HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text(ROWS)
    _, url = simulate()
    for models in (
        DistillationClient(WorkspaceJobs(client)).models,
        DistillationClient.local(tmp_path / "runs").models,
    ):
        evaluate = partial(models.evaluate, f"big@{url}", tmp_path / "rows.jsonl")
        assert evaluate(metrics=["bleu_score", "accuracy", "memory_usage"]) == {
            "bleu_score": 100.0,
            "accuracy": 1.0,
            "memory_usage": None,
        }
        assert evaluate().accuracy == 1.0
        with pytest.raises(DataError, match="gold_unparseable"):
            evaluate(task="math")


def test_a_teacher_of_the_catalog_is_asked_through_its_connection(client, simulate, tmp_path, monkeypatch):
    from azure.ai.ml.entities import ServerlessConnection

    monkeypatch.setenv("AZDISTILL_HOME", str(tmp_path))
    (tmp_path / "rows.jsonl").write_text(ROWS)
    evaluate = partial(
        DistillationClient(WorkspaceJobs(client)).models.evaluate, "deepseek-v3", tmp_path / "rows.jsonl"
    )
    with pytest.raises(InputError) as caught:
        evaluate()
    (problem,) = caught.value.problems
    assert (problem.code, problem_of(shlex.split(problem.command)[1:])) == ("no_connection", "")
    teacher, url = simulate(key="the key of the connection")
    connection = ServerlessConnection(name="deepseek-v3", endpoint=url, api_key="the key of the connection")
    client.connections.create_or_update(connection)
    assert evaluate(metrics=["accuracy"]) == {"accuracy": 1.0}
    assert (teacher.calls["answered"] > 0, teacher.calls["unauthorized"]) == (True, 0)
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"the key of the connection" not in written


def test_a_registered_student_is_loaded_back_and_gives_the_same_token_ids(client, workspace, tmp_path):
    from azdistill.generation.generate import generate
    from azdistill.students.loading import load_student
    from azdistill.students.template import tokenize_prompts

    student = load_student(tiny.write(tmp_path / "base"))
    student.save(tmp_path / "model", "float32")
    files = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir() if path.is_file()}
    register(workspace, "support", "1", files)
    loaded = load_student(download_model(client, find_model(client, "support"), tmp_path / "downloaded"))

    def answers(of):
        prompts = tokenize_prompts(of.tokenizer, [tiny.turns(f"question {number}") for number in range(5)])
        return generate(of, prompts, max_new_tokens=12, batch_size=2)

    assert answers(loaded) == answers(student)
    assert any(answer.token_ids for answer in answers(student))


@pytest.mark.slow
def test_a_registered_student_answers_on_this_machine(client, workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("AZDISTILL_HOME", str(tmp_path / "home"))
    (tmp_path / "rows.jsonl").write_text(ROWS)
    model = tiny.write(tmp_path / "model")
    register(workspace, "support-distilled", "1", {path.name: path.read_bytes() for path in model.iterdir()})
    evaluate = DistillationClient(WorkspaceJobs(client)).models.evaluate
    metrics = ["accuracy", "parameters", "memory_usage"]
    for name in ("support-distilled", "azureml:support-distilled:1"):
        result = evaluate(name, tmp_path / "rows.jsonl", metrics, max_new_tokens=4)
        assert list(result) == metrics
        assert (result.accuracy, result.parameters) == (0.0, tiny.model("smollm").num_parameters())
        assert result.memory_usage > 0
