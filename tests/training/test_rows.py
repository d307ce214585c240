"""Rows that are too long are dropped, up to a share that the job sets."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message, TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.training.rows import contain_thoughts, tokenize_training_rows
from tests.students import tiny
from tests.students.tiny import turns


def rows(long, short):
    answers = ["x" * 300] * long + ["ok"] * short
    return [TrainRow(id=f"{number:016x}", messages=turns("Hi", answer)) for number, answer in enumerate(answers)]


def test_a_row_that_is_too_long_is_dropped_and_not_cut():
    tokenized = tokenize_training_rows(rows(1, 9), tiny.tokenizer(), TrainConfig(max_length=64))
    assert len(tokenized) == 9
    assert all(len(row.input_ids) <= 64 for row in tokenized)


def test_too_many_long_rows_are_an_error_that_names_fields_and_counts():
    config = TrainConfig(max_length=64, max_overlong_ratio=0.1)
    with pytest.raises(DataError) as error:
        tokenize_training_rows(rows(2, 8), tiny.tokenizer(), config)
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("rows_too_long", ("train", "max_length"), 64)
    assert "2 of 10 rows are longer (the longest has 322 tokens)" in problem.message
    assert "train.max_overlong_ratio" in problem.fix
    allowed = config.model_copy(update={"max_overlong_ratio": 0.2})
    assert len(tokenize_training_rows(rows(2, 8), tiny.tokenizer(), allowed)) == 8


@pytest.mark.parametrize("train_on", ["last", "all"])
def test_rows_whose_targets_all_have_weight_0_are_an_error(train_on):
    masked = [row.model_copy(update={"messages": tuple(map(without_weight, row.messages))}) for row in rows(0, 3)]
    with pytest.raises(DataError) as error:
        tokenize_training_rows(masked, tiny.tokenizer(), TrainConfig(train_on=train_on))
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("no_targets", ("train", "train_on"), train_on)


def without_weight(turn):
    return turn.model_copy(update={"weight": 0}) if turn.role == "assistant" else turn


@pytest.mark.parametrize("workers", [0, 1])
def test_a_row_that_the_template_rejects_is_named(workers, monkeypatch):
    monkeypatch.setattr("azdistill.training.rows.CHUNK", 2)
    monkeypatch.setattr("azdistill.training.rows.ROWS_BEFORE_WORKERS", 2)
    refusing = "{% if 'no' in messages[0].content %}{{ raise_exception('not this') }}{% endif %}"
    tokenizer = tiny.tokenizer(refusing + tiny.CHATML)
    accepted = rows(0, 4)
    rejected = TrainRow(id="f" * 16, messages=turns("no", "ok"))
    with pytest.raises(DataError) as error:
        tokenize_training_rows([*accepted, rejected], tokenizer, TrainConfig(), workers=workers)
    (problem,) = error.value.problems
    assert problem.code == "template_rejects_roles"
    assert f"(not this) of row 5 ({'f' * 16})" in problem.message
    assert problem.fix


@pytest.mark.parametrize("unusable", [rows(0, 0), rows(3, 0)])
def test_no_usable_training_row_is_an_error(unusable):
    with pytest.raises(DataError) as error:
        tokenize_training_rows(unusable, tiny.tokenizer(), TrainConfig(max_length=64, max_overlong_ratio=1))
    assert [problem.code for problem in error.value.problems] == ["no_rows"]


def test_validation_rows_are_optional():
    assert len(tokenize_training_rows([], tiny.tokenizer(), TrainConfig(), may_be_empty=True)) == 0


def test_rows_beyond_the_positions_of_the_model_are_dropped_and_the_error_names_its_config():
    assert len(tokenize_training_rows(rows(1, 9), tiny.tokenizer(), TrainConfig(), positions=64)) == 9
    with pytest.raises(DataError) as error:
        tokenize_training_rows(rows(2, 8), tiny.tokenizer(), TrainConfig(), positions=64)
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == ("rows_too_long", "student")
    assert "max_position_embeddings=64" in problem.message


def test_no_turn_is_trained_twice():
    shared = turns("a", "one", "b", "two", "c")
    answers = [(*shared, Message(role="assistant", content=text)) for text in ("three", "four")]
    other = turns("a", "one", "d", "five")
    conversations = [*answers, other, answers[0]]
    train = [TrainRow(id=f"{number}", messages=messages) for number, messages in enumerate(conversations)]
    tokenizer = tiny.tokenizer()
    tokenized = tokenize_training_rows(train, tokenizer, TrainConfig(train_on="all"))
    learned = [tokenizer.decode(row.input_ids[start : end - 1]) for row in tokenized for start, end in row.targets]
    assert learned == ["one", "two", "three", "four", "five"]


def test_answers_with_reasoning_are_recognized():
    train = [TrainRow(id="0", messages=turns("a", answer)) for answer in ("yes", "<think>\nhm\n</think>\n\nno")]
    assert [contain_thoughts(train[:1]), contain_thoughts(train)] == [False, True]


def test_only_the_ratios_of_the_weights_of_rows_count():
    def weights(*given):
        train = [TrainRow(id="0", messages=turns("a", "x" * 9 * weight), weight=weight) for weight in given]
        return [row.weight for row in tokenize_training_rows(train, tiny.tokenizer(), TrainConfig())]

    assert weights(3, 3) == [1.0, 1.0]
    light, heavy = weights(1, 3)
    assert heavy == pytest.approx(3 * light)
    assert 10 * light + 28 * heavy == pytest.approx(38)  # target tokens: the answers and their ends
