"""Which answers become labels, and why the others don't."""

import pytest

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import Completion, Message, Reject, TrainRow, Usage
from azdistill.data.curate import check_drops, curate


def completion(number, text="neutral", **fields):
    given = {"split": "train", "finish_reason": "stop", "gold": None, **fields}
    return Completion(
        id=f"{number:016x}",
        messages=(Message(role="user", content=f"question {number}"),),
        source=f"rows.jsonl:{number}",
        completion=text,
        teacher="deepseek-v3",
        key="0" * 64,
        usage=Usage(),
        **given,
    )


@pytest.mark.parametrize(
    ("fields", "config", "reason"),
    [
        ({"finish_reason": "length"}, {}, "length"),
        ({"finish_reason": "content_filter", "text": ""}, {}, "content_filter"),
        ({"text": " \n"}, {}, "empty"),
        ({"text": " no "}, {"min_chars": 7}, "too_short"),
        ({"text": "neutral!"}, {"max_chars": 7}, "too_long"),
        ({"text": "I can't say"}, {}, "unparseable"),
        ({"gold": "entailment"}, {"drop_disagreeing": True}, "disagrees"),
    ],
)
def test_an_answer_that_is_no_label_is_dropped_with_its_reason(fields, config, reason):
    curated = curate([completion(1, **fields), completion(2)], CurateConfig(task="nli", **config))
    assert [row.id for row in curated.train] == [f"{2:016x}"]
    assert [(drop.source, drop.reason) for drop in curated.drops] == [("rows.jsonl:1", reason)]


@pytest.mark.parametrize("gold", ["entailment", None, "who knows"])
def test_the_reference_is_not_asked_unless_wanted_or_without_meaning(gold):
    drop = gold != "entailment"
    assert curate([completion(1, gold=gold)], CurateConfig(task="nli", drop_disagreeing=drop)).drops == ()


def test_test_rows_are_never_learned_from_and_not_counted():
    rows = [completion(1), completion(2, split="test"), completion(3, split="validation")]
    curated = curate([*rows, completion(4, split="test", finish_reason="length")], CurateConfig())
    assert curated.counts() == {"kept": {"train": 1, "validation": 1}, "dropped": {}}
    assert curated.train[0].messages[-1] == Message(role="assistant", content="neutral")


@pytest.mark.parametrize(
    ("rows", "most", "said"),
    [
        ([completion(1), completion(2, text="")], 0.4, "1 of 2 answers were dropped .empty 1., more than"),
        ([completion(1, text="")], 1, "no answer is left to learn from .empty 1."),
        ([completion(1, split="validation")], 1, "no answer is left to learn from .none was dropped."),
        ([], 0, "no answer is left"),
    ],
)
def test_too_few_labels_are_an_error(rows, most, said):
    with pytest.raises(DataError, match=said):
        check_drops(curate(rows, CurateConfig()), most)


def test_the_step_writes_rows_and_drops(tmp_path, curate_step):
    rows = [completion(n, finish_reason="length" if n == 3 else "stop") for n in range(1, 10)]
    write_rows(tmp_path / "completions" / "completions.jsonl", [*rows, completion(10, split="validation")])
    close_folder(tmp_path / "completions", "teacher", {})
    done = curate_step(tmp_path / "completions")
    assert (done.code, done.err) == (0, "")
    train = list(read_rows(done.folder / "train.jsonl", TrainRow))
    assert [row.messages[0].content for row in train] == [f"question {n}" for n in (1, 2, 4, 5, 6, 7, 8, 9)]
    assert [drop.source for drop in read_rows(done.folder / "drops.jsonl", Reject)] == ["rows.jsonl:3"]
    expected = {"kept": {"train": 8, "validation": 1}, "dropped": {"length": 1}}
    assert read_json(done.folder / "drops.json") == read_manifest(done.folder).counts == expected

    refused = curate_step(tmp_path / "completions", max_drop_ratio=0.05)
    refused.assert_refused("1 of 10 answers were dropped (length 1)", "curation.max_drop_ratio=0.05")


def test_the_step_refuses_what_the_teacher_did_not_finish(tmp_path, curate_step):
    write_rows(tmp_path / "completions" / "completions.jsonl", [completion(1)])
    curate_step(tmp_path / "completions").assert_refused("manifest.json", "did not finish")
