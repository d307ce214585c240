"""A download from Azure ML ends when it is too large or takes too long."""

import time
from pathlib import Path

import pytest

from azdistill.azure import download_limit
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.local import downloads


def write_slowly(path: Path) -> None:
    for size in range(200):
        path.write_bytes(bytes(size))
        time.sleep(0.02)


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 100), ("MAX_SECONDS", 0.1)])
def test_a_download_has_a_total_size_and_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(download_limit, "INTERVAL_S", 0.05)
    monkeypatch.setattr(downloads, limit, value)
    (tmp_path / "earlier").write_bytes(bytes(1000))
    with pytest.raises(AzdistillError) as error, download_limit.limited_download(tmp_path):
        write_slowly(tmp_path / "new")
    assert [problem.code for problem in error.value.problems] == ["download_failed"]
