"""Retries of REST calls to Azure. Imports azure-core, so it is imported when a call is made."""

from typing import Any

from azure.core.pipeline.policies import RetryPolicy

LONGEST_RETRY_AFTER_S = 60.0


class BoundedRetryPolicy(RetryPolicy):  # type: ignore[misc]  # azure-core is not type-checked
    """Retry 408, 429 and 5xx up to three times, after the time in Retry-After or 0, 4 and 8 s.

    A Retry-After that is too long or malformed must not stop a job for hours or end it.
    """

    def __init__(self) -> None:
        super().__init__(retry_total=3, retry_connect=1, retry_backoff_factor=2.0)

    def get_retry_after(self, response: Any) -> float | None:
        try:
            seconds = super().get_retry_after(response)
        except (ValueError, OverflowError):
            return None
        return seconds if seconds is None else min(seconds, LONGEST_RETRY_AFTER_S)
