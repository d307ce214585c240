"""Models that can be evaluated: a folder on this machine, a registered model, or an endpoint."""

import logging
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from azdistill.contracts.chat_url import ONLINE_ENDPOINT_HOSTS, RESOURCE_HOSTS, default_scope
from azdistill.contracts.errors import AzdistillError, DataError, InputError
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.layout import PREDICTIONS_FILE, PROFILE_FILE, PROMPTS_FILE, RUN_MODEL
from azdistill.contracts.manifest import close_folder, open_folder, read_manifest
from azdistill.contracts.predict import STEP, PredictConfig
from azdistill.contracts.requests import STORE_PATH, Teacher
from azdistill.contracts.results import MetricValue
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.contracts.step import flag
from azdistill.contracts.teacher import TeacherConfig
from azdistill.engine.local.storage import datastore_path, home_folder
from azdistill.job.catalog import built_in
from azdistill.local_runs.run_folder import RUNS

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.teacher.endpoint import Endpoint

logger = logging.getLogger("azdistill.local_runs")

# Opens the client of the workspace, for a registered model.
Connect = Callable[[], "MLClient"]

# `NAME@https://HOST/...`: the deployment NAME at an endpoint.
ENDPOINT = re.compile(r"(?:(?P<model>[^@/]+)@)?(?P<url>https?://.+)")

# A model folder has one of them: a model, or an adapter whose base model is on this machine.
MODEL_FILES = ("config.json", "adapter_config.json")

# Name of the model in requests to an endpoint that serves only one and ignores the name.
ONLY_MODEL = "default"


@dataclass(frozen=True)
class Answers:
    """Predictions in the order of the prompts, and measured values such as latency by the name of their metric.

    `unanswered` prompts have an empty prediction that is truncated.
    """

    predictions: Sequence[Prediction]
    profile: Mapping[str, MetricValue]
    unanswered: int = 0


class Model(Protocol):
    """A model that answers prompts. `name` is that of the user."""

    @property
    def name(self) -> str: ...

    def answer(self, prompts: Sequence[Prompt], config: PredictConfig, folder: Path) -> Answers:
        """Answer the prompts, and write predictions.jsonl to `folder`."""
        ...


@dataclass(frozen=True)
class FolderModel:
    """A model in a folder. `chat_template` is the path of the file that replaces its template."""

    name: str
    folder: Path
    chat_template: Path | None = None

    def answer(self, prompts: Sequence[Prompt], config: PredictConfig, folder: Path) -> Answers:
        """Run step predict in a process of its own, so that its peak memory is that of this model.

        Raises AzdistillError, or InputError for a folder that cannot be loaded.
        """
        with tempfile.TemporaryDirectory() as temporary:
            inputs = open_folder(Path(temporary, "prompts"))
            write_rows(inputs / PROMPTS_FILE, (prompt.model_copy(update={"split": "test"}) for prompt in prompts))
            close_folder(inputs, "prepare", {"test": len(prompts)})
            ports = {"model": self.folder, "prompts": inputs, "predictions": folder}
            ports |= {"chat_template": self.chat_template} if self.chat_template else {}
            values = {**ports, **config.model_dump(mode="json", exclude_none=True)}
            arguments = [word for name, value in values.items() for word in (flag(name), str(value))]
            _run_step(arguments, self.name, Path(temporary, "errors.txt"))
        return Answers(list(read_rows(folder / PREDICTIONS_FILE, Prediction)), read_json(folder / PROFILE_FILE))


@dataclass(frozen=True)
class DownloadedModel:
    """A model that is registered in a workspace or registry: it is downloaded and answers on this machine."""

    name: str
    connect: Connect = field(repr=False)

    def answer(self, prompts: Sequence[Prompt], config: PredictConfig, folder: Path) -> Answers:
        return self.download().answer(prompts, config, folder)

    def download(self) -> FolderModel:
        """The model in a folder of this machine. Raises InputError for a model that does not exist."""
        from azdistill.azure.models import cache_folder, download_model, find_model

        try:
            client = self.connect()
        except InputError as error:
            if self.name.startswith("azureml:"):
                raise
            (problem,) = error.problems
            raise InputError(
                f"no folder and no run has this name; to look for a registered model: {problem.message}",
                field=("model",),
                value=self.name,
                code=problem.code,
                fix=problem.fix,
            ) from None
        model = find_model(client, self.name)
        target = cache_folder(client, model, home_folder())
        logger.info("%s: downloading %s to %s", self.name, model, target)
        return FolderModel(self.name, download_model(client, model, target))


@dataclass(frozen=True)
class EndpointModel:
    """A chat completions endpoint. Its answers are bought once: they are in the store of the teachers.

    `connect` opens the workspace that has the connection of the teacher, for one that has no endpoint.
    """

    name: str
    config: TeacherConfig
    connect: Connect | None = field(default=None, repr=False)

    def answer(self, prompts: Sequence[Prompt], config: PredictConfig, folder: Path) -> Answers:
        """Raises EndpointError for an endpoint that refuses, AzdistillError when it leaves too many rows unanswered."""
        from azdistill.teacher.collect import check_rejects, collect
        from azdistill.teacher.event_loop import run
        from azdistill.teacher.store import open_store

        teacher = self.config.model_copy(update={"max_tokens": config.max_new_tokens})
        store = datastore_path(STORE_PATH, home_folder())
        assert store
        collected = run(collect(prompts, teacher, self._endpoints(teacher), open_store(store)))
        check_rejects(collected, len(prompts), teacher)
        answered = {row.id: row for row in collected.completions}
        predictions = [
            Prediction(
                id=prompt.id,
                completion=answered[prompt.id].completion if prompt.id in answered else "",
                truncated=prompt.id not in answered or answered[prompt.id].finish_reason != "stop",
            )
            for prompt in prompts
        ]
        write_rows(folder / PREDICTIONS_FILE, predictions)
        return Answers(predictions, collected.usage, collected.unanswered)

    def _endpoints(self, config: TeacherConfig) -> "list[Endpoint]":
        from azdistill.teacher.endpoint import endpoint_of_connection, resolve_all

        (teacher,) = config.teachers
        if self.connect is None or teacher.connection is None:
            return resolve_all(config)
        from azdistill.azure.connections import read_connection

        workspace: Any = self.connect()  # MLClient has no public attribute for its credential
        properties = read_connection(workspace, teacher.connection)
        return [endpoint_of_connection(teacher, properties, workspace._credential)]


