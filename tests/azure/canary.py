"""A secret of its own in every place that a secret comes from, and a search for them in all that is left behind.

`canaries` is a day in the life of a job: compiled, submitted, its teacher asked, its student registered, and what can
go wrong on the way. A benchmark calls it as the test does.
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
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import Teacher, TeacherConfig
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

PLANTS = {
    "key variable": "canary-variable-11aa",
    "key of a connection": "canary-connection-22bb",
    "MLflow password": "canary-mlflow-33cc",
    "password in an endpoint": "canary-userinfo-44dd",
    "api_key of a native job": "canary-native-55ee",
    "proxy password": "canary-proxy-66ff",
    "secret of the node's identity": SECRET,
}
"""Source -> secret. The tokens and the datastore's key, which are made anew each time, come on top."""

VARIABLE, TEACHER, TOKEN_TEACHER = "TEACHER_KEY", "teacher.example", "token.example"
SCOPE = "https://cognitiveservices.azure.com/.default"
MLFLOW = f"http://me:{PLANTS['MLflow password']}@127.0.0.1:9"
LEGITIMATE = {"authorization", "x-azureml-token", "secret", "proxy-authorization"}
"""Headers that are there to carry a secret. So is the body of a request that creates a connection."""


@dataclass
class Search:
    """`planted`: source -> its secrets; `left`: place -> what was found there; `carried`: what was to carry secrets."""

    planted: dict[str, list[str]]
    left: dict[str, bytes] = field(default_factory=dict)
    carried: list[str] = field(default_factory=list)

    def look_at(self, place: str, content: str | bytes) -> None:
        self.left[place] = content if isinstance(content, bytes) else content.encode()

    def look_into(self, place: str, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                self.look_at(f"{place}: {path.relative_to(folder)}", path.read_bytes())

    def hits(self) -> list[str]:
        secrets = [(source, secret.encode()) for source, each in self.planted.items() for secret in each]
        return sorted(
            {f"{source} in {place}" for source, s in secrets for place, told in self.left.items() if s in told}
        )


def canaries(storage: Azurite, folder: Path) -> Search:
    """Plant, let everything happen in `folder`, and collect what there is to be searched."""
    search = Search({source: [secret] for source, secret in PLANTS.items()})
    search.planted["key of the datastore"] = [storage.key]
    user = SimulatedCredential()
    with _in_environment({VARIABLE: PLANTS["key variable"]}), _logged(search), empty_workspace(storage) as workspace:
        _connect(search, workspace)
        _as_user(search, workspace, user, folder)
        with serving(_teacher()) as keyed, serving(_teacher(entra_scope=SCOPE)) as by_token:
            hosts = {TEACHER: keyed.removeprefix("http://"), TOKEN_TEACHER: by_token.removeprefix("http://")}
            with job_process(workspace, folder / "way", hosts, PLANTS["proxy password"]) as job:
                _as_jobs(search, job, folder)
        _look_at_workspace(search, workspace)
        search.planted["token of the user"] = user.tokens
        search.planted["token of the job"] = workspace.identity.credential.tokens
    _train_logs(search)
    _objects(search)
    return search


def _teacher(**way_in: Any) -> SimulatedTeacher:
    key = None if way_in else PLANTS["key of a connection"]
    return SimulatedTeacher(Simulation(latency_ms=1, wrong_rate=0.0, **way_in), Echo(), key)


def _connect(search: Search, workspace: SimulatedWorkspace) -> None:
    """A connection with the key, one without, and one with a wrong key."""
    search.planted["key of a connection"].append("canary-of-nobody")
    workspace.connections.by_name |= {
        "deepseek": {"target": f"https://{TEACHER}", "credentials": {"key": PLANTS["key of a connection"]}},
        "by-token": {"target": f"https://{TOKEN_TEACHER}"},
        "wrong-key": {"target": f"https://{TEACHER}", "credentials": {"key": "canary-of-nobody"}},
    }


def _as_user(search: Search, workspace: SimulatedWorkspace, user: SimulatedCredential, folder: Path) -> None:
    """Compile and submit a job of ours and one of Azure's own, and be refused."""
    from azdistill.azure.submission import submit

    with client_for(workspace, user) as client:
        for name, bundle in _bundles(search, folder).items():
            search.look_into(f"bundle {name}", bundle)
            submit(client, bundle)
        workspace.faults.inject("PUT", "/jobs/", 403, times=9)
        _provoke(search, "submission refused", lambda: submit(client, bundle, again=True, inputs={"seed": "7"}))


def _bundles(search: Search, folder: Path) -> dict[str, Path]:
    from azdistill.cli.paths import read_job
    from azdistill.job.bundle import compile_job

    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"messages": [{"role": "user", "content": f"row {n}"}], "gold": "yes"} for n in range(30)]
    write_text(folder / "rows.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    by_variable = {"endpoint": "https://h.example", "key_variable": VARIABLE}
    texts = {
        "ours": OURS
        | {"teacher": {"teachers": [{"model": "m", "connection": "deepseek"}, {"model": "n"} | by_variable]}},
        "native": NATIVE,
    }
    bundles = {}
    for name, values in texts.items():
        write_json(folder / f"{name}.yaml", values)  # JSON is YAML
        with contextlib.redirect_stderr(io.StringIO()) as told:
            bundles[name] = compile_job(read_job(folder / f"{name}.yaml"), folder / f"bundle-{name}").parent
        search.look_at(f"differences told of {name}", told.getvalue())
    _refused_spec(search, folder)
    return bundles


def _refused_spec(search: Search, folder: Path) -> None:
    """A password in an endpoint's address goes no further than the job file."""
    from azdistill.cli.paths import read_job
    from azdistill.job.bundle import compile_job

    held = f"https://me:{PLANTS['password in an endpoint']}@h.example/v1"
    write_json(folder / "held.yaml", OURS | {"teacher": {"teachers": [{"model": "m", "endpoint": held}]}})
    _provoke(
        search, "endpoint with a password", lambda: compile_job(read_job(folder / "held.yaml"), folder / "bundle-held")
    )
    search.look_into("bundle held", folder / "bundle-held")


STUDENT = "azureml://registries/azureml/models/Phi-4-mini-instruct/versions/1"
OURS: dict[str, Any] = {
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
        "api_key": PLANTS["api_key of a native job"],
    },
    "student_model": STUDENT,
    "outputs": {"registered_model": {"type": "mlflow_model", "name": "small-native"}},
}


