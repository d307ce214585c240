"""No secret is in a file, a request or on the terminal, while endpoints, proxies and servers repeat it."""

import pytest

from benchmarks.robust_secrets import secrets


@pytest.mark.slow
def test_no_planted_secret_is_in_any_output() -> None:
    figures = secrets(show=True)
    assert figures["secret_hits"] == 0
    assert figures["secrets_planted"] >= 60
