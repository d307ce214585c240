"""Every committed generated file equals what the generator writes now."""

from pathlib import Path

import pytest

from tests.generated import ROOT, generated


@pytest.mark.parametrize("path", sorted(generated()), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_generated_file_is_up_to_date(path: Path) -> None:
    assert path.is_file(), "run `make golden`"
    assert path.read_text(encoding="utf-8") == generated()[path], "run `make golden` and look at the difference"
