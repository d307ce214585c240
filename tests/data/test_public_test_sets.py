"""Training rows with text of public test sets."""

import json

from azdistill.contracts.files import read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.rows import Reject
from tests.data.conftest import chat

PROBLEM = "A train leaves Cluj at noon with {n} wagons, and each of them has {n} seats for children and {n} for adults."
TEMPLATE = "Read the following problem slowly, think about it, and answer with a single number at the end of the text: "


def test_rows_with_text_of_a_test_set_are_counted_and_named(jsonl, prepare_step, tmp_path):
    """A template that many test rows begin with is no text of a test row. Test sets are of any format."""
    sets = tmp_path / "sets"
    sets.mkdir()
    math = [{"question": TEMPLATE + PROBLEM.format(n=n), "answer": str(n)} for n in range(20, 40)]
    (sets / "gsm8k.test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in math))
    (sets / "trivia.csv").write_text("question,answer\nWho was it?,Nobody\n")
    rows = [chat(f"{TEMPLATE}How many apples are {n} and {n}?", "Many.") for n in range(100, 130)]
    copied = chat(f"Please help. {PROBLEM.format(n=27)} How many seats?", "54.")
    data = jsonl([*rows, copied], "train.jsonl")
    done = prepare_step(
        data, public_test_sets=sets, validation_fraction=0.2, test_data=jsonl([chat("Hi", "Hello")], "t.jsonl")
    )
    assert (done.code, done.err) == (0, "")
    counts = read_manifest(done.folder).counts["public_test_sets"]
    assert counts == {"gsm8k": {"rows": 20, "prompts": 1}, "trivia": {"rows": 1, "prompts": 0}}
    assert list(read_rows(done.folder / "contamination.jsonl", Reject)) == [
        Reject(source="train.jsonl:31", reason="gsm8k", detail="13 consecutive words are those of gsm8k.test.jsonl:8")
    ]


def test_a_folder_without_test_rows_is_wrong_input(jsonl, prepare_step, tmp_path):
    sets = tmp_path / "sets"
    sets.mkdir()
    data = jsonl([chat(f"Where is order {n}?", "Here.") for n in range(40)])
    prepare_step(data, public_test_sets=sets).assert_refused("no file of a test set")
    (sets / "a.jsonl").write_text('{"question": \n{"question": \n')
    prepare_step(data, public_test_sets=sets).assert_refused("a.jsonl: no row of a test set; remove it from the folder")
