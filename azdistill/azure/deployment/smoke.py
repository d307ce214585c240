"""Smoke test of a deployment: it has to answer test rows as the student did in its evaluation."""

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.azure import jobs
from azdistill.azure.errors import in_one_line, translate_errors
from azdistill.azure.nodes import node_statuses
from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import PREDICTIONS_FILE, PROMPTS_FILE
from azdistill.contracts.rows import Message, Prediction, Prompt

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

    from azdistill.azure.deployment.files import Release

# Nodes and outputs of a job that have the rows and the answers of the student.
PROMPTS_OUTPUT, PREDICTIONS_OUTPUT = ("prepare", "prompts"), ("predict_student", "predictions")

# Answers of a deployment whose VMs are not ready yet, or have too many requests. They are repeated for a few minutes.
REPEATED_STATUSES = (408, 424, 429, 500, 502, 503, 504)
REPEATS, BACKOFF_S, MAX_BACKOFF_S = 8, 2.0, 60.0

# Fix of a request that the endpoint refuses.
REFUSED = (
    "you need the role 'AzureML Data Scientist' on the workspace; with public_network_access: disabled, run the "
    "command in a network that has a private endpoint of the workspace"
)

DEPLOYMENT_HEADER = "azureml-model-deployment"


@dataclass(frozen=True)
class SmokeRow:
    """A conversation, and the answer of the student in its evaluation."""

    id: str
    messages: tuple[Message, ...]
    answer: str


@dataclass(frozen=True)
class SmokeResult:
    """Answers of a deployment. `different` is the id of the first row with another answer, empty without one."""

    rows: int
    agreed: int
    slowest_s: float
    different: str

    @property
    def agreement(self) -> float:
        return self.agreed / self.rows

    def __str__(self) -> str:
        return (
            f"{self.agreed} of {self.rows} answers are those of the evaluation, the slowest in {self.slowest_s:.1f} s"
        )


def rows_of_run(run: Path, count: int) -> list[SmokeRow]:
    """Rows of a local run. Raises InputError for a folder without them."""
    folders = [run / Path(*output) for output in (PROMPTS_OUTPUT, PREDICTIONS_OUTPUT)]
    for folder, file in zip(folders, (PROMPTS_FILE, PREDICTIONS_FILE), strict=True):
        if not (folder / file).is_file():
            raise InputError(
                f"has no {folder.relative_to(run) / file}", file=run, code="no_predictions", fix="give a finished run"
            )
    return _rows(folders[0] / PROMPTS_FILE, folders[1] / PREDICTIONS_FILE, count)


def rows_of_job(client: "MLClient", name: str, count: int) -> list[SmokeRow]:
    """Rows of a job of the workspace. Raises InputError for a job without them."""
    with translate_errors(f"job {name!r}"):
        children = {child.node: child.job for child in node_statuses(client, name)}
    files = []
    with tempfile.TemporaryDirectory() as folder:
        for (node, output), file in ((PROMPTS_OUTPUT, PROMPTS_FILE), (PREDICTIONS_OUTPUT, PREDICTIONS_FILE)):
            target = Path(folder, node)
            if node in children:
                with translate_errors(f"job {children[node]!r}, output {output}"):
                    client.jobs.download(children[node], download_path=target, output_name=output)
            path = next(target.rglob(file), None)
            if path is None:
                raise InputError(
                    f"node {node} has no {file}, so there are no rows for the smoke test",
                    subject=f"job {name!r}",
                    code="no_predictions",
                    fix="give another job or a run folder with --run",
                )
            files.append(path)
        prompts, predictions = files
        return _rows(prompts, predictions, count)


def _rows(prompts: Path, predictions: Path, count: int) -> list[SmokeRow]:
    """The first rows by their ids, which are hashes of their content. An answer that was cut off is not compared."""
    answers = {row.id: row.completion for row in read_rows(predictions, Prediction) if not row.truncated}
    tests = [row for row in read_rows(prompts, Prompt) if row.split == "test" and row.id in answers]
    if not tests:
        raise InputError("has no complete answer to a test row", file=predictions, code="no_predictions")
    first = sorted(tests, key=lambda row: row.id)[:count]
    return [SmokeRow(row.id, row.messages, answers[row.id]) for row in first]


