"""Training rows that are nearly held-out rows are left out, and rows that only share a template are not."""

import json
import random

import pytest

from azdistill.contracts.files import read_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Prompt, Reject
from azdistill.data.gram_index import NGRAM, ngrams
from azdistill.data.prepare import prepare
from azdistill.tasks.texts import words

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "lk")]
LABELS = ("entailment", "neutral", "contradiction")


def text(rng, count):
    return " ".join(rng.choices(WORDS, k=count))


def edited(rng, words, fraction):
    """A copy in which a fraction of the words is replaced, removed or followed by another one."""
    copy = words.split()
    for _ in range(round(fraction * len(copy))):
        index = rng.randrange(len(copy))
        copy[index : index + 1] = rng.choice([[], [rng.choice(WORDS)], [copy[index], rng.choice(WORDS)]])
    return " ".join(copy).capitalize() + "?"


class Checked:
    """The rows that are left out by source, with reason and detail, and the counts of the check."""

    def __init__(self, folder, counts):
        self.left_out = {row.source: (row.reason, row.detail) for row in read_rows(folder / "left_out.jsonl", Reject)}
        self.prompts = list(read_rows(folder / "prompts.jsonl", Prompt))
        self.counts, self.folder = counts, folder


@pytest.fixture
def check(tmp_path, row):
    def run(files, task="conversation", **config):
        paths = {name: tmp_path / f"{name}.jsonl" for name in files}
        for name, rows in files.items():
            records = [row(item) if isinstance(item, str) else item for item in rows]
            paths[name].write_text("".join(json.dumps(record) + "\n" for record in records))
        folder = tmp_path / "prompts"
        return Checked(folder, prepare(paths, PrepareConfig(task=task, **config), folder))

    return run


@pytest.mark.parametrize("length", [60, 150])
def test_copies_with_one_word_in_20_changed_are_found_and_no_other_row(check, length):
    rng = random.Random(0)
    test = [text(rng, length) for _ in range(50)]
    train = [*(edited(rng, words, 0.05) for words in test), *(text(rng, length) for _ in range(300))]
    done = check({"train": train, "test": test}, validation_fraction=0)
    assert done.left_out == {
        f"train.jsonl:{line}": ("near_leaked", f"is nearly test.jsonl:{line}, a test row") for line in range(1, 51)
    }
    assert done.counts["left_out"] == {"near_leaked": 50}
    assert done.counts["leakage"] == {
        "check": "a common 13-gram, 80% of the words in common 5-grams, and equal numbers",
        "compared": 350,
        "near_leaked": 50,
        "action": "drop",
    }


def test_validation_rows_are_compared_with_the_test_and_training_rows_with_both(check):
    rng = random.Random(0)
    first, second = text(rng, 60), text(rng, 60)
    others = [text(rng, 60) for _ in range(20)]
    near = [edited(rng, words, 0.03) for words in (first, second, second)]
    files = {"train": [*others, near[0], near[1]], "validation": [near[2], text(rng, 60)], "test": [first, second]}
    done = check(files)
    assert done.left_out == {
        "validation.jsonl:1": ("near_leaked", "is nearly test.jsonl:2, a test row"),
        "train.jsonl:21": ("near_leaked", "is nearly test.jsonl:1, a test row"),
        "train.jsonl:22": ("near_leaked", "is nearly test.jsonl:2, a test row"),
    }
    done = check({"train": [*others, near[1]], "validation": [second], "test": [first]})
    assert done.left_out == {"train.jsonl:21": ("near_leaked", "is nearly validation.jsonl:1, a validation row")}


def test_rows_of_a_drawn_split_are_compared_too(check):
    rng = random.Random(0)
    rows = [text(rng, 60) for _ in range(200)]
    done = check({"train": [*rows, *(edited(rng, words, 0.02) for words in rows)]}, test_fraction=0.3)
    assert done.counts["left_out"]["near_leaked"] > 50
    splits = {prompt.source: prompt.split for prompt in done.prompts}
    pairs = [{splits.get(f"train.jsonl:{line}"), splits.get(f"train.jsonl:{line + 200}")} for line in range(1, 201)]
    assert all(len(pair - {None}) == 1 for pair in pairs)


