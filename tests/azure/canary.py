"""Plant a different secret in every source of secrets, use them, and search all output for them.

`search_for_secrets` compiles and submits a job, calls its teacher, registers its student, and provokes errors.
Used by the test and by a benchmark.
"""

import contextlib
import io
import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.files import write_json, write_text
from azdistill.contracts.requests import Teacher
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import TeacherConfig
from azdistill.simulate.teacher import SimulatedTeacher
from tests.registry.conftest import METRICS, USAGE, gate
from tests.registry.conftest import folder as complete_folder
from tests.teacher.conftest import Echo, StepFolders, serving
from tests.workspace.azurite import Azurite
from tests.workspace.clients import client_for, empty_workspace
from tests.workspace.credential import SimulatedCredential
from tests.workspace.job_process import JobProcess, job_process
from tests.workspace.resources.identity import SECRET
from tests.workspace.simulated import SimulatedWorkspace

# Source -> secret. Tokens and the key of the datastore come on top: they are created anew each time.
SECRETS = {
    "key variable": "canary-variable-11aa",
    "key of a connection": "canary-connection-22bb",
    "MLflow password": "canary-mlflow-33cc",
    "password in an endpoint": "canary-userinfo-44dd",
    "api_key of a native job": "canary-native-55ee",
    "proxy password": "canary-proxy-66ff",
    "secret of the node's identity": SECRET,
}

VARIABLE, TEACHER, TOKEN_TEACHER = "TEACHER_KEY", "teacher.example", "token.example"
SCOPE = "https://cognitiveservices.azure.com/.default"
MLFLOW = f"http://me:{SECRETS['MLflow password']}@127.0.0.1:9"
# Headers that may contain a secret. The body of a request that creates a connection may, too.
SECRET_HEADERS = {"authorization", "x-azureml-token", "secret", "proxy-authorization"}


