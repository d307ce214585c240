"""The real client under throttling, outages and paged lists."""

import time

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError

from tests.workspace import scenarios
from tests.workspace.simulated import SimulatedWorkspace


def _statuses(workspace: SimulatedWorkspace, method: str, path: str) -> list[int]:
    return [logged.status for logged in workspace.requests.of(method, path)]


def test_a_throttled_request_waits_for_retry_after(client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.faults.inject("GET", "/computes/", 429, retry_after="1")
    start = time.monotonic()
    assert client.compute.get("gpu-cluster").size == "STANDARD_NC24ADS_A100_V4"
    assert time.monotonic() - start >= 1
    assert _statuses(workspace, "GET", "/computes/") == [429, 200]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "/codes/", 429),
        ("PUT", "/codes/", 500),
        ("PUT", "/jobs/", 503),
        ("POST", "/startPendingUpload", 500),
        ("POST", "/startPendingUpload", 503),
    ],
)
def test_a_write_is_sent_again_after_an_outage(
    method: str, path: str, status: int, client: MLClient, workspace: SimulatedWorkspace
) -> None:
    workspace.faults.inject(method, path, status, retry_after_ms="10")
    scenarios.job(client, "scheduled.yml", "job-1")
    first, second = _statuses(workspace, method, path)
    assert (first, second in {200, 201}) == (status, True)


def test_a_throttled_post_is_not_sent_again(client: MLClient, workspace: SimulatedWorkspace) -> None:
    """azure-core repeats a POST after 500, 503 and 504 only."""
    workspace.faults.inject("POST", "/startPendingUpload", 429, retry_after_ms="10")
    with pytest.raises(HttpResponseError, match="TooManyRequests"):
        scenarios.job(client, "scheduled.yml", "job-1")
    assert _statuses(workspace, "POST", "/startPendingUpload") == [429]


def test_the_client_gives_up_after_three_retries(client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.faults.inject("GET", "/computes/", 503, times=99, retry_after_ms="1")
    with pytest.raises(HttpResponseError, match="ServiceUnavailable"):
        client.compute.get("gpu-cluster")
    assert len(_statuses(workspace, "GET", "/computes/")) == 4


def test_a_forbidden_request_is_not_sent_again(client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.faults.inject("GET", "/computes/", 403)
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.compute.get("gpu-cluster")
    assert _statuses(workspace, "GET", "/computes/") == [403]


def test_the_client_reads_every_page(client: MLClient, workspace: SimulatedWorkspace) -> None:
    workspace.page_size = 2
    for number in range(5):
        scenarios.job(client, "scheduled.yml", f"job-{number}")
    assert [job.name for job in client.jobs.list()] == [f"job-{number}" for number in reversed(range(5))]
    tokens = [logged.request.query.get("$skipToken") for logged in workspace.requests.of("GET", "/jobs")]
    assert tokens == [None, "2", "4"]
