"""Register a student's folder in an MLflow registry, once for the same content."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from azdistill.registry.lineage import DIGEST_TAG, Lineage
from azdistill.registry.registered import Registered
from azdistill.registry.runs import describe, tracking, without_secrets

LOCAL_SCHEMES = frozenset({"", "file", "sqlite"})


def register_student(folder: Path, name: str, lineage: Lineage, registry: str, run_id: str | None = None) -> Registered:
    """Give the model in `folder` the next version of `name`, or find the version it has.

    `registry` is an MLflow tracking URI. Where the registry is on this machine the
    version points at `folder` itself and nothing is copied; a remote one gets the
    files as artifacts of the run. A version of the same content is found again as
    long as its files are still there. Figures and tags go to the run `run_id`, such
    as the one that Azure ML opened for the job, or to a run of our own. Raises
    AzdistillError when the registry can't be used.
    """
    with tracking(registry) as client:
        _ensure_name(client, name)
        found = _same_content(client, name, lineage.model_digest)
        if found is None:
            with _run(client, name, run_id) as run:
                describe(client, run, lineage)
                source = _source(client, folder, run, registry)
                found = client.create_model_version(name, source, run_id=run, tags=lineage.tags())
    version = int(found.version)
    shown = without_secrets(registry)
    return Registered(name, version, f"models:/{name}/{version}", found.source, found.run_id, shown)


def _ensure_name(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as problem:
        if problem.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _same_content(client: MlflowClient, name: str, digest: str) -> ModelVersion | None:
    """The newest version of this content. One whose files were deleted since is no use to anyone."""
    versions = client.search_model_versions(f"name='{name}'")
    same = [found for found in versions if found.tags.get(DIGEST_TAG) == digest and _is_there(found.source)]
    return max(same, key=lambda found: int(found.version), default=None)


def _is_there(source: str) -> bool:
    parts = urlsplit(source)
    return parts.scheme != "file" or Path(url2pathname(parts.path)).is_dir()


@contextmanager
def _run(client: MlflowClient, student: str, given: str | None) -> Iterator[str]:
    """The given run, which whoever opened it will end, or one of our own in an experiment named after the student."""
    if given:
        yield given
        return
    run_id = client.create_run(_experiment(client, student), run_name=f"register {student}").info.run_id
    try:
        yield run_id
    except BaseException:
        with suppress(MlflowException):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _experiment(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    return str(found.experiment_id if found else client.create_experiment(name))


def _source(client: MlflowClient, folder: Path, run_id: str, registry: str) -> str:
    """Not `log_model`, which Azure ML answers with 404: the files go up as plain artifacts."""
    if urlsplit(registry).scheme in LOCAL_SCHEMES:
        return folder.resolve().as_uri()
    client.log_artifacts(run_id, str(folder), "model")
    return f"{client.get_run(run_id).info.artifact_uri}/model"