@dataclass
class SecretSearch:
    """Secrets by source, the outputs to search by location, and the values of headers that may contain secrets."""

    secrets: dict[str, list[str]]
    outputs: dict[str, bytes] = field(default_factory=dict)
    header_values: list[str] = field(default_factory=list)

    def add(self, location: str, content: str | bytes) -> None:
        self.outputs[location] = content if isinstance(content, bytes) else content.encode()

    def add_folder(self, location: str, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.add(f"{location}: {path.relative_to(folder)}", path.read_bytes())

    def hits(self) -> list[str]:
        """Each secret in an output, as "source in location"."""
        pairs = [(source, secret.encode()) for source, secrets in self.secrets.items() for secret in secrets]
        return sorted(
            {
                f"{source} in {location}"
                for source, secret in pairs
                for location, content in self.outputs.items()
                if secret in content
            }
        )


def search_for_secrets(storage: Azurite, folder: Path) -> SecretSearch:
    """Plant the secrets, run all operations in `folder`, and collect their outputs."""
    search = SecretSearch({source: [secret] for source, secret in SECRETS.items()})
    search.secrets["key of the datastore"] = [storage.key]
    user = SimulatedCredential()
    with _in_environment({VARIABLE: SECRETS["key variable"]}), _logged(search), empty_workspace(storage) as workspace:
        _connect(search, workspace)
        _as_user(search, workspace, user, folder)
        with serving(_teacher()) as key_url, serving(_teacher(entra_scope=SCOPE)) as token_url:
            hosts = {TEACHER: key_url.removeprefix("http://"), TOKEN_TEACHER: token_url.removeprefix("http://")}
            with job_process(workspace, folder / "job", hosts, SECRETS["proxy password"]) as job:
                _as_jobs(search, job, folder)
        _collect_workspace(search, workspace)
        search.secrets["token of the user"] = user.tokens
        search.secrets["token of the job"] = workspace.identity.credential.tokens
    _collect_training_log(search)
    _collect_objects(search)
    return search


def _teacher(**authentication: Any) -> SimulatedTeacher:
    key = None if authentication else SECRETS["key of a connection"]
    return SimulatedTeacher(Simulation(latency_ms=1, wrong_rate=0.0, **authentication), Echo(), key)


def _connect(search: SecretSearch, workspace: SimulatedWorkspace) -> None:
    """Create connections with the key, without a key and with a wrong key."""
    search.secrets["key of a connection"].append("canary-wrong-key")
    workspace.connections.by_name |= {
        "deepseek": {"target": f"https://{TEACHER}", "credentials": {"key": SECRETS["key of a connection"]}},
        "by-token": {"target": f"https://{TOKEN_TEACHER}"},
        "wrong-key": {"target": f"https://{TEACHER}", "credentials": {"key": "canary-wrong-key"}},
    }


def _as_user(search: SecretSearch, workspace: SimulatedWorkspace, user: SimulatedCredential, folder: Path) -> None:
    """Compile and submit a job of azdistill and a native one, then provoke a rejected submission."""
    from azdistill.azure.submission import submit

    with client_for(workspace, user) as client:
        for name, bundle in _bundles(search, folder).items():
            search.add_folder(f"bundle {name}", bundle)
            submit(client, bundle)
        workspace.faults.inject("PUT", "/jobs/", 403, times=9)
        _provoke(search, "submission refused", lambda: submit(client, bundle, again=True, inputs={"seed": "7"}))


def _bundles(search: SecretSearch, folder: Path) -> dict[str, Path]:
    from azdistill.cli.paths import read_job
    from azdistill.job.bundle import compile_job

    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"messages": [{"role": "user", "content": f"row {n}"}], "gold": "yes"} for n in range(30)]
    write_text(folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    by_variable = {"endpoint": "https://h.example", "key_variable": VARIABLE}
    texts = {
        "azdistill": JOB
        | {"teacher": {"teachers": [{"model": "m", "connection": "deepseek"}, {"model": "n"} | by_variable]}},
        "native": NATIVE,
    }
    bundles = {}
    for name, values in texts.items():
        write_json(folder / f"{name}.yaml", values)  # JSON is YAML
        with contextlib.redirect_stderr(io.StringIO()) as stderr:
            bundles[name] = compile_job(read_job(folder / f"{name}.yaml"), folder / f"bundle-{name}").parent
        search.add(f"differences of {name}", stderr.getvalue())
    _compile_endpoint_with_password(search, folder)
    return bundles


def _compile_endpoint_with_password(search: SecretSearch, folder: Path) -> None:
    """Compile a job whose endpoint URL contains a password, which is an error."""
    from azdistill.cli.paths import read_job
    from azdistill.job.bundle import compile_job

    url = f"https://me:{SECRETS['password in an endpoint']}@h.example/v1"
    write_json(folder / "password.yaml", JOB | {"teacher": {"teachers": [{"model": "m", "endpoint": url}]}})
    _provoke(
        search,
        "endpoint with a password",
        lambda: compile_job(read_job(folder / "password.yaml"), folder / "bundle-password"),
    )
    search.add_folder("bundle password", folder / "bundle-password")


STUDENT = "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1"
JOB: dict[str, Any] = {
    "name": "small",
    "task": "conversation",
    "data": {"training_data": "rows.jsonl"},
    "student": {"model": STUDENT},
}
NATIVE: dict[str, Any] = {
    "type": "distillation",
    "name": "small_native",
    "data_generation_type": "label_generation",
    "data_generation_task_type": "conversation",
    "training_data": {"type": "uri_file", "path": "rows.jsonl"},
    "validation_data": {"type": "uri_file", "path": "rows.jsonl"},
    "teacher_model_endpoint_connection": {
        "type": "serverless",
        "name": "Llama-3-1-405B",
        "endpoint": "https://example.westus3.models.ai.azure.com",
        "api_key": SECRETS["api_key of a native job"],
    },
    "student_model": STUDENT,
    "outputs": {"registered_model": {"type": "mlflow_model", "name": "small-native"}},
}


def _as_jobs(search: SecretSearch, job: JobProcess, folder: Path) -> None:
    """Call the teacher with a key, a token and a wrong key.

    Register the student with a reachable and an unreachable MLflow.
    """
    tracking = f"sqlite:///{folder}/mlflow.db"
    with ThreadPoolExecutor() as pool:
        exit_codes = {"deepseek": 0, "by-token": 0, "wrong-key": 1}
        futures = [pool.submit(_ask, search, job, folder, name, expected) for name, expected in exit_codes.items()]
        futures += [
            pool.submit(_register, search, job, folder / "unreachable", MLFLOW),
            pool.submit(_register, search, job, folder / "register", tracking),
        ]
        for future in futures:
            future.result()
    search.add("MLflow's database", (folder / "mlflow.db").read_bytes())


def _ask(search: SecretSearch, job: JobProcess, folder: Path, connection: str, expected: int) -> None:
    step = StepFolders(folder / connection)
    step.root.mkdir()
    messages = (Message(role="user", content="row 1"),)
    step.write_prompts([Prompt(id=prompt_id(messages), split="train", messages=messages, source="rows:1")])
    teachers = (Teacher(model="m", connection=connection),)
    code, out, err = step.run(TeacherConfig(teachers=teachers, teacher_route="endpoint"), **job.environ())
    assert code == expected, err
    search.add(f"output of teacher {connection}", out + err)
    search.add_folder(f"folders of teacher {connection}", step.root)


def _register(search: SecretSearch, job: JobProcess, root: Path, tracking: str) -> None:
    root.mkdir()
    values = {
        **input_folders(root),
        "model-address": "azureml://datastores/workspaceblobstore/paths/model",
        "registration": root / "out",
        "mlflow-models": root / "mlflow",
    }
    arguments = [argument for name, value in values.items() for argument in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "azdistill.steps.register", *arguments]
    run = _create_run(tracking) if tracking.startswith("sqlite") else "run-1"
    environ = {**os.environ, **job.environ(run=run), "MLFLOW_TRACKING_URI": tracking}
    environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert done.returncode == 0, done.stderr
    search.add(f"output of register {root.name}", done.stdout + done.stderr)
    search.add_folder(f"folders of register {root.name}", root)


def input_folders(root: Path) -> dict[str, Path]:
    contents: dict[str, dict[str, Any]] = {
        "model": {"config.json": {}, "model.safetensors": root.name},
        "completions": {"usage.json": USAGE},
        "prompts": {"prompts.jsonl": ""},
        "training": {"metrics.json": {}},
        "curated": {"train.jsonl": ""},
        "evaluation": {"metrics.json": METRICS, "gate.json": gate("passed")},
    }
    return {name: complete_folder(root / name, name, files) for name, files in contents.items()}


def _create_run(tracking: str) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking)
    artifacts = Path(tracking.removeprefix("sqlite:///")).parent / "artifacts"
    existing = client.get_experiment_by_name("job")
    experiment = (
        existing.experiment_id if existing else client.create_experiment("job", artifact_location=artifacts.as_uri())
    )
    return str(client.create_run(experiment).info.run_id)


