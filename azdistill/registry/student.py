"""Register a student in an MLflow registry: one version for the same content."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from azdistill.contracts.layout import MODEL_CARD_FILE
from azdistill.engine.redaction import redact
from azdistill.registry.card import description
from azdistill.registry.lineage import DIGEST_TAG, Lineage
from azdistill.registry.runs import Registration, log_lineage, mlflow_client, start_run

LOCAL_SCHEMES = frozenset({"", "file", "sqlite"})


def register_student(
    folder: Path, name: str, lineage: Lineage, registry: str, card: str, run_id: str | None = None
) -> Registration:
    """Register the model in `folder` as the next version of `name`, or return the version that has the same content.

    `registry` is an MLflow tracking URI. In a registry on this machine the version points at `folder` and nothing is
    copied; a remote registry gets the files and the model card as artifacts of the run. The card is the description of
    the version, as far as it fits. An existing version counts only while its files exist. Metrics and tags go to the
    run `run_id`, such as the one that Azure ML opened for the job, or to a new run.
    Raises AzdistillError when the registry cannot be used.
    """
    with mlflow_client(registry) as client:
        _ensure_name(client, name)
        versions = client.search_model_versions(f"name='{name}'")
        version = _version_with_digest(versions, lineage.model_digest)
        if version is None:
            with _run(client, name, run_id) as run:
                log_lineage(client, run, lineage)
                source = _source(client, folder, run, registry, card)
                text = description(card)
                version = client.create_model_version(name, source, run_id=run, tags=lineage.tags(), description=text)
    return Registration(
        registered_model=name,
        version=int(version.version),
        model_uri=f"models:/{name}/{version.version}",
        source=version.source,
        run_id=version.run_id,
        registry=redact(registry),
    )


def _ensure_name(client: MlflowClient, name: str) -> None:
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _version_with_digest(versions: Iterable[ModelVersion], digest: str) -> ModelVersion | None:
    """The newest version with this content whose files still exist."""
    same = [version for version in versions if version.tags.get(DIGEST_TAG) == digest and _exists(version.source)]
    return max(same, key=lambda version: int(version.version), default=None)


def _exists(source: str) -> bool:
    """True if the files of a version exist. Files on another machine are assumed to exist."""
    url = urlsplit(source)
    return url.scheme != "file" or Path(url2pathname(url.path)).is_dir()


@contextmanager
def _run(client: MlflowClient, student: str, run_id: str | None) -> Iterator[str]:
    """The run `run_id`, which stays open, or a new run in an experiment named after the student."""
    if run_id:
        yield run_id
        return
    run_id = start_run(client, student)
    try:
        yield run_id
    except BaseException:
        with suppress(MlflowException):
            client.set_terminated(run_id, "FAILED")
        raise
    client.set_terminated(run_id)


def _source(client: MlflowClient, folder: Path, run_id: str, registry: str, card: str) -> str:
    """Upload the version's files and return their URI; a local registry refers to `folder`."""
    if urlsplit(registry).scheme in LOCAL_SCHEMES:
        return folder.resolve().as_uri()
    client.log_artifacts(run_id, str(folder), "model")
    client.log_text(run_id, card, f"model/{MODEL_CARD_FILE}")
    return f"{client.get_run(run_id).info.artifact_uri}/model"
