"""Answers that become labels, and reasons why others are dropped."""

import json

import pytest

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import Completion, Message, Reject, TokenUsage, TrainRow
from azdistill.data.curate import TRACE_INSTRUCTION, check_drops, curate
from azdistill.data.teacher_check import check_teacher


def completion(number, text="neutral", **fields):
    fields = {"split": "train", "finish_reason": "stop", "gold": None, **fields}
    return Completion(
        id=f"{number:016x}",
        messages=(Message(role="user", content=f"question {number}"),),
        source=f"rows.jsonl:{number}",
        completion=text,
        teacher="deepseek-v3",
        key="0" * 64,
        usage=TokenUsage(),
        **fields,
    )


@pytest.mark.parametrize(
    ("fields", "config", "reason"),
    [
        ({"finish_reason": "length"}, {}, "length"),
        ({"finish_reason": "content_filter", "text": ""}, {}, "content_filter"),
        ({"text": " \n"}, {}, "empty"),
        ({"text": " no "}, {"min_chars": 7}, "too_short"),
        ({"text": "neutral!"}, {"max_chars": 7}, "too_long"),
        ({"text": "<think>\nWhy not\n</think>\n\n"}, {}, "empty"),
        ({"text": "<think>\nEntailment?\n</think>\n\nno"}, {"min_chars": 7}, "too_short"),
        ({"text": "<think>\nneutral\n</think>\n\nwho knows"}, {}, "unparseable"),
        ({"text": "I can't say"}, {}, "unparseable"),
        ({"gold": "entailment"}, {"drop_disagreeing": True}, "disagrees"),
    ],
)
def test_an_answer_that_is_no_label_is_dropped_with_its_reason(fields, config, reason):
    reasoned = completion(2, "<think>\nA long way to it\n</think>\n\nneutral")
    curated = curate([completion(1, **fields), reasoned], CurateConfig(task="nli", **config))
    assert [row.id for row in curated.train] == [f"{2:016x}"]
    assert [(drop.source, drop.reason) for drop in curated.drops] == [("rows.jsonl:1", reason)]


@pytest.mark.parametrize("gold", ["entailment", None, "who knows"])
def test_the_reference_is_not_asked_unless_wanted_or_without_meaning(gold):
    drop = gold != "entailment"
    assert curate([completion(1, gold=gold)], CurateConfig(task="nli", drop_disagreeing=drop)).drops == ()


def test_one_of_several_references_is_enough():
    disagreeing = CurateConfig(task="qa", drop_disagreeing=True)
    rows = [completion(n, text, gold=("Paris", "Paname")) for n, text in enumerate(("paname", "Paris.", "Lyon"))]
    assert [drop.reason for drop in curate(rows, disagreeing).drops] == ["disagrees"]


def test_test_rows_are_never_trained_on_and_not_counted():
    rows = [completion(1), completion(2, split="test"), completion(3, split="validation")]
    curated = curate([*rows, completion(4, split="test", finish_reason="length")], CurateConfig())
    assert curated.counts() == {"kept": {"train": 1, "validation": 1}, "traces": 0, "dropped": {}}
    assert curated.train[0].messages[-1] == Message(role="assistant", content="neutral")


E, N, C = "entailment", "neutral", "contradiction"


@pytest.mark.parametrize(
    ("task", "texts", "minority_too", "expected"),
    [
        ("nli", [E, E, N], False, [None, "duplicate", None]),
        ("nli", [E, "It is neutral", N, N], True, ["minority", None, None, "duplicate"]),
        ("nli", [E, N, N, "who knows"], True, ["minority", None, "duplicate", "unparseable"]),
        ("nli", [C, N, E], True, [None, "minority", "minority"]),
        ("nli", ["who knows", "hm"], True, ["unparseable", "unparseable"]),
        ("math", ["It is 1/2", "0.5", "2"], True, [None, None, "minority"]),
        ("summarization", ["Ann ate a pie", "Bob slept", "Ann ate the pie"], True, [None, "minority", None]),
    ],
)
def test_several_answers_to_one_prompt_are_held_against_each_other(task, texts, minority_too, expected):
    rows = [completion(1, text, sample=number) for number, text in enumerate(texts)]
    alone = [completion(n, texts[0]) for n in (0, 2)]  # the same words to other prompts
    curated = curate([alone[0], *rows, alone[1]], CurateConfig(task=task, drop_minority=minority_too))
    kept = [text for text, reason in zip(texts, expected, strict=True) if reason is None]
    assert [row.messages[-1].content for row in curated.train if row.id.endswith("1")] == kept
    assert [drop.reason for drop in curated.drops if drop.source == "rows.jsonl:1"] == list(filter(None, expected))


def test_the_same_text_after_another_history_is_another_answer():
    histories = [(Message(role="user", content=f"question after {n}"),) for n in (1, 2, 1)]
    rows = [completion(1).model_copy(update={"messages": messages}) for messages in histories]
    curated = curate(rows, CurateConfig())
    assert [row.messages[0].content for row in curated.train] == ["question after 1", "question after 2"]


