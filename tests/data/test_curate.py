"""Answers that become labels, and reasons why others are dropped."""

import json

import pytest

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.rows import Completion, Message, Reject, TokenUsage, TrainRow
from azdistill.data.curate import TRACE_INSTRUCTION, check_drops, curate
from azdistill.data.teacher_check import TeacherCheck


def completion(number, text="neutral", **fields):
    fields = {"split": "train", "finish_reason": "stop", "gold": None, "key": "0" * 64, **fields}
    return Completion(
        id=f"{number:016x}",
        messages=(Message(role="user", content=f"question {number}"),),
        source=f"rows.jsonl:{number}",
        completion=text,
        teacher="deepseek-v3",
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


@pytest.mark.parametrize(
    ("score", "reason"),
    [(5.0, None), (3.5, None), (3.0, "low_judge_score"), (None, "unjudged"), ("absent", "unjudged")],
)
def test_an_answer_with_a_low_score_or_without_one_is_dropped_and_does_not_vote(score, reason):
    rows = [completion(1, text, sample=number, key=f"{number:064}") for number, text in enumerate((E, E, N))]
    scores = {row.key: 4.0 for row in rows[:2]} | ({} if score == "absent" else {rows[2].key: score})
    curated = curate(rows, CurateConfig(task="nli", min_judge_score=3.5, min_agreement=0.7), scores=scores)
    reasons = {drop.reason for drop in curated.drops}
    assert reasons == ({reason, "duplicate"} if reason else {"inconsistent"})
    assert curated.counts.faulty.total == (1 if reason else 3)


def test_a_minimum_score_needs_scores():
    with pytest.raises(InputError, match=r"^curate\.min_judge_score=3: needs the scores of a judge; pass the"):
        curate([completion(1)], CurateConfig(min_judge_score=3))


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
    assert curated.counts.as_json() == {"kept": {"train": 1, "validation": 1}, "traces": 0, "dropped": {}}
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
    assert curated.counts.as_json()["dropped"] == {"duplicate": 2, "minority": 1, "unparseable": 1}
    check_drops(curated.counts, 0.2)
    with pytest.raises(DataError) as raised:
        check_drops(curated.counts, 0.19)
    assert raised.value.problems[0].message.startswith("1 of 5 answers were dropped, more than")


def test_a_split_trace_becomes_a_separate_training_row():
    traced = {"trace": "It may be so."}
    rows = [completion(1, **traced), completion(2, trace=" "), completion(3, split="validation", **traced)]
    rows += [completion(4, text="", **traced), completion(5, split="test", **traced)]
    curated = curate(rows, CurateConfig())
    assert curated.counts.as_json() == {"kept": {"train": 3, "validation": 1}, "traces": 1, "dropped": {"empty": 1}}
    label, why, _ = curated.train
    assert (why.id, why.messages[-1].content) == (f"{label.id}-trace", "It may be so.")
    assert why.messages[0] == Message(role="user", content=f"question 1\n\n{TRACE_INSTRUCTION}")
    with pytest.raises(DataError, match="1 of 4 answers"):
        check_drops(curated.counts, 0.24)


@pytest.mark.parametrize(
    ("rows", "max_ratio", "code", "message"),
    [
        (
            [completion(1), completion(2, text="")],
            0.4,
            "too_many_drops",
            "1 of 2 answers were dropped, more than the limit allows: 1 empty (",
        ),
        ([completion(1, text="")], 1, "no_rows", "no answer is left to train on: 1 empty (rows.jsonl:1"),
        ([completion(1, split="validation")], 1, "no_rows", "no answer is left to train on: none was dropped"),
        ([], 0, "no_rows", "no answer is left to train on: none was dropped"),
    ],
)
def test_too_few_labels_are_an_error(rows, max_ratio, code, message):
    with pytest.raises(DataError) as raised:
        check_drops(curate(rows, CurateConfig()).counts, max_ratio)
    (problem,) = raised.value.problems
    assert problem.code == code
    assert problem.message.startswith(message)
    if code == "too_many_drops":
        assert (problem.field, problem.value) == (("curate", "max_drop_ratio"), max_ratio)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I\u2019m sorry, I cannot assist with this request.", True),
        ("As an AI language model, I cannot give advice.", True),
        ("Es tut mir leid, aber dabei kann ich Ihnen nicht helfen.", True),
        ("Je suis désolé, mais je ne peux pas répondre à cette question.", True),
        ("Lo siento, pero no puedo ayudarte con eso.", True),
        ("Mi dispiace, non posso aiutarti.", True),
        ("Desculpe, mas não posso ajudar com isso.", True),
        ("Sorry, daar kan ik je niet mee helpen.", True),
        ("Îmi pare rău, dar nu te pot ajuta cu asta.", True),
        ("Imi pare rau, nu pot raspunde.", True),
        ("I'm sorry for the delay. Your order arrives tomorrow.", False),
        ("I can't find the order; which number has it?", False),
        ("Es tut mir leid, dass das Paket fehlt. Ich sende ein neues.", False),
        ("Nu. Pot veni mâine.", False),
        ("I'm sorry, but I can't answer for him. " + "He said that he would come. " * 20, False),
    ],
)
def test_refusals_are_dropped_on_request(text, refused):
    config = CurateConfig(drop_refusals=True)
    assert [drop.reason for drop in curate([completion(1, text)], config).drops] == ["refusal"] * refused
    reference = "I am sorry, but I cannot help with that."
    assert curate([completion(1, text, gold=reference)], config).drops == ()
    assert curate([completion(1, text)], CurateConfig()).drops == ()


