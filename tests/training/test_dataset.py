"""Tokenized rows in a file are those in memory, whoever tokenized them; an unfinished file is not used."""

import numpy as np
import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.template import TokenizedRow
from azdistill.training import rows as rows_module
from azdistill.training.dataset import TokenizedRows
from azdistill.training.rows import tokenize_training_rows
from tests.students import tiny
from tests.students.tiny import turns

CONFIG = TrainConfig(max_length=160, train_on="all", max_overlong_ratio=0.2)
ROWS = [
    TrainRow(
        id=f"{number:016x}",
        messages=turns("Hi", f"answer {number}", "more?", "x" * (200 if number % 10 == 0 else number)),
        weight=1 + number % 3,
    )
    for number in range(50)
]


def content(tokenized):
    return [(tokenized.name(index), row) for index, row in enumerate(tokenized)]


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_in_a_file_are_those_in_memory(tmp_path, monkeypatch, workers):
    monkeypatch.setattr(rows_module, "CHUNK", 8)
    monkeypatch.setattr(rows_module, "ROWS_BEFORE_WORKERS", 16)
    in_memory = tokenize_training_rows(ROWS, tiny.tokenizer(), CONFIG)
    path = tmp_path / "rows.arrow"
    in_file = tokenize_training_rows(iter(ROWS), tiny.tokenizer(), CONFIG, path=path, workers=workers)
    assert content(in_file) == content(in_memory)
    assert len(in_file) == 45
    assert in_file[3:5] == [in_file[3], in_file[4]]
    assert in_file[-1] == in_file[44]
    assert in_file.name(0) == f"row 2 ({ROWS[1].id})"
    assert np.array_equal(in_file.lengths, [len(row.input_ids) for row in in_memory])
    assert in_file.num_target_tokens == sum(row.num_target_tokens for row in in_memory)
    mean = sum(row.weight * row.num_target_tokens for row in in_file) / in_file.num_target_tokens
    assert (mean, in_file[1].weight / in_file[2].weight) == (pytest.approx(1.0), pytest.approx(3.0))
    again = tokenize_training_rows([], tiny.tokenizer(), CONFIG, path=path)
    assert content(again) == content(in_memory)


def flip_a_token(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [
        flip_a_token,
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: path.write_bytes(b""),
        lambda path: path.with_suffix(".sha256").unlink(),
        lambda path: path.with_suffix(".sha256").write_bytes(b"\xff"),
    ],
)
def test_rows_of_a_damaged_file_are_tokenized_again(tmp_path, damage):
    path = tmp_path / "rows.arrow"
    before = content(tokenize_training_rows(ROWS, tiny.tokenizer(), CONFIG, path=path))
    damage(path)
    assert content(tokenize_training_rows(ROWS, tiny.tokenizer(), CONFIG, path=path)) == before
    assert content(tokenize_training_rows([], tiny.tokenizer(), CONFIG, path=path)) == before


def test_a_file_of_rows_that_are_refused_is_not_left(tmp_path):
    strict = CONFIG.model_copy(update={"max_overlong_ratio": 0.0})
    with pytest.raises(DataError, match="5 of 50 rows are longer"):
        tokenize_training_rows(ROWS, tiny.tokenizer(), strict, path=tmp_path / "rows.arrow")
    assert list(tmp_path.iterdir()) == []


def test_there_may_be_no_rows_and_an_index_beyond_them_is_an_error():
    empty, one = TokenizedRows.of([]), TokenizedRows.of([TokenizedRow([1, 2], ((1, 2),))])
    assert (len(empty), empty.num_target_tokens, list(empty)) == (0, 0, [])
    assert (list(one), one.num_target_tokens) == ([TokenizedRow([1, 2], ((1, 2),))], 1)
    with pytest.raises(IndexError):
        one[1]