def _as_jobs(search: Search, job: JobProcess, folder: Path) -> None:
    """The teacher's answers are bought with a key, with a token, and not at all; the student is registered or not."""
    tracking = f"sqlite:///{folder}/mlflow.db"
    with ThreadPoolExecutor() as together:
        asked = {"deepseek": 0, "by-token": 0, "wrong-key": 1}
        done = [together.submit(_ask, search, job, folder, name, expected) for name, expected in asked.items()]
        done += [
            together.submit(_register, search, job, folder / "unreachable", MLFLOW, 1),
            together.submit(_register, search, job, folder / "register", tracking),
        ]
        for one in done:
            one.result()
    search.look_at("MLflow's database", (folder / "mlflow.db").read_bytes())


def _ask(search: Search, job: JobProcess, folder: Path, connection: str, expected: int) -> None:
    step = StepFolders(folder / connection)
    step.root.mkdir()
    talk = (Message(role="user", content="row 1"),)
    step.write_prompts([Prompt(id=prompt_id(talk), split="train", messages=talk, source="rows:1")])
    teachers = (Teacher(model="m", connection=connection),)
    code, out, err = step.run(TeacherConfig(teachers=teachers, teacher_route="endpoint"), **job.environ())
    assert code == expected, err
    search.look_at(f"output of teacher {connection}", out + err)
    search.look_into(f"folders of teacher {connection}", step.root)


def _register(search: Search, job: JobProcess, root: Path, tracking: str, expected: int = 0) -> None:
    root.mkdir()
    ports = [part for name, path in _made_of(root).items() for part in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "azdistill.steps.register", *ports, "--registration", str(root / "out")]
    run = _run_of(tracking) if tracking.startswith("sqlite") else "run-1"
    environ = {**os.environ, **job.environ(run=run), "MLFLOW_TRACKING_URI": tracking}
    environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False, cwd=root)
    assert done.returncode == expected, done.stderr
    search.look_at(f"output of register {root.name}", done.stdout + done.stderr)
    search.look_into(f"folders of register {root.name}", root)


