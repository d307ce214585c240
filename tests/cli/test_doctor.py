"""`azdistill doctor` without Azure: this machine, and the teachers that can be asked from it over real HTTP."""

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, requires

import pytest

from azdistill.contracts.simulation import Simulation
from azdistill.doctor.job import check_file
from azdistill.doctor.machine import extras, gpu, interpreter
from azdistill.simulate.teacher import SimulatedTeacher
from tests.teacher.conftest import Echo, serving

KEY = "canary-s3cret"
FIELDS = ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch):
    for name in (*FIELDS, "KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def teacher():
    """It lets in who has the key; yields it and its address."""
    simulated = SimulatedTeacher(Simulation(latency_ms=1, wrong_rate=0.0, deployments=("m",)), Echo(), KEY)
    with serving(simulated) as url:
        yield simulated, url


@pytest.fixture
def checks(azdistill, job):
    """The findings on a job with this teacher, by what they are about, and the exit code."""

    def look(*options, **teacher):
        written = job.read_text().replace(
            "- model: DeepSeek-V3.2\n      connection: deepseek", f"- {json.dumps(teacher)}"
        )
        job.write_text(written)
        done = azdistill("doctor", job, "--format", "json", *options)
        assert KEY not in done.out + done.err
        return done.code, {check["what"]: check for check in json.loads(done.out)}

    return look


def test_without_a_workspace_it_says_where_to_get_one_and_nothing_is_wrong(azdistill):
    done = azdistill("doctor")
    lines = done.out.splitlines()
    (about,) = (n for n, line in enumerate(lines) if line.startswith("unknown  workspace: no config.json here"))
    assert lines[about + 1].startswith("         download it from the studio")
    assert done.code == 0
    assert lines[-1].startswith("nothing wrong, ")


def test_a_config_that_is_named_and_not_there_is_wrong(azdistill):
    done = azdistill("doctor", "--config", "nowhere.json")
    assert done.code == 2
    assert "wrong    workspace: 'nowhere.json' is no config.json" in done.out


def test_a_teacher_answers_one_short_call(teacher, checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    simulated, url = teacher
    _, found = checks(model="m", endpoint=url, key_variable="KEY")
    assert found["teacher 'm'"]["detail"] == f"{url}/v1/chat/completions answers (one short call)"
    assert (found["teacher 'm'"]["state"], simulated.calls.total()) == ("ok", 1)


@pytest.mark.parametrize(
    ("fields", "key", "state", "detail", "move"),
    [
        ({"key_variable": "KEY"}, None, "wrong", "variable KEY is not set", "read -rs KEY && export KEY"),
        ({"key_variable": "KEY", "connection": "deepseek"}, None, "unknown", "variable KEY is not set", "export KEY"),
        (
            {"key_variable": "KEY"},
            "other",
            "wrong",
            "it refused the key",
            "check that the key belongs to this endpoint",
        ),
        (
            {"model": "n", "key_variable": "KEY"},
            KEY,
            "wrong",
            "it has no deployment 'n'",
            "model is the name of the deployment",
        ),
        ({}, None, "wrong", "it asks who you are", "set key_variable or entra_scope"),
        ({"endpoint": "http://127.0.0.1:9"}, None, "unknown", "no answer yet", "see that it is up"),
        (
            {"endpoint": None, "connection": "deepseek"},
            None,
            "unknown",
            "read by a job in Azure",
            "give endpoint and key_variable too",
        ),
    ],
)
def test_a_teacher_that_does_not_answer(teacher, checks, monkeypatch, fields, key, state, detail, move):
    if key:
        monkeypatch.setenv("KEY", key)
    given = {"model": "m", "endpoint": teacher[1], **fields}
    code, found = checks(**{name: value for name, value in given.items() if value})
    check = found[f"teacher {given['model']!r}"]
    assert check["state"] == state
    assert detail in check["detail"]
    assert move in (check["command"] or check["move"])
    assert code == 2  # the student of this job is wrong in any case


class Tells(BaseHTTPRequestHandler):
    """Refuses, and repeats the key as some endpoints do."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"error": {"message": f"wrong key: {self.headers['api-key']}"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Nothing: what is printed is looked at."""


def test_a_key_that_the_endpoint_repeats_is_not_shown(checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), Tells) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        _, found = checks(model="m", endpoint=f"http://127.0.0.1:{server.server_port}", key_variable="KEY")
        server.shutdown()
    assert found["teacher 'm'"]["detail"].endswith("it refused the key (HTTP 401: wrong key: [key])")


def test_offline_asks_nobody(teacher, checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    simulated, url = teacher
    _, found = checks("--offline", model="m", endpoint=url, key_variable="KEY")
    assert (found["teacher 'm'"]["state"], simulated.calls.total()) == ("unknown", 0)


def test_a_student_that_lies_here_is_looked_into(checks, job):
    code, found = checks("--offline", model="m", endpoint="http://127.0.0.1:9")
    (student,) = (check for what, check in found.items() if what.startswith("student "))
    assert (code, student["state"]) == (2, "wrong")
    assert "no tokenizer_config.json" in student["detail"]
    (job.parent / "student/tokenizer_config.json").write_text("{}")
    code, found = checks("--offline")
    (student,) = (check for what, check in found.items() if what.startswith("student "))
    assert "no *.safetensors beside config.json" in student["detail"]
    (job.parent / "student/model.safetensors").write_bytes(b"")
    code, found = checks("--offline")
    assert code == 0


def test_a_warning_of_the_job_is_unknown_and_names_its_line(job):
    job.write_text(job.read_text().replace("DeepSeek-V3.2", "DeepSeek-R1"))
    read, found = check_file(job, date(2026, 11, 1))
    (retired,) = (check for check in found if "was retired" in check.detail)
    assert read is not None
    assert (retired.what, retired.state) == ("job.yaml:8", "unknown")
    assert "Azure names" in retired.move


@pytest.mark.parametrize(("mine", "state"), [((3, 10), "wrong"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "wrong")])
def test_the_interpreter_is_held_against_what_the_package_takes(mine, state):
    assert interpreter(mine, "<3.14,>=3.11").state == state


@pytest.mark.parametrize(
    ("here", "extra", "state", "words"),
    [
        ({}, "azure", "ok", "azure-ai-ml 99, azure-identity 99, azureml-mlflow 99"),
        (
            {"azureml-mlflow": "1.60.0.post2"},
            "azure",
            "wrong",
            "azureml-mlflow 1.60.0.post2, where 1.62 is the oldest (older ones crash",
        ),
        ({"azureml-mlflow": "1.62.0.post6", "azure-ai-ml": "1.35"}, "azure", "ok", "azureml-mlflow 1.62.0.post6"),
        ({"torch": None, "peft": None}, "train", "unknown", "not installed: peft, torch, so no student learns"),
        ({"transformers": "5"}, "train", "ok", "transformers 5"),
        ({"transformers": "4.57.1"}, "train", "wrong", "transformers 4.57.1, where 5.0 is the oldest"),
        ({"scipy": None}, "eval", "unknown", "not installed: scipy"),
        ({"mlflow": None}, "local", "unknown", "not installed: mlflow"),
    ],
)
def test_extras_are_held_against_what_the_package_declares(here, extra, state, words):
    def version(name):
        if (found := here.get(name, "99")) is None:
            raise PackageNotFoundError(name)
        return found

    found = {check.what: check for check in extras(requires("azdistill"), version)}
    check = found[f"extra {extra}"]
    assert (check.state, check.command) == (state, "" if state == "ok" else f"pip install 'azdistill[{extra}]'")
    assert words in check.detail
    assert all(other.state == "ok" for what, other in found.items() if what != f"extra {extra}")


H100 = "NVIDIA H100 80GB HBM3, 81559 MiB"


@pytest.mark.parametrize(
    ("script", "torch", "state", "detail"),
    [
        (None, "2.13.0+cpu", "ok", "none (no nvidia-smi on PATH)"),
        (f"echo '{H100}'", "2.13.0", "ok", H100),
        (f"echo '{H100}'", "2.13.0+cpu", "unknown", f"{H100}, which torch 2.13.0+cpu can't use"),
        ("exit 9", "2.13.0", "unknown", "nvidia-smi can't tell"),
    ],
)
def test_a_gpu_is_asked_of_the_driver(tmp_path, monkeypatch, script, torch, state, detail):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    check = gpu(lambda _: torch)
    assert check.state == state
    assert check.detail.startswith(detail)