GERMAN = "Das Paket wurde gestern bei einem Nachbarn abgegeben, der bis Freitag im Urlaub ist."
ENGLISH = "The parcel was left yesterday with a neighbour who is on holiday until the end of the week."


@pytest.mark.parametrize(
    ("question", "answer", "language", "dropped"),
    [
        ("Where is it?", GERMAN, "en", True),
        ("Where is it?", GERMAN, "de", False),
        (ENGLISH, GERMAN, "same", True),
        (GERMAN, GERMAN, "same", False),
        ("Where is it?", GERMAN, "same", False),
        (ENGLISH, "Beim Nachbarn.", "same", False),
        (ENGLISH, "x = (1 + 2) * 3 - 4 / 5; y = x ** 2; z = [x, y, 1, 2, 3, 4, 5, 6, 7]", "same", False),
    ],
)
def test_answers_in_another_language_are_dropped_on_request(question, answer, language, dropped):
    row = completion(1, answer).model_copy(update={"messages": (Message(role="user", content=question),)})
    drops = curate([row], CurateConfig(language=language)).drops
    assert [drop.reason for drop in drops] == ["wrong_language"] * dropped


def test_an_unknown_language_is_refused_before_any_row_is_read():
    with pytest.raises(InputError, match=r"curate\.language='xx': unknown language; set one of"):
        curate([], CurateConfig(language="xx"))


def test_answers_on_which_too_few_agree_are_dropped_and_the_others_weighted_by_their_agreement():
    rows = [completion(1, text) for text in (E, N, "It is neutral", C)] + [completion(2, text) for text in (E, C)]
    rows += [completion(3), completion(4, E), completion(4, "Entailment.")]
    curated = curate(rows, CurateConfig(task="nli", drop_minority=True, min_agreement=0.5, weight_by_agreement=True))
    assert [(row.messages[0].content[-1], row.weight) for row in curated.train] == [
        ("1", 0.5),
        ("1", 0.5),
        ("2", 0.5),
        ("3", 1),
        ("4", 1),
        ("4", 1),
    ]
    strict = curate(rows, CurateConfig(task="nli", min_agreement=0.6))
    assert strict.counts.as_json()["dropped"] == {"inconsistent": 6}
    assert strict.drops[0].detail == "50% of the answers to the prompt agree"