def _made_of(root: Path) -> dict[str, Path]:
    parts: dict[str, dict[str, Any]] = {
        "model": {"config.json": {}, "model.safetensors": root.name},
        "completions": {"usage.json": USAGE},
        "prompts": {"prompts.jsonl": ""},
        "training": {"metrics.json": {}},
        "curated": {"train.jsonl": ""},
        "evaluation": {"metrics.json": METRICS, "gate.json": gate("passed")},
    }
    return {name: complete_folder(root / name, name, files) for name, files in parts.items()}


def _run_of(tracking: str) -> str:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tracking)
    place = Path(tracking.removeprefix("sqlite:///")).parent / "artifacts"
    found = client.get_experiment_by_name("job")
    experiment = found.experiment_id if found else client.create_experiment("job", artifact_location=place.as_uri())
    return str(client.create_run(experiment).info.run_id)


def _look_at_workspace(search: Search, workspace: SimulatedWorkspace) -> None:
    """What went over the wire, what jobs and models are kept as, and what lies in the storage."""
    for number, seen in enumerate(workspace.requests.all):
        request = seen.request
        headers = {name: value for name, value in request.headers.items() if name not in LEGITIMATE}
        search.carried += [value for name, value in request.headers.items() if name in LEGITIMATE]
        body = None if request.method == "PUT" and "/connections/" in request.path else request.body
        search.look_at(f"request {number}: {seen}", json.dumps([request.path, dict(request.query), headers, body]))
    for name, job in workspace.jobs.by_name.items():
        search.look_at(f"job {name}", json.dumps(job.properties))
    for kind in ("codes", "environments", "components", "data", "models"):
        search.look_at(f"assets: {kind}", json.dumps(workspace.assets.of(kind)))
    for container in (*workspace.datastores.containers.values(), *workspace.assets.names("codes")):
        for name, content in workspace.blobs.contents(container).items():
            search.look_at(f"blob {container}/{name}", content)


def _train_logs(search: Search) -> None:
    """A training whose run can't be reached."""
    from types import SimpleNamespace

    from azdistill.contracts.train import TrainConfig
    from azdistill.training.tracking import RUN_ID, TRACKING_URI, LogToMLflow

    state = SimpleNamespace(is_world_process_zero=True, global_step=1)
    environ = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    log, logger = logging.StreamHandler(io.StringIO()), logging.getLogger("azdistill.training")
    logger.addHandler(log)
    with _in_environment(environ), contextlib.redirect_stderr(io.StringIO()) as stderr:
        LogToMLflow(TrainConfig(), {RUN_ID: "run-1", TRACKING_URI: MLFLOW}).on_train_begin(None, state, None)
    logger.removeHandler(log)
    assert "MLflow run 'run-1': logging failed" in log.stream.getvalue()
    search.look_at("output of train", log.stream.getvalue() + stderr.getvalue())


def _objects(search: Search) -> None:
    """What holds a secret shows it in no repr and in no pickle."""
    for held in _holders():
        search.look_at(f"repr of {type(held).__name__}", f"{held!r} {held}")
        with contextlib.suppress(TypeError):  # it refuses
            search.look_at(f"pickle of {type(held).__name__}", pickle.dumps(held))


def _holders() -> list[Any]:
    from azdistill.azure_rest.identity import BearerToken
    from azdistill.registry.runs import JobRun
    from azdistill.teacher.auth import ConnectionKey, EntraToken, EnvironmentKey
    from azdistill.teacher.connection import Connection

    token = EntraToken("teacher 'm'", SCOPE, SimulatedCredential)
    return [
        EnvironmentKey("teacher 'm'", VARIABLE, {VARIABLE: PLANTS["key variable"]}),
        ConnectionKey(PLANTS["key of a connection"], "deepseek"),
        Connection("https://h", PLANTS["key of a connection"]),
        BearerToken(PLANTS["key of a connection"], 1),
        JobRun(MLFLOW, "run-1"),
        token,
    ]


def _provoke(search: Search, what: str, fail: Callable[[], object]) -> None:
    """An error as the command line shows it, and with the traceback of a bug."""
    try:
        fail()
    except AzdistillError as problem:
        search.look_at(what, "".join(traceback.format_exception(problem)))
    else:
        raise AssertionError(f"{what}: it went through")


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
def _logged(search: Search) -> Iterator[None]:
    """All that is logged here meanwhile, by whomever, at any level."""
    told, root = io.StringIO(), logging.getLogger()
    handler, before = logging.StreamHandler(told), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
        search.look_at("log of this process", told.getvalue())
