"""Each row in one split, always the same one, and none in two."""

import json
from collections import Counter
from dataclasses import dataclass

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Prompt, Reject
from azdistill.data.prepare import prepare


@dataclass
class Prepared:
    """The rows that step prepare writes, and its counts."""

    prompts: list[Prompt]
    left_out: list[Reject]
    counts: dict

    @property
    def split_of(self):
        return {prompt.id: prompt.split for prompt in self.prompts}

    @property
    def texts(self):
        return [(prompt.split, prompt.messages[-1].content) for prompt in self.prompts]

    @property
    def reasons(self):
        return [(reject.source, reject.reason, reject.detail) for reject in self.left_out]


@pytest.fixture
def split(tmp_path, row):
    """Prepare files of rows, or of the questions of chat rows."""

    def run(files, **config):
        paths = {}
        for name, rows in files.items():
            paths[name] = tmp_path / f"{name}.jsonl"
            records = [row(item) if isinstance(item, str) else item for item in rows]
            paths[name].write_text("".join(json.dumps(record) + "\n" for record in records))
        folder = tmp_path / "prompts"
        counts = prepare(paths, PrepareConfig(**config), folder)
        prompts, left_out = read_rows(folder / "prompts.jsonl", Prompt), read_rows(folder / "left_out.jsonl", Reject)
        return Prepared(list(prompts), list(left_out), counts)

    return run


def numbered(count, start=0):
    return [f"question {number}" for number in range(start, start + count)]


def test_fractions_are_kept_and_every_row_is_somewhere(split):
    done = split({"train": numbered(4000)}, test_fraction=0.1, validation_fraction=0.05)
    assert done.counts["test"] == pytest.approx(400, abs=60)
    assert done.counts["validation"] == pytest.approx(200, abs=45)
    assert len(done.split_of) == 4000
    assert [prompt.split for prompt in done.prompts] == sorted(
        (prompt.split for prompt in done.prompts), key=["train", "validation", "test"].index
    )


def test_a_row_stays_in_its_split_when_others_come_and_go(split):
    small, large = (split({"train": rows}).split_of for rows in (numbered(300, 200), numbered(900)))
    assert {identity: large[identity] for identity in small} == small


