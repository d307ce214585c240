"""A quick look at a file of rows."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.job.samples import first_rows, reference_in, row_texts
from azdistill.tasks.records import count_rows


@pytest.mark.parametrize(("text", "count"), [("a", 1), ("a\n", 1), ("a\nb", 2), ("a\n" * 700_000, 700_000)])
def test_rows_are_counted(tmp_path: Path, text: str, count: int) -> None:
    (tmp_path / "rows").write_text(text)
    assert count_rows(tmp_path / "rows") == count


def test_the_first_rows_are_read_without_a_check(tmp_path: Path) -> None:
    (tmp_path / "rows").write_bytes(b'{"a": 1}\nno json\n\xff\n[]\n')
    assert list(first_rows(tmp_path / "rows", 3)) == [{"a": 1}, None, None]
    assert len(list(first_rows(tmp_path / "rows", None))) == 4


def test_every_text_is_found() -> None:
    assert list(row_texts({"a": ["b", {"c": "d", "e": 1}], "f": None})) == ["b", "d"]


@pytest.mark.parametrize(
    ("row", "answer"),
    [
        ({"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}, "a"),
        ({"messages": [{"role": "user", "content": "q"}], "gold": "g"}, "g"),
        ({"question": "q", "answer": 4}, "4"),
        ({"messages": "odd"}, ""),
        ("text", ""),
    ],
)
def test_the_reference_answer_is_found(row: Any, answer: str) -> None:
    assert reference_in(row) == answer
