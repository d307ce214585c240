"""`azdistill doctor` without Azure: this machine, and teachers that it reaches over real HTTP."""

import contextlib
import json
import re
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import PackageNotFoundError, requires, version

import pytest
import torch

from azdistill.contracts.simulation import Simulation
from azdistill.doctor.gpu import GIB, check_optional, check_shared_memory, describe
from azdistill.doctor.job import check_job_file
from azdistill.doctor.machine import check_extras, check_gpu, check_python
from azdistill.simulate.model.teacher import ModelTeacher
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.students.loading import load_student
from tests.students import tiny
from tests.teacher.conftest import Echo, serving

KEY = "canary-s3cret"
DOWN = {"model": "big", "endpoint": "http://127.0.0.1:9/v1"}
REQUIREMENTS = [
    *["azure-ai-ml<1.36,>=1.35; extra == 'azure'", "azure-identity>=1.19; extra == 'azure'"],
    *["azureml-mlflow>=1.62; extra == 'azure'", "peft>=0.17; extra == 'train'", "torch>=2.8; extra == 'train'"],
    *['transformers<6,>=5.0; extra == "train"', "scipy>=1.15; extra == 'eval'", "mlflow>=3.0; extra == 'local'"],
    "azure-ai-ml>=1.35; extra == 'local'",
]
WORKSPACE_VARIABLES = ("AZUREML_ARM_SUBSCRIPTION", "AZUREML_ARM_RESOURCEGROUP", "AZUREML_ARM_WORKSPACE_NAME")