def find_model(text: str, connect: Connect, key_variable: str | None = None) -> Model:
    """The model that a user names: a model or run folder, the URL of an endpoint, a teacher of the catalog, or a
    registered model.

    A teacher of the catalog is reached through the workspace connection of the same name, as in the short form of a
    job. `key_variable` names the variable with the key of an endpoint. Raises InputError for a folder without a model.
    """
    if match := ENDPOINT.fullmatch(text):
        return endpoint_model(match["url"], match["model"] or ONLY_MODEL, key_variable)
    folder = next((path for path in (Path(text), RUNS / text) if path.exists()), None)
    if folder is not None:
        return FolderModel(text, student_folder(folder))
    if text.startswith("models:/"):
        message = "is a model that a local run has registered with MLflow"
        fix = "give the folder of this run, or its name in runs/"
        raise InputError(message, field=("model",), value=text, code="other_registry", fix=fix)
    if not text.startswith("azureml:") and (os.sep in text or text.startswith(".")):
        raise InputError(
            "no such folder",
            field=("model",),
            value=text,
            code="missing_file",
            fix="give a model folder, a run folder, the name of a registered model, or the URL of an endpoint",
        )
    if facts := built_in().teacher(text):
        teacher = Teacher(model=facts.name or text, connection=text)
        return EndpointModel(text, TeacherConfig(teachers=(teacher,)), connect)
    return DownloadedModel(text, connect)


def local_folder(model: Model) -> Path:
    """The folder of a model that runs on this machine; a registered one is downloaded. Raises InputError for others."""
    if isinstance(model, DownloadedModel):
        model = model.download()
    if isinstance(model, FolderModel):
        return model.folder
    raise InputError(
        "is an endpoint, which is served already",
        subject=f"model {model.name!r}",
        code="is_endpoint",
        fix="give a run folder, a model folder, or the name of a registered model",
    )


def student_folder(path: Path) -> Path:
    """The model in a run folder or model folder. Raises DataError for an incomplete one, InputError without one."""
    model = path / RUN_MODEL if (path / RUN_MODEL).is_dir() else path
    if model != path:
        read_manifest(model)  # raises for a model that is not complete
    if not any(any(model.rglob(name)) for name in MODEL_FILES):
        raise InputError(
            "no config.json, so there is no model",
            file=model,
            code="no_model",
            fix="give a model folder, or the folder of a completed run",
        )
    return model


def endpoint_model(url: str, model: str, key_variable: str | None = None) -> EndpointModel:
    """An endpoint by its URL. Without a key, Azure's own endpoints get an Entra token, and others no authentication.

    Raises InputError for a URL without chat completions.
    """
    from pydantic import ValidationError

    from azdistill.contracts.problems import problems_of

    facts = built_in().teacher(model)
    teacher: dict[str, Any] = {"model": (facts and facts.name) or model, "endpoint": url}
    parts = urlsplit(url)
    if key_variable:
        teacher["key_variable"] = key_variable
    elif (parts.hostname or "").endswith((*RESOURCE_HOSTS, *ONLINE_ENDPOINT_HOSTS)):
        teacher["entra_scope"] = default_scope(url)
    # The name is shown and written: user, password and query of the URL may be secret.
    shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    name = shown if model == ONLY_MODEL else f"{model}@{shown}"
    try:
        return EndpointModel(name, TeacherConfig(teachers=(Teacher.model_validate(teacher),)))
    except ValidationError as error:
        raise InputError(problems=problems_of(error, subject=f"model {name!r}")) from None


def _run_step(arguments: Sequence[str], name: str, errors: Path) -> None:
    """Run step predict as a process, and log what it prints. Raises its error, which it writes to the file `errors`."""
    command = [sys.executable, "-m", f"azdistill.steps.{STEP.name}", *arguments]
    with (
        errors.open("w", encoding="utf-8") as stream,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stream, text=True) as process,
    ):
        try:
            assert process.stdout
            for line in process.stdout:
                logger.info("%s: %s", name, line.rstrip())
            code = process.wait()
        finally:
            process.kill()
    if code:
        raise _step_error(code, errors.read_text(encoding="utf-8").strip(), name)


def _step_error(code: int, errors: str, name: str) -> Exception:
    """The error of a process by its exit code. A traceback is a bug of the step and is shown completely."""
    if "Traceback" in errors:
        return RuntimeError(f"{name}: step {STEP.name} failed:\n{errors}")
    message = errors.rpartition("\n")[2].removeprefix(f"{STEP.name}: ")
    subject = f"model {name!r}"
    if code == InputError.exit_code:
        return DataError(message, subject=subject, code="unusable_model")
    if code < 0:
        fix = "often memory ran out: lower --batch-size"
        return AzdistillError(f"was ended by signal {-code}", subject=subject, code="killed", fix=fix)
    return AzdistillError(message, subject=subject, code="predict_failed")