def test_dropped_answers_without_a_fault_do_not_count_for_the_limit():
    rows = [completion(1, text) for text in [N, N, N, E, "who knows"]]
    curated = curate(rows, CurateConfig(task="nli", drop_minority=True))
    assert curated.counts()["dropped"] == {"duplicate": 2, "minority": 1, "unparseable": 1}
    check_drops(curated, 0.2)
    with pytest.raises(DataError) as raised:
        check_drops(curated, 0.19)
    assert raised.value.problems[0].message.startswith("1 of 5 answers were dropped (unparseable 1), more than")


def test_a_split_trace_becomes_a_separate_training_row():
    traced = {"trace": "It may be so."}
    rows = [completion(1, **traced), completion(2, trace=" "), completion(3, split="validation", **traced)]
    rows += [completion(4, text="", **traced), completion(5, split="test", **traced)]
    curated = curate(rows, CurateConfig())
    assert curated.counts() == {"kept": {"train": 3, "validation": 1}, "traces": 1, "dropped": {"empty": 1}}
    label, why, _ = curated.train
    assert (why.id, why.messages[-1].content) == (f"{label.id}-trace", "It may be so.")
    assert why.messages[0] == Message(role="user", content=f"question 1\n\n{TRACE_INSTRUCTION}")
    with pytest.raises(DataError, match="1 of 4 answers"):
        check_drops(curated, 0.24)


@pytest.mark.parametrize(
    ("rows", "max_ratio", "code", "message"),
    [
        ([completion(1), completion(2, text="")], 0.4, "too_many_drops", "1 of 2 answers were dropped (empty 1)"),
        ([completion(1, text="")], 1, "no_rows", "no answer is left to train on (empty 1)"),
        ([completion(1, split="validation")], 1, "no_rows", "no answer is left to train on (none was dropped)"),
        ([], 0, "no_rows", "no answer is left to train on (none was dropped)"),
    ],
)
def test_too_few_labels_are_an_error(rows, max_ratio, code, message):
    with pytest.raises(DataError) as raised:
        check_drops(curate(rows, CurateConfig()), max_ratio)
    (problem,) = raised.value.problems
    assert problem.code == code
    assert problem.message.startswith(message)
    if code == "too_many_drops":
        assert (problem.field, problem.value) == (("curate", "max_drop_ratio"), max_ratio)


def test_the_step_writes_rows_and_drops(tmp_path, curate_step):
    rows = [completion(n, finish_reason="length" if n == 3 else "stop") for n in range(1, 10)]
    write_rows(tmp_path / "completions" / "completions.jsonl", [*rows, completion(10, split="validation")])
    close_folder(tmp_path / "completions", "teacher", {})
    done = curate_step(tmp_path / "completions")
    assert (done.code, done.err) == (0, "")
    train = list(read_rows(done.folder / "train.jsonl", TrainRow))
    assert [row.messages[0].content for row in train] == [f"question {n}" for n in (1, 2, 4, 5, 6, 7, 8, 9)]
    assert [drop.source for drop in read_rows(done.folder / "drops.jsonl", Reject)] == ["rows.jsonl:3"]
    expected = {"kept": {"train": 8, "validation": 1}, "traces": 0, "dropped": {"length": 1}}
    assert read_json(done.folder / "drops.json") == read_manifest(done.folder).counts == expected

    refused = curate_step(tmp_path / "completions", max_drop_ratio=0.05)
    refused.assert_refused("1 of 10 answers were dropped (length 1)", "curate.max_drop_ratio=0.05")


def test_the_step_refuses_an_incomplete_folder_of_the_teacher(tmp_path, curate_step):
    write_rows(tmp_path / "completions" / "completions.jsonl", [completion(1)])
    curate_step(tmp_path / "completions").assert_refused("manifest.json", "did not finish")


def answered(folder, texts, **fields):
    write_rows(folder / "completions.jsonl", [completion(n, text, **fields) for n, text in enumerate(texts)])
    close_folder(folder, "teacher", {})
    return folder


def test_a_teacher_that_is_right_on_no_row_stops_the_job(tmp_path, curate_step):
    folder = answered(tmp_path / "completions", ["neutral"] * 30, gold="entailment")
    done = curate_step(folder, task="nli")
    done.assert_refused("the teacher is right on 0 of 30 rows", "rows.jsonl:0", "'neutral'", "'entailment'")
    assert curate_step(folder, task="nli", min_teacher_accuracy=0).code == 0


@pytest.mark.parametrize(
    ("texts", "fields", "task"),
    [
        (["neutral"] * 29 + ["entailment"], {"gold": "entailment"}, "nli"),
        (["neutral"] * 19, {"gold": "entailment"}, "nli"),
        (["neutral"] * 30, {}, "nli"),
        (["Hello there."] * 30, {"gold": "Good morning to you."}, "conversation"),
    ],
    ids=["one is right", "too few rows", "no references", "graded"],
)
def test_other_teachers_do_not(texts, fields, task):
    rows = [completion(n, text, **fields) for n, text in enumerate(texts)]
    check_teacher(rows, CurateConfig(task=task))


def test_a_simulated_teacher_need_not_be_right(tmp_path, curate_step):
    folder = answered(tmp_path / "completions", ["neutral"] * 30, gold="entailment")
    usage = {"teacher": "x", "route": "simulated", "asked": 30, "answered": 30, "rejected": 0, "from_store": 0}
    (folder / "usage.json").write_text(json.dumps(usage))
    assert curate_step(folder, task="nli").code == 0
