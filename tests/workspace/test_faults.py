"""Throttling, outages and pages: what the real client makes of them."""

import time

import pytest
from azure.ai.ml import MLClient
from azure.core.exceptions import HttpResponseError

from tests.workspace import scenarios
from tests.workspace.stand_in import Workspace


def _statuses(workspace: Workspace, method: str, path: str) -> list[int]:
    return [seen.status for seen in workspace.ledger.of(method, path)]


def test_a_throttled_request_waits_as_long_as_it_is_told(client: MLClient, workspace: Workspace) -> None:
    workspace.faults.order("GET", "/computes/", 429, retry_after="1")
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
def test_a_write_that_meets_an_outage_is_sent_again(
    method: str, path: str, status: int, client: MLClient, workspace: Workspace
) -> None:
    workspace.faults.order(method, path, status, retry_after_ms="10")
    scenarios.job(client, "scheduled.yml", "job-1")
    first, second = _statuses(workspace, method, path)
    assert (first, second in {200, 201}) == (status, True)


def test_a_throttled_post_is_not_sent_again(client: MLClient, workspace: Workspace) -> None:
    """azure-core counts a POST among what it sends again after 500, 503 and 504 only."""
    workspace.faults.order("POST", "/startPendingUpload", 429, retry_after_ms="10")
    with pytest.raises(HttpResponseError, match="TooManyRequests"):
        scenarios.job(client, "scheduled.yml", "job-1")
    assert _statuses(workspace, "POST", "/startPendingUpload") == [429]


def test_the_client_gives_up_after_three_more_tries(client: MLClient, workspace: Workspace) -> None:
    workspace.faults.order("GET", "/computes/", 503, times=99, retry_after_ms="1")
    with pytest.raises(HttpResponseError, match="ServiceUnavailable"):
        client.compute.get("gpu-cluster")
    assert len(_statuses(workspace, "GET", "/computes/")) == 4


def test_a_refusal_is_not_asked_again(client: MLClient, workspace: Workspace) -> None:
    workspace.faults.order("GET", "/computes/", 403)
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        client.compute.get("gpu-cluster")
    assert _statuses(workspace, "GET", "/computes/") == [403]


def test_the_client_reads_every_page(client: MLClient, workspace: Workspace) -> None:
    workspace.page_size = 2
    for number in range(5):
        scenarios.job(client, "scheduled.yml", f"job-{number}")
    assert [job.name for job in client.jobs.list()] == [f"job-{number}" for number in reversed(range(5))]
    tokens = [seen.request.query.get("$skipToken") for seen in workspace.ledger.of("GET", "/jobs")]
    assert tokens == [None, "2", "4"]
