"""Rows that are too long are kept aside and counted."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.training.rows import encode, encode_training
from tests.students import tiny
from tests.students.tiny import turns


def rows(long, short):
    answers = ["x" * 300] * long + ["ok"] * short
    return [TrainRow(id=f"{number:016x}", messages=turns("Hi", answer)) for number, answer in enumerate(answers)]


def test_overlong_rows_are_kept_aside_not_cut():
    config = TrainConfig(max_length=64)
    found = encode(rows(1, 9), tiny.tokenizer(), config)
    assert len(found) == 9
    assert all(len(row.ids) <= 64 for row in found)


def test_too_many_overlong_rows_name_the_fields_and_figures():
    config = TrainConfig(max_length=64, max_overlong_ratio=0.1)
    with pytest.raises(DataError) as problem:
        encode(rows(2, 8), tiny.tokenizer(), config)
    assert str(problem.value) == (
        "training: 2 of 10 rows are longer than train.max_length=64 tokens (the longest has 322); "
        "raise it, shorten the rows, or raise train.max_overlong_ratio"
    )
    assert len(encode(rows(2, 8), tiny.tokenizer(), config.model_copy(update={"max_overlong_ratio": 0.2}))) == 8


@pytest.mark.parametrize("given", [rows(0, 0), rows(3, 0)])
def test_nothing_to_learn_from_is_refused(given):
    with pytest.raises(DataError, match="no row to learn from"):
        encode_training(given, tiny.tokenizer(), TrainConfig(max_length=64, max_overlong_ratio=1))


def test_no_validation_rows_are_no_error():
    assert encode([], tiny.tokenizer(), TrainConfig()) == []