def _collect_workspace(search: SecretSearch, workspace: SimulatedWorkspace) -> None:
    """Collect all requests, jobs, assets and blobs of the workspace."""
    for number, seen in enumerate(workspace.requests.all):
        request = seen.request
        headers = {name: value for name, value in request.headers.items() if name not in SECRET_HEADERS}
        search.header_values += [value for name, value in request.headers.items() if name in SECRET_HEADERS]
        body = None if request.method == "PUT" and "/connections/" in request.path else request.body
        search.add(f"request {number}: {seen}", json.dumps([request.path, dict(request.query), headers, body]))
    for name, job in workspace.jobs.by_name.items():
        search.add(f"job {name}", json.dumps(job.properties))
    for kind in ("codes", "environments", "components", "data", "models"):
        search.add(f"assets: {kind}", json.dumps(workspace.assets.of(kind)))
    for container in (*workspace.datastores.containers.values(), *workspace.assets.names("codes")):
        for name, content in workspace.blobs.contents(container).items():
            search.add(f"blob {container}/{name}", content)


def _collect_training_log(search: SecretSearch) -> None:
    """Log to MLflow as step train does, with an unreachable server."""
    from types import SimpleNamespace

    from azdistill.contracts.train import TrainConfig
    from azdistill.training.tracking import RUN_ID, TRACKING_URI, LogToMLflow

    state = SimpleNamespace(is_world_process_zero=True, global_step=1)
    environ = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    log, logger = logging.StreamHandler(io.StringIO()), logging.getLogger("azdistill.training")
    logger.addHandler(log)
    with _in_environment(environ), contextlib.redirect_stderr(io.StringIO()) as stderr:
        LogToMLflow(TrainConfig(), "hash", {RUN_ID: "run-1", TRACKING_URI: MLFLOW}).on_train_begin(None, state, None)
    logger.removeHandler(log)
    assert "MLflow run 'run-1': logging failed" in log.stream.getvalue()
    search.add("output of train", log.stream.getvalue() + stderr.getvalue())


def _collect_objects(search: SecretSearch) -> None:
    """Collect the repr, str and pickle of every object that contains a secret."""
    for holder in _secret_holders():
        search.add(f"repr of {type(holder).__name__}", f"{holder!r} {holder}")
        with contextlib.suppress(TypeError):  # cannot be pickled
            search.add(f"pickle of {type(holder).__name__}", pickle.dumps(holder))


def _secret_holders() -> list[Any]:
    from azdistill.azure_rest.identity import BearerToken
    from azdistill.registry.runs import TrackedRun
    from azdistill.teacher.auth import ConnectionKey, EntraToken, EnvironmentKey
    from azdistill.teacher.connection import Connection

    token = EntraToken("teacher 'm'", SCOPE, SimulatedCredential)
    return [
        EnvironmentKey("teacher 'm'", VARIABLE, {VARIABLE: SECRETS["key variable"]}),
        ConnectionKey(SECRETS["key of a connection"], "deepseek"),
        Connection("https://h", SECRETS["key of a connection"]),
        BearerToken(SECRETS["key of a connection"], 1),
        TrackedRun("run-1", MLFLOW),
        token,
    ]


def _provoke(search: SecretSearch, location: str, fail: Callable[[], object]) -> None:
    """Collect the error that `fail` raises, with its traceback."""
    try:
        fail()
    except AzdistillError as problem:
        search.add(location, "".join(traceback.format_exception(problem)))
    else:
        raise AssertionError(f"{location}: no error")


@contextlib.contextmanager
def _in_environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _logged(search: SecretSearch) -> Iterator[None]:
    """Collect the log of this process, of all loggers and levels."""
    text, root = io.StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        search.add("log of this process", text.getvalue())