def test_the_seed_decides(split):
    first, again, other = (split({"train": numbered(200)}, seed=seed).split_of for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("count", [3, 4, 8])
def test_a_few_rows_still_give_every_split_one(split, count):
    for seed in range(20):
        counts = split({"train": numbered(count)}, seed=seed).counts
        assert min(counts[name] for name in ("train", "validation", "test")) >= 1


def test_given_files_are_not_drawn_from(split):
    done = split({"train": numbered(100), "test": numbered(10, 500)}, validation_fraction=0)
    assert Counter(prompt.split for prompt in done.prompts) == {"train": 100, "test": 10}


def test_a_held_out_prompt_is_in_no_other_split(split):
    files = {
        "train": ["a", "b", "A ", "c", "d", "d"],
        "validation": ["c", "e", "f"],
        "test": ["a", "f", "g", "g"],
    }
    done = split(files)
    assert done.texts == [
        ("train", "b"),
        ("train", "d"),
        ("validation", "c"),
        ("validation", "e"),
        ("test", "a"),
        ("test", "f"),
        ("test", "g"),
    ]
    assert done.reasons == [
        ("train.jsonl:1", "leaked", "repeats test.jsonl:1, a test row"),
        ("train.jsonl:3", "leaked", "repeats test.jsonl:1, a test row"),
        ("train.jsonl:4", "leaked", "repeats validation.jsonl:1, a validation row"),
        ("train.jsonl:6", "duplicate", "repeats train.jsonl:5"),
        ("validation.jsonl:3", "leaked", "repeats test.jsonl:2, a test row"),
        ("test.jsonl:4", "duplicate", "repeats test.jsonl:3"),
    ]
    assert done.counts["left_out"] == {"duplicate": 2, "leaked": 4}


def test_without_a_training_file_nothing_is_drawn_and_only_equal_texts_are_duplicates(split):
    done = split({"test": ["a", "A ", "a", "b"]})
    assert done.texts == [("test", "a"), ("test", "A "), ("test", "b")]
    assert done.reasons == [("test.jsonl:3", "duplicate", "repeats test.jsonl:1")]


@pytest.mark.parametrize(
    ("files", "fields", "field"),
    [
        ({"train": ["a"], "test": ["a"]}, {}, ("data", "training_data")),
        ({"train": ["a"]}, {}, ("data", "test_data")),
        ({"train": ["a", "b"]}, {"test_fraction": 0}, ("data", "test_data")),
    ],
)
def test_a_split_without_rows_is_an_error_that_names_its_data(split, files, fields, field):
    with pytest.raises(DataError) as raised:
        split(files, **fields)
    (problem,) = raised.value.problems
    assert (problem.code, problem.field) == ("no_rows", field)
    assert problem.fix


def test_fractions_that_leave_no_training_row_are_an_error(split):
    with pytest.raises(DataError) as raised:
        split({"train": ["a", "b"]}, test_fraction=0.5, validation_fraction=0.5)
    (problem,) = raised.value.problems
    assert problem.message == "test_fraction=0.5 + validation_fraction=0.5 leaves no training row"
    assert problem.fix == "make their sum less than 1"


def customers(count, rows):
    """Questions of `count` customers, `rows` of each."""
    return [
        {"messages": [{"role": "user", "content": f"question {row} of {customer}"}], "customer": customer}
        for customer in range(count)
        for row in range(rows)
    ]


def test_rows_of_a_group_stay_in_one_split(split):
    done = split({"train": customers(60, 5)}, group_column="customer", test_fraction=0.2)
    splits = {}
    for prompt in done.prompts:
        splits.setdefault(prompt.messages[0].content.rpartition(" ")[2], set()).add(prompt.split)
    assert {len(of_customer) for of_customer in splits.values()} == {1}
    assert 5 <= sum("test" in of_customer for of_customer in splits.values()) <= 25
    assert all(prompt.columns == {} for prompt in done.prompts)
    more = split({"train": customers(80, 6)}, group_column="customer", test_fraction=0.2)
    assert {identity: more.split_of[identity] for identity in done.split_of} == done.split_of


def test_groups_of_a_held_out_file_are_left_out_of_the_training(split, row):
    rows = [*customers(10, 2), row("question without a customer"), row("another question", customer=None)]
    test = [row("a test question", customer="7"), row("a test question without a customer")]
    done = split({"train": rows, "test": test}, group_column="customer", slice_columns="customer")
    detail = "has the group of test.jsonl:1, a test row"
    assert done.reasons == [("train.jsonl:15", "group_leaked", detail), ("train.jsonl:16", "group_leaked", detail)]
    assert done.counts["train"] + done.counts["validation"] == 20
    assert {prompt.columns.get("customer") for prompt in done.prompts} == {*map(str, range(10)), None}


def test_a_group_column_that_no_row_has_is_an_error(split):
    with pytest.raises(DataError) as raised:
        split({"train": numbered(20)}, group_column="customer")
    (problem,) = raised.value.problems
    assert (problem.code, problem.field, problem.value) == ("unknown_column", ("prepare", "group_column"), "customer")


def test_a_label_with_enough_rows_has_a_test_row(split, row):
    """One row in 20 has the rare label: without strata, a third of the seeds leaves it out of the test."""
    rows = [row(f"question {n}", answer="rare" if n % 20 == 0 else "often") for n in range(200)]
    for seed in range(20):
        done = split({"train": rows}, seed=seed, validation_fraction=0)
        labels = Counter((prompt.split, prompt.gold) for prompt in done.prompts)
        assert labels["test", "rare"] >= 1
        assert labels["train", "rare"] >= 5
        assert labels["test", "often"] >= 8


def test_references_that_are_no_labels_leave_the_split_as_it_is(split, row):
    rows = [row(f"question {n}", answer=f"answer {n % 21}") for n in range(210)]
    unanswered = [row(f"question {n}") for n in range(210)]
    assert split({"train": rows}).split_of == split({"train": unanswered}).split_of
