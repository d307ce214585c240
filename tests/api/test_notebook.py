"""docs/notebook.md works as it is written, in a notebook's running loop."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from azdistill.contracts.manifest import read_manifest
from tests.api.conftest import STUDENT, asked

PAGE = Path(__file__).parents[2] / "docs/notebook.md"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `azdistill init --example support shop` brings, with few rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZDISTILL_HOME", raising=False)
    shutil.copytree(STUDENT, tmp_path / "shop/student")
    (tmp_path / "shop/data").mkdir()
    (tmp_path / "shop/data/training_data.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in asked(*range(48)))
    )
    return tmp_path / "shop"


def test_the_page_works_as_it_is_written(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    async def notebook() -> None:
        names: dict[str, object] = {}
        for cell in cells:
            exec(cell, names)

    asyncio.run(notebook())
    assert len(cells) == 3
    assert read_manifest(shop / "distilled").step == "train"
    assert "train: 40 rows" in capsys.readouterr().out
