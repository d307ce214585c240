"""The code of docs/notebook.md runs in a notebook, where an event loop is running."""

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from azdistill.contracts.manifest import read_manifest
from tests.api.conftest import STUDENT, question_rows

PAGE = Path(__file__).parents[2] / "docs/notebook.md"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that `azdistill init --example support shop` writes, with fewer rows."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AZDISTILL_HOME", raising=False)
    shutil.copytree(STUDENT, tmp_path / "shop/student")
    (tmp_path / "shop/data").mkdir()
    (tmp_path / "shop/data/training_data.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in question_rows(*range(48)))
    )
    return tmp_path / "shop"


def test_the_code_of_the_page_runs(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)

    async def notebook() -> None:
        names: dict[str, object] = {}
        for cell in cells:
            exec(cell, names)

    asyncio.run(notebook())
    assert len(cells) == 3
    assert read_manifest(shop / "distilled").step == "train"
    shown = capsys.readouterr().out
    assert "teacher: 40/40 (" in shown
    assert "train: 40 rows" in shown
