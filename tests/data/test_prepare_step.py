"""prepare as a process: what it writes, and each bad input as its user meets it."""

import json

import pytest

from azdistill.contracts.files import read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.rows import Prompt, Reject


def rows_of(row, count, start=0):
    return [
        row(f"Where is order {number}?", f"Order {number} is on its way.") for number in range(start, start + count)
    ]


def test_prompts_rejects_and_counts(jsonl, row, prepare_step):
    train = jsonl([*rows_of(row, 98), rows_of(row, 1)[0], {"messages": 7}, rows_of(row, 1, 200)[0]], "train.jsonl")
    test = jsonl(rows_of(row, 5, 200), "test.jsonl")
    done = prepare_step(train, test_data=test)
    assert (done.code, done.err) == (0, "")
    prompts = list(read_rows(done.folder / "prompts.jsonl", Prompt))
    (reject,) = read_rows(done.folder / "rejects.jsonl", Reject)
    assert (reject.source, reject.reason) == ("train.jsonl:100", "no_messages")
    counts = read_manifest(done.folder).counts
    assert (counts["leakage"].pop("compared"), counts.pop("leakage")["near_leaked"]) == (98, 0)
    assert counts == {
        "train": sum(prompt.split == "train" for prompt in prompts),
        "validation": sum(prompt.split == "validation" for prompt in prompts),
        "test": 5,
        "rejected": 1,
        "reasons": {"no_messages": 1},
        "left_out": {"duplicate": 1, "leaked": 1},
    }
    assert len(prompts) == 98 + 5
    assert prompts[-1].gold == "Order 204 is on its way."
    assert prompts[-1].source == "test.jsonl:5"
    assert "5 test rows; left out: 1 rejected, 1 duplicate, 1 leaked" in done.out


def test_the_same_files_give_the_same_bytes_in_any_folder(jsonl, row, prepare_step, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    paths = [jsonl(rows_of(row, 50), name) for name in ("rows.jsonl", "elsewhere/rows.jsonl")]
    written = []
    for path in paths:
        done = prepare_step(path, seed=3)
        written.append([(done.folder / name).read_bytes() for name in ("prompts.jsonl", "manifest.json")])
    assert written[0] == written[1]


def conversation(*messages):
    return {"messages": [{"role": role, "content": content} for role, content in messages]}


BAD_LINES = [
    ('{"messages": [{"role"', "broken_json"),
    (
        conversation(("customer", "Hello")),
        "unknown_role (train.jsonl:21: messages[0].role='customer' is none of system, user, assistant",
    ),
    (conversation(("assistant", "Hello"), ("user", "Hi")), "assistant_first"),
    (conversation(("user", "")), "empty_content (train.jsonl:21: messages[0].content is empty)"),
]


@pytest.mark.parametrize(("line", "message"), BAD_LINES)
def test_a_bad_line_stops_a_small_file_and_is_named(jsonl, row, prepare_step, line, message):
    done = prepare_step(jsonl([*rows_of(row, 20), line], "train.jsonl"))
    done.assert_refused(f"1 {message}", "train.jsonl:21: ", "1 of 21 rows", "max_reject_ratio=0.02")
    assert len(list(read_rows(done.folder / "rejects.jsonl", Reject))) == 1


def test_the_most_frequent_reasons_stop_the_step_when_rows_are_rejected(jsonl, row, prepare_step):
    path = jsonl([*rows_of(row, 20), *(line for line, _ in BAD_LINES), conversation(("user", " "))])
    assert prepare_step(path, max_reject_ratio=0.2).code == 0
    many = prepare_step(path, max_reject_ratio=0.1)
    many.assert_refused(
        "5 of 25 rows can't be used",
        ": 2 empty_content (rows.jsonl:24: messages[0].content is empty); 1 broken_json (rows.jsonl:21: ",
        "; 1 unknown_role (rows.jsonl:22: messages[0].role='customer'",
        "; and 1 more reasons, all in rejects.jsonl",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "train.jsonl: no such file"),
        (b"", "train.jsonl: the file has no rows"),
        (b"\n \n", "train.jsonl: the file has no rows"),
        ('{"text": "x"}'.encode("utf-16"), "train.jsonl: is UTF-16"),
    ],
)
@pytest.mark.parametrize("ratio", [0.02, 1])
def test_an_unreadable_file_is_an_error_at_any_limit(tmp_path, prepare_step, content, message, ratio):
    path = tmp_path / "train.jsonl"
    if content is not None:
        path.write_bytes(content)
    prepare_step(path, max_reject_ratio=ratio).assert_refused(f"prepare: {path.parent}", message)


def test_a_failed_attempt_leaves_no_manifest_of_an_earlier_one(jsonl, row, prepare_step):
    path = jsonl(rows_of(row, 20))
    assert prepare_step(path).code == 0
    path.write_text(json.dumps({"messages": 1}))
    prepare_step(path).assert_refused("1 no_messages (rows.jsonl:1: ")


def test_a_folder_that_cannot_be_written_is_one_line(jsonl, row, prepare_step, tmp_path):
    done = prepare_step(jsonl(rows_of(row, 5)), prompts=tmp_path / ("x" * 256))
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "File name too long" in done.err


def test_a_typo_in_a_flag_is_refused(jsonl, row, prepare_step):
    prepare_step(jsonl(rows_of(row, 5)), sead=3).assert_refused("--sead")
    prepare_step(jsonl(rows_of(row, 5)), test_fraction=1.5).assert_refused("test_fraction='1.5'")


def test_two_labels_are_stated_and_not_guessed(jsonl, prepare_step):
    rows = jsonl([{"premise": f"p {n}", "hypothesis": "h", "label": n % 2} for n in range(40)])
    prepare_step(rows, task="nli").assert_refused("labels: no label of 40 rows is 2", "[entailment, not_entailment]")
    done = prepare_step(rows, task="nli", labels="entailment,not_entailment")
    assert (done.code, done.err) == (0, "")
    golds = {prompt.gold for prompt in read_rows(done.folder / "prompts.jsonl", Prompt)}
    assert golds == {"entailment", "not_entailment"}
    three = jsonl([{"premise": f"p {n}", "hypothesis": "h", "label": n % 3} for n in range(40)])
    assert prepare_step(three, task="nli").code == 0


def test_many_rows_about_the_same_passages_are_warned_of(jsonl, prepare_step):
    passages = [" ".join(f"word{passage}x{number}" for number in range(40)) for passage in range(10)]
    questions = ["who wrote it", "when was it built", "where does it stand", "why is it famous"]
    rows = [{"context": text, "question": question, "passage": text[:7]} for text in passages for question in questions]
    done = prepare_step(jsonl(rows), task="qa", test_fraction=0.3)
    assert done.code == 0
    last_line = done.out.splitlines()[-1]
    assert "test rows; left out: 0 rejected, " in last_line
    assert "rows are nearly held-out rows; for questions about the same passages, set prepare.group_column" in last_line
    assert "nearly" not in prepare_step(jsonl(rows), task="qa", test_fraction=0.3, group_column="passage").out