@pytest.mark.parametrize("count", [3, 30, 300])
def test_a_long_instruction_of_all_rows_is_no_overlap(check, count):
    """Rows of nli and qa, and chat rows with a system prompt and examples."""
    rng = random.Random(0)
    instruction, examples = text(rng, 80), text(rng, 120)

    def nli(number):
        return {"premise": f"{instruction} {text(rng, 14)}", "hypothesis": text(rng, 8), "label": LABELS[number % 3]}

    def qa(number):
        return {"context": instruction, "question": text(rng, 9), "answer": text(rng, 1)}

    def chat(number):
        user = f"{examples} {text(rng, 10)}"
        return {"messages": [{"role": "system", "content": instruction}, {"role": "user", "content": user}]}

    for task, make in (("nli", nli), ("qa", qa), ("conversation", chat)):
        files = {"train": [make(number) for number in range(count)], "test": [make(number) for number in range(10)]}
        assert check(files, task=task, validation_fraction=0).left_out == {}


def test_other_questions_about_a_passage_are_left_out_unless_the_passage_is_a_group(check):
    rng = random.Random(0)
    passages = [text(rng, 100) for _ in range(40)]
    rows = [
        {"context": passage, "question": text(rng, 10), "answer": "x", "passage_id": number}
        for number, passage in enumerate(passages)
        for _ in range(4)
    ]
    assert check({"train": rows}, task="qa").counts["left_out"]["near_leaked"] > 10
    assert check({"train": rows}, task="qa", group_column="passage_id").left_out == {}


def test_short_rows_must_be_equal(check):
    train = ["What is the capital city of the country France in the west of Europe?"]
    test = ["What is the capital city of the country Poland in the west of Europe?"]
    assert check({"train": train, "test": test}, validation_fraction=0).left_out == {}


def test_a_problem_with_other_numbers_is_another_one(check):
    problem = "A train leaves at {} and drives {} kilometres an hour for {} hours, how far is it from the station then?"
    files = {"train": [problem.format(9, 80, 3)], "test": [problem.format(9, 80, 4)]}
    assert check(files, task="conversation", validation_fraction=0).left_out == {}
    files["train"] += ["Tell me: " + problem.format(9, 80, 4)]
    assert list(check(files, validation_fraction=0).left_out) == ["train.jsonl:2"]


def test_overlaps_are_reported_or_not_looked_for(check):
    rng = random.Random(0)
    test = [text(rng, 60)]
    train = [edited(rng, test[0], 0.02), *(text(rng, 60) for _ in range(10))]
    done = check({"train": train, "test": test}, leakage="report", validation_fraction=0)
    assert (done.left_out, done.counts["train"], done.counts["leakage"]["near_leaked"]) == ({}, 11, 1)
    (leak,) = read_rows(done.folder / "leaks.jsonl", Reject)
    assert (leak.source, leak.detail) == ("train.jsonl:1", "is nearly test.jsonl:1, a test row")
    done = check({"train": train, "test": test}, leakage="off", validation_fraction=0)
    assert (done.left_out, done.counts["train"], "leakage" in done.counts) == ({}, 11, False)


def test_equal_ngrams_have_equal_hashes_and_others_have_not():
    rng = random.Random(0)
    forms = ["{}", "{}, ", " ({})\n", "«{}»", "Ünü{}", "{}e\u0301", "的{}", "{}กขค", "🙂{}"]
    texts = [
        "",
        "?!",
        "one",
        *(" ".join(rng.choice(forms).format(rng.choice(WORDS)) for _ in range(30)) for _ in range(250)),
    ]
    texts += [text.upper() for text in texts]
    by_text = [words(text) for text in texts]
    expected = [
        (index, tuple(of_text[start : start + NGRAM]))
        for index, of_text in enumerate(by_text)
        for start in range(len(of_text) - NGRAM + 1)
    ]
    hashes, rows, positions = ngrams(texts)
    assert rows.tolist() == [index for index, _ in expected]
    in_order = [word for of_text in by_text for word in of_text]
    assert [tuple(in_order[start : start + NGRAM]) for start in positions] == [gram for _, gram in expected]
    pairs = {(gram, digest) for (_, gram), digest in zip(expected, hashes.tolist(), strict=True)}
    assert len(pairs) == len({gram for gram, _ in pairs}) == len({digest for _, digest in pairs})


def test_scripts_without_spaces_are_compared_by_characters(check):
    rng = random.Random(0)
    characters = [chr(code) for code in range(0x4E00, 0x4F00)]
    test = ["".join(rng.choices(characters, k=60))]
    train = [test[0][:30] + "的" + test[0][31:], *("".join(rng.choices(characters, k=60)) for _ in range(10))]
    assert list(check({"train": train, "test": test}, validation_fraction=0).left_out) == ["train.jsonl:1"]