class Scoring:
    """Requests to one deployment of an endpoint, whatever its traffic is."""

    def __init__(self, client: "MLClient", release: "Release", scoring_uri: str, color: str) -> None:
        self._client, self._release, self._color = client, release, color
        self._url = f"{scoring_uri.rstrip('/')}/v1/chat/completions"

    def test(self, rows: Sequence[SmokeRow]) -> SmokeResult:
        """Send the rows one after the other. Raises AzdistillError when one of them gets no answer."""
        from azure.core import PipelineClient
        from azure.core.pipeline.policies import RetryPolicy

        private: Any = self._client  # MLClient has no public attribute for its transport
        options = {name: value for name, value in private._kwargs.items() if name == "transport"}
        retry = RetryPolicy(
            retry_total=REPEATS,
            retry_status=REPEATS,
            retry_backoff_factor=BACKOFF_S,
            retry_backoff_max=MAX_BACKOFF_S,
            retry_on_status_codes=list(REPEATED_STATUSES),
        )
        pipeline: Any = PipelineClient(self._url, policies=[retry], **options)
        with translate_errors(f"endpoint {self._release.deployment.endpoint_name!r}"):
            credentials: Any = self._client.online_endpoints.get_keys(self._release.deployment.endpoint_name)
        token = getattr(credentials, "access_token", None) or credentials.primary_key
        agreed, slowest, different = 0, 0.0, ""
        for row in rows:
            started = time.perf_counter()
            answer = self._answer(pipeline, row, token)
            slowest = max(slowest, time.perf_counter() - started)
            if _words(answer) == _words(row.answer):
                agreed += 1
            else:
                different = different or row.id
        return SmokeResult(len(rows), agreed, slowest, different)

    def _answer(self, pipeline: Any, row: SmokeRow, token: str) -> str:
        from azure.core.exceptions import AzureError
        from azure.core.rest import HttpRequest

        body = {
            "model": self._release.served_name,
            "messages": [{"role": message.role, "content": message.content} for message in row.messages],
            "temperature": 0,
            "max_tokens": self._release.job.predict.max_new_tokens,
        }
        headers = {"Authorization": f"Bearer {token}", DEPLOYMENT_HEADER: self._color}
        timeout = self._release.deployment.request_timeout_ms / 1000 + 10
        try:
            response = pipeline.send_request(
                HttpRequest("POST", self._url, json=body, headers=headers),
                read_timeout=timeout,
                retry_on_methods=["POST"],
            )
        except AzureError as error:
            raise self._failed(row, in_one_line(error, [token])) from None
        if response.status_code != 200:
            fix = REFUSED if response.status_code in (401, 403) else "see its log"
            raise self._failed(row, f"HTTP {response.status_code} ({in_one_line(response.text(), [token])})", fix)
        try:
            return str(response.json()["choices"][0]["message"]["content"])
        except (ValueError, LookupError, TypeError):
            raise self._failed(row, f"no chat completion ({in_one_line(response.text(), [token])})") from None

    def _failed(self, row: SmokeRow, detail: str, fix: str = "see its log") -> AzdistillError:
        return AzdistillError(
            f"row {row.id}: {detail}",
            subject=f"deployment {self._color!r}",
            code="no_answer",
            fix=fix,
        )


def _words(text: str) -> list[str]:
    """Answers are compared without their white space."""
    return text.split()


def rows_for(client: "MLClient", run: str | None, job_of_model: str, count: int) -> list[SmokeRow]:
    """Rows of `run`, a run folder or the name of a job; without it, of the job that registered the model.

    Raises InputError where neither is known.
    """
    if run and Path(run).is_dir():
        return rows_of_run(Path(run), count)
    name = run or job_of_model
    if not name:
        raise InputError(
            "the model does not say which job registered it",
            subject="smoke test",
            code="no_predictions",
            fix="give a run folder or a job with --run",
        )
    return rows_of_job(client, jobs.status(client, name, nodes=False).name, count)
