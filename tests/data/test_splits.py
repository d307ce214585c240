"""Each row in one split, always the same one, and none in two."""

from collections import Counter

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Message
from azdistill.data.cases import SourcedCase
from azdistill.data.splits import split_prompts
from azdistill.tasks.task import Case


def cases(*texts, name="train"):
    conversations = [(Message(role="user", content=text),) for text in texts]
    return [SourcedCase(Case(talk, None), f"{name}.jsonl:{n}") for n, talk in enumerate(conversations, 1)]


def numbered(count, start=0):
    return cases(*(f"question {number}" for number in range(start, start + count)))


def placed(splits):
    return {prompt.id: prompt.split for prompt in splits.prompts}


def test_fractions_are_kept_and_every_row_is_somewhere():
    splits = split_prompts({"train": numbered(4000)}, PrepareConfig(test_fraction=0.1, validation_fraction=0.05))
    assert splits.count("test") == pytest.approx(400, abs=60)
    assert splits.count("validation") == pytest.approx(200, abs=45)
    assert len(placed(splits)) == 4000
    assert [prompt.split for prompt in splits.prompts] == sorted(
        (prompt.split for prompt in splits.prompts), key=["train", "validation", "test"].index
    )


def test_a_row_stays_in_its_split_when_others_come_and_go():
    config = PrepareConfig()
    small, large = (placed(split_prompts({"train": rows}, config)) for rows in (numbered(300, 200), numbered(900)))
    assert {identity: large[identity] for identity in small} == small


def test_the_seed_decides():
    first, again, other = (placed(split_prompts({"train": numbered(200)}, PrepareConfig(seed=s))) for s in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_few_rows_still_give_every_split_one(count):
    for seed in range(20):
        splits = split_prompts({"train": numbered(count)}, PrepareConfig(seed=seed))
        assert min(splits.count(split) for split in ("train", "validation", "test")) >= 1


def test_given_files_are_not_drawn_from():
    splits = split_prompts({"train": numbered(100), "test": numbered(10, 500)}, PrepareConfig(validation_fraction=0))
    assert Counter(prompt.split for prompt in splits.prompts) == {"train": 100, "test": 10}


def test_a_held_out_prompt_is_in_no_other_split():
    files = {
        "train": cases("a", "b", "A ", "c", "d", "d"),
        "validation": cases("c", "e", "f", name="validation"),
        "test": cases("a", "f", "g", "g", name="test"),
    }
    splits = split_prompts(files, PrepareConfig())
    assert [(prompt.split, prompt.messages[0].content) for prompt in splits.prompts] == [
        ("train", "b"),
        ("train", "d"),
        ("validation", "c"),
        ("validation", "e"),
        ("test", "a"),
        ("test", "f"),
        ("test", "g"),
    ]
    assert (splits.duplicates, splits.leaked) == (2, 4)  # d and g twice; a, A and c in train, f in validation


def test_without_a_training_file_nothing_is_drawn_and_only_equal_texts_are_duplicates():
    splits = split_prompts({"test": cases("a", "A ", "a", "b")}, PrepareConfig())
    assert [(prompt.split, prompt.messages[0].content) for prompt in splits.prompts] == [
        ("test", "a"),
        ("test", "A "),
        ("test", "b"),
    ]
    assert (splits.duplicates, splits.leaked) == (1, 0)


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ({"test": []}, {}, ("data", "test_data")),
        ({"train": cases("a"), "test": cases("a")}, {}, ("data", "training_data")),
        ({"train": cases("a")}, {}, ("data", "test_data")),
        ({"train": cases("a", "b")}, {"test_fraction": 0}, ("data", "test_data")),
    ],
)
def test_a_split_without_rows_is_an_error_that_names_its_data(files, fields, field):
    with pytest.raises(DataError) as raised:
        split_prompts(files, PrepareConfig(**fields))
    (problem,) = raised.value.problems
    assert (problem.code, problem.field) == ("no_rows", field)
    assert problem.fix


def test_fractions_that_leave_no_training_row_are_an_error():
    with pytest.raises(DataError) as raised:
        split_prompts({"train": cases("a", "b")}, PrepareConfig(test_fraction=0.5, validation_fraction=0.5))
    (problem,) = raised.value.problems
    assert problem.message == "test_fraction=0.5 + validation_fraction=0.5 leaves no training row"
    assert problem.fix == "make their sum less than 1"