LABELS = [N] * 6 + [E] * 3 + [C] * 2


def test_rows_of_frequent_labels_are_dropped_down_to_the_ratio():
    rows = [completion(n, label) for n, label in enumerate(LABELS)] + [completion(50, N, split="validation")]
    curated = curate(rows, CurateConfig(task="nli", max_label_ratio=1.5))
    assert [row.messages[-1].content for row in curated.train] == [N] * 3 + [E] * 3 + [C] * 2
    assert curated.counts.as_json()["dropped"] == {"label_surplus": 3}
    assert curated.drops[0].detail == "6 rows have label 'neutral', and at most 3 are kept"
    check_drops(curated.counts, 0)


def test_weights_give_each_label_the_same_sum_and_have_mean_1():
    rows = [completion(n, label) for n, label in enumerate(LABELS)] + [completion(50, N, split="validation")]
    curated = curate(rows, CurateConfig(task="nli", weight_by_label=True))
    sums = {label: sum(row.weight for row in curated.train if row.messages[-1].content == label) for label in (E, N, C)}
    assert sums == pytest.approx(dict.fromkeys((E, N, C), len(LABELS) / 3))
    assert [row.weight for row in curated.validation] == [1]


def test_a_row_that_repeats_another_one_names_it_and_a_validation_row_is_the_one_that_stays():
    rows = [completion(1, GERMAN), completion(2, GERMAN + "!"), completion(3, ENGLISH)]
    rows = [row.model_copy(update={"messages": (Message(role="user", content=ENGLISH),)}) for row in rows]
    validation = rows[1].model_copy(update={"split": "validation", "id": "f" * 16, "source": "validation.jsonl:1"})
    curated = curate([*rows, validation], CurateConfig(near_duplicates=0.8))
    assert [(drop.source, drop.reason, drop.detail) for drop in curated.drops] == [
        (f"rows.jsonl:{n}", "near_duplicate", "prompt and answer repeat those of validation.jsonl:1") for n in (1, 2)
    ]
    assert (len(curated.train), len(curated.validation)) == (1, 1)
    check_drops(curated.counts, 0)


def test_rows_that_cover_all_subjects_are_kept():
    subjects = {
        "parcel": (30, "The parcel {} was left with a neighbour instead of being delivered at the door on day {}."),
        "invoice": (3, "Please send invoice {} again, the amount that the bank charged differs from it by {} cents."),
        "password": (2, "My password {} is not accepted since the application was updated to version {} on my phone."),
    }
    texts = [text.format(n, n * 7) for count, text in subjects.values() for n in range(count)]
    config = CurateConfig(keep=3)
    curated = curate([completion(n, text) for n, text in enumerate(texts)], config)
    assert {word for row in curated.train for word in subjects if word in row.messages[-1].content} == set(subjects)
    assert curated.counts.as_json()["dropped"] == {"not_selected": 32}
    check_drops(curated.counts, 0)
    assert len(curate([completion(1), completion(2)], config).train) == 2


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
    refused.assert_refused(
        "1 of 10 answers were dropped, more than the limit allows: 1 length (rows.jsonl:3: ",
        "curate.max_drop_ratio=0.05",
    )


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
    teacher_check = TeacherCheck(CurateConfig(task=task))
    assert list(teacher_check.observe(rows)) == rows
    teacher_check.check()


def test_a_simulated_teacher_need_not_be_right(tmp_path, curate_step):
    folder = answered(tmp_path / "completions", ["neutral"] * 30, gold="entailment")
    usage = {"teacher": "x", "route": "simulated", "asked": 30, "answered": 30, "rejected": 0, "from_store": 0}
    (folder / "usage.json").write_text(json.dumps(usage))
    assert curate_step(folder, task="nli").code == 0