@pytest.fixture(autouse=True)
def no_workspace(monkeypatch):
    for name in (*WORKSPACE_VARIABLES, "KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def teacher():
    """A simulated teacher that requires the key, and its URL."""
    simulated = SimulatedTeacher(Simulation(latency_ms=1, wrong_rate=0.0, deployments=("m",)), Echo(), KEY)
    with serving(simulated) as url:
        yield simulated, url


@pytest.fixture
def checks(azdistill, job):
    """Check a job with this teacher: exit code, and results by what was checked."""

    def check(*options, **teacher):
        written = job.read_text().replace(
            "- model: DeepSeek-V3.2\n      connection: deepseek", f"- {json.dumps(teacher)}"
        )
        job.write_text(written)
        done = azdistill("doctor", job, "--format", "json", *options)
        assert KEY not in done.out + done.err
        return done.code, {result["checked"]: result for result in json.loads(done.out)}

    return check


def test_without_a_config_the_workspace_is_unknown(azdistill):
    done = azdistill("doctor")
    lines = done.out.splitlines()
    (number,) = (
        n
        for n, line in enumerate(lines)
        if line.startswith("unknown  workspace: no config.json of a workspace in this")
    )
    assert lines[number + 1].startswith("         download it from the studio")
    assert done.code == 0
    assert lines[-1].startswith("problems: 0, unknown: ")


def test_a_missing_config_that_was_named_is_a_problem(azdistill):
    done = azdistill("doctor", "--config", "nowhere.json", "--format", "json")
    workspace = json.loads(done.out)[-1]
    assert (done.code, workspace["checked"], workspace["status"]) == (2, "workspace", "problem")
    assert (workspace["problem"]["code"], workspace["problem"]["file"]) == ("no_such_file", "nowhere.json")


def test_a_teacher_gets_one_short_request(teacher, checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    simulated, url = teacher
    _, results = checks(model="m", endpoint=url, key_variable="KEY")
    assert results["teacher 'm'"]["detail"] == f"{url}/v1/chat/completions answers (one short request)"
    assert (results["teacher 'm'"]["status"], simulated.calls.total()) == ("ok", 1)


@pytest.mark.parametrize(
    ("fields", "key", "status", "words"),
    [
        ({"key_variable": "KEY"}, None, "problem", "variable KEY is not set; .*read -rs KEY && export KEY"),
        ({"key_variable": "KEY", "connection": "deepseek"}, None, "unknown", "variable KEY is not set; .*export KEY"),
        ({"key_variable": "KEY"}, "other", "problem", "check that the key belongs to this endpoint"),
        ({"model": "n", "key_variable": "KEY"}, KEY, "problem", "deployment 'n'"),
        ({}, None, "problem", "set key_variable or entra_scope"),
        ({"endpoint": "http://127.0.0.1:9"}, None, "unknown", "no answer yet .*; check that it runs"),
        (
            {"endpoint": None, "connection": "deepseek"},
            None,
            "unknown",
            "a job in Azure reads connection 'deepseek'; .*set endpoint and key_variable",
        ),
    ],
)
def test_a_teacher_that_does_not_answer(teacher, checks, monkeypatch, fields, key, status, words):
    if key:
        monkeypatch.setenv("KEY", key)
    fields = {"model": "m", "endpoint": teacher[1], **fields}
    code, results = checks(**{name: value for name, value in fields.items() if value})
    result = results[f"teacher {fields['model']!r}"]
    problem = result["problem"]
    assert result["status"] == status
    assert re.search(words, f"{problem['message']}; {problem['fix']}: {problem['command']}")
    assert code == (2 if status == "problem" else 0)


@pytest.mark.parametrize(
    ("served", "scorer", "status", "words"),
    [
        ({}, {}, "ok", "/v1/completions scores given tokens"),
        ({"scores_prompts": False}, {}, "problem", "does not score given tokens: HTTP 400: .*prompt_logprobs"),
        ({"max_logprobs": 2}, {"top_k": 3}, "problem", "logprobs of 3, .* max allowed: 2.*; .*--max-logprobs"),
        ({"key": KEY}, {}, "problem", "HTTP 401"),
        (
            {},
            {"teacher": {"model": "big", "endpoint": "http://127.0.0.1:9/v1"}},
            "unknown",
            "cannot be reached or does not answer.*; start the",
        ),
        ({"scores_prompts": False}, {"scorer_route": "simulated"}, "ok", "simulated, for local runs"),
    ],
)
def test_a_scorer_is_asked_for_a_score(azdistill, job, tmp_path, served, scorer, status, words):
    model = load_student(tiny.write(tmp_path / "scorer"))
    scoring = ModelTeacher(Simulation(latency_ms=0), model, "big", **served)
    with contextlib.ExitStack() as ending:
        ending.callback(scoring.stop)
        url = ending.enter_context(serving(scoring))
        section = {"teacher": {"model": "big", "endpoint": url}, **scorer}
        sections = {"scorer": section, "train": {"on_policy": {"share": 0.5}}}
        job.write_text(job.read_text() + "\n".join(f"{name}: {json.dumps(value)}" for name, value in sections.items()))
        done = azdistill("doctor", job, "--format", "json")
    (result,) = (result for result in json.loads(done.out) if result["checked"] == "scorer 'big'")
    assert result["status"] == status
    problem = result["problem"] or {"message": result["detail"], "fix": ""}
    assert re.search(words, f"{problem['message']}; {problem['fix']}")


class RepeatsTheKey(BaseHTTPRequestHandler):
    """Refuses each request, and repeats the key in the reply as some endpoints do."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"error": {"message": f"wrong key: {self.headers['api-key']}"}}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Print nothing: the test inspects the output of the command."""


def test_a_key_that_the_endpoint_repeats_is_not_shown(checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    with ThreadingHTTPServer(("127.0.0.1", 0), RepeatsTheKey) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        _, results = checks(model="m", endpoint=f"http://127.0.0.1:{server.server_port}", key_variable="KEY")
        server.shutdown()
    message = results["teacher 'm'"]["problem"]["message"]
    assert "HTTP 401: wrong key: [key]" in message


def test_offline_sends_no_request(teacher, checks, monkeypatch):
    monkeypatch.setenv("KEY", KEY)
    simulated, url = teacher
    _, results = checks("--offline", model="m", endpoint=url, key_variable="KEY")
    assert (results["teacher 'm'"]["status"], simulated.calls.total()) == ("unknown", 0)


def test_the_folder_of_a_student_is_checked(checks, job):
    def student(*arguments, **teacher):
        code, results = checks("--offline", *arguments, **teacher)
        (result,) = (result for checked, result in results.items() if checked.startswith("student "))
        return code, result

    code, result = student(model="m", endpoint="http://127.0.0.1:9")
    assert (code, result["status"]) == (0, "ok")
    (job.parent / "student/model.safetensors").unlink()
    code, result = student()
    assert (code, result["problem"]["code"]) == (2, "no_weights")


def test_a_warning_of_the_student_is_unknown(checks, job):
    job.write_text(job.read_text().replace("model: ./student", "model: ./student\n  weights: random"))
    code, results = checks("--offline", model="m", endpoint="http://127.0.0.1:9")
    (result,) = (result for checked, result in results.items() if checked.startswith("student "))
    assert (code, result["status"], result["problem"]["code"]) == (0, "unknown", "ignored_weights")


def test_a_warning_of_the_job_is_unknown_and_has_a_line(job):
    job.write_text(job.read_text().replace("DeepSeek-V3.2", "DeepSeek-R1"))
    valid, results = check_job_file(job, date(2026, 11, 1))
    (retired,) = (result for result in results if result.problem and "retired" in result.problem.message)
    assert valid is not None
    assert (retired.problem.line, retired.status, retired.problem.severity) == (8, "unknown", "warning")
    assert "DeepSeek-V4-Pro" in str(retired.problem)


@pytest.mark.parametrize(
    ("python", "status"), [((3, 10), "problem"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "problem")]
)
def test_the_python_version_is_checked(python, status):
    assert check_python(python, "<3.14,>=3.11").status == status


@pytest.mark.parametrize(
    ("versions", "extra", "code", "words"),
    [
        ({}, "azure", None, "azure-ai-ml 1.35, azure-identity 99, azureml-mlflow 99"),
        ({"azureml-mlflow": "1.60.0.post2"}, "azure", "unsupported_version", "azureml-mlflow 1.60.0.post2, but >=1.62"),
        ({"azureml-mlflow": "1.62.0.post6"}, "azure", None, "azureml-mlflow 1.62.0.post6"),
        ({"azure-ai-ml": "1.34"}, "azure", "unsupported_version", "azure-ai-ml 1.34, but"),
        ({"azure-ai-ml": "1.99"}, "azure", "unsupported_version", "azure-ai-ml 1.99, but"),
        ({"torch": None, "peft": None}, "train", "not_installed", "not installed: peft, torch; students cannot be"),
        ({"transformers": "5"}, "train", None, "transformers 5"),
        ({"transformers": "4.57.1"}, "train", "unsupported_version", "transformers 4.57.1, but"),
        ({"scipy": None}, "eval", "not_installed", "not installed: scipy"),
        ({"mlflow": None}, "local", "not_installed", "not installed: mlflow"),
    ],
)
def test_extras_are_compared_with_the_requirements(versions, extra, code, words):
    def version(name):
        default = {"azure-ai-ml": "1.35", "transformers": "5"}.get(name, "99")
        if (version := versions.get(name, default)) is None:
            raise PackageNotFoundError(name)
        return version

    results = {result.checked: result for result in check_extras(REQUIREMENTS, version)}
    result = results.pop(f"extra {extra}")
    problem = result.problem
    assert (problem.code if problem else None) == code
    assert words in (problem.message if problem else result.detail)
    assert problem is None or problem.command == f"pip install 'azdistill[{extra}]'"
    assert all(result.status == "ok" for result in results.values())


def test_every_requirement_of_the_package_is_checked():
    def not_installed(name):
        raise PackageNotFoundError(name)

    results = {result.checked: result.problem.message for result in check_extras(requires("azdistill"), not_installed)}
    requirements = [re.match(r"([\w.-]+).*extra == .(azure|train|eval|local).", text) for text in requires("azdistill")]
    reported = {name for message in results.values() for name in re.findall(r"[\w.-]+", message)}
    assert reported >= {match[1] for match in requirements if match}


H100 = "NVIDIA H100 80GB HBM3, 81559 MiB"


@pytest.mark.parametrize(
    ("script", "torch", "status", "words"),
    [
        (None, "2.13.0+cpu", "ok", "none (no nvidia-smi on PATH)"),
        (f"echo '{H100}'", "2.13.0", "ok", H100),
        (f"echo '{H100}'", "2.13.0+cpu", "unknown", f"{H100}, which torch 2.13.0+cpu cannot use"),
        ("exit 9", "2.13.0", "unknown", "nvidia-smi failed"),
    ],
)
def test_the_driver_reports_the_gpu(tmp_path, monkeypatch, script, torch, status, words):
    monkeypatch.setenv("PATH", str(tmp_path))
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    result = check_gpu(lambda _: torch)
    assert result.status == status
    assert (result.problem.message if result.problem else result.detail).startswith(words)


def test_doctor_gpu_says_what_torch_can_use(azdistill):
    """A machine without a usable GPU is a problem; one with several GPUs and without NCCL is, too."""
    done = azdistill("doctor", "--gpu", "--format", "json")
    results = {result["checked"]: result for result in json.loads(done.out)}
    assert [name for name in results if not name.startswith("GPU")] == [
        *("driver", "torch", "NCCL", "flash-attn", "bitsandbytes", "shared memory /dev/shm")
    ]
    assert results["torch"]["detail"].startswith(version("torch"))
    if torch.cuda.is_available():
        assert (done.code, results["GPU 0"]["status"]) == (0, "ok")
        return
    problem = results["GPU 0"]["problem"]
    assert (done.code, results["GPU 0"]["status"], problem["code"]) == (2, "problem", "gpu_unusable")
    assert problem["fix"]


def test_doctor_gpu_checks_no_job(azdistill, job):
    done = azdistill("doctor", job, "--gpu")
    assert (done.code, done.out) == (2, "")
    assert "--gpu" in done.err


@pytest.mark.parametrize(
    ("capability", "words"),
    [((7, 5), "capability 7.5, no bfloat16, float32 is used"), ((8, 0), "capability 8.0, bfloat16")],
)
def test_bfloat16_depends_on_the_compute_capability(capability, words):
    """torch says that a T4 (7.5) supports it, and emulates it."""
    assert describe("T", 8 * GIB, 16 * GIB, capability) == f"T, 16.0 GiB (8.0 free), compute {words}"


def test_an_optional_package_that_cannot_be_imported_is_no_package(monkeypatch, tmp_path):
    (tmp_path / "broken.py").write_text("raise OSError('libcudart.so.13: cannot open shared object file')")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    (tmp_path / "broken-1.0.dist-info/METADATA").write_text("Name: broken\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert check_optional("broken", "broken", "slow").problem.code == "cannot_be_imported"
    assert "libcudart" in check_optional("broken", "broken", "slow").problem.message
    assert check_optional("no-such-package", "none", "slow").problem.code == "not_installed"
    assert check_optional("pytest", "pytest", "slow").detail == version("pytest")


def test_docker_gives_too_little_shared_memory_for_several_gpus():
    assert check_shared_memory(64 * 2**20).problem.code == "little_shared_memory"
    assert check_shared_memory(2 * GIB).status == "ok"
