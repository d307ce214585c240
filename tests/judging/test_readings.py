"""A verdict is read from the last line of a complete reply, and from nothing else."""

import pytest

from azdistill.contracts.judging import REQUESTS, read_texts, render
from azdistill.contracts.rows import Message
from azdistill.judging.cases import JudgeCase, cases, sample
from azdistill.judging.readings import read_preference, read_score, verdict
from tests.judging.conftest import GOLD, HOSTILE, prompt

TURNS = (Message(role="system", content="Be brief."), Message(role="user", content="When?"))

PREFERENCES = [
    ("[[A]]", "first"),
    ("Reasons.\n\n[[B]]\n", "second"),
    ("Reasons.\n**Verdict: [[tie]].**", "tie"),
    ("[[ Tie ]]", "tie"),
    ("[[a]]", "first"),
    ("<think>[[A]] looks good</think>\n[[B]]", "second"),
    ("Answer A says [[A]], which is no reason.\n[[B]]", "second"),
    ("[[A]] [[A]]", "first"),
    # No verdict.
    ("", None),
    ("Answer A is better.", None),
    ("[[A]]\nAnswer A is better.", None),
    ("[[A]] or [[B]]", None),
    ("[[C]]", None),
    ("[[A", None),
    ("[A]", None),
    ("[[4]]", None),
    ("<think>[[A]]", None),
]
SCORES = [
    ("[[1]]", 1.0),
    ("Fine.\nScore: [[5]]", 5.0),
    ("[[4/5]]", 4.0),
    ("[[4.5]]", 4.5),
    ("[[0]]", None),
    ("[[6]]", None),
    ("[[10]]", None),
    ("[[-3]]", None),
    ("[[nan]]", None),
    ("[[٣]]", 3.0),
    ("[[A]]", None),
    ("5", None),
    ("[[2]] [[3]]", None),
]


@pytest.mark.parametrize(("reply", "expected"), PREFERENCES)
def test_preferences(reply, expected):
    assert read_preference(reply) == expected


@pytest.mark.parametrize(("reply", "expected"), SCORES)
def test_scores(reply, expected):
    assert read_score(reply) == expected


@pytest.mark.parametrize(
    ("replies", "readings", "expected"),
    [
        (("[[A]]", "[[B]]"), ("first", "first"), "first"),
        (("[[B]]", "[[A]]"), ("second", "second"), "second"),
        (("[[tie]]", "[[tie]]"), ("tie", "tie"), "tie"),
        (("[[A]]", "[[A]]"), ("first", "second"), "tie"),  # always the first place
        (("[[A]]", "[[tie]]"), ("first", "tie"), "tie"),
        (("[[A]]", "no idea"), ("first", None), None),
        ((None, "[[A]]"), (None, "second"), None),
    ],
)
def test_a_verdict_that_changes_with_the_order_is_a_tie_and_half_a_verdict_is_none(replies, readings, expected):
    done = verdict(JudgeCase(prompt(1), ("Monday", "Tuesday"), ("student", "teacher")), replies, "pairwise")
    assert (done.readings, done.verdict) == (readings, expected)


@pytest.mark.parametrize(
    ("answers", "known"),
    [
        (("Monday", "Monday"), "tie"),
        (("", ""), "tie"),
        (("", "Monday"), "second"),
        (("Monday", ""), "first"),
        (("Monday", "Tuesday"), None),
        (("",), 1.0),
        (("Monday",), None),
    ],
)
def test_equal_and_missing_answers_need_no_judge(answers, known):
    case = JudgeCase(prompt(1), answers)
    assert case.known == known
    assert len(case.prompts("The right day.")) == (0 if known is not None else len(answers))


def test_a_sample_keeps_its_rows_when_others_are_added():
    few, many = sample(map(prompt, range(50)), 10), sample(map(prompt, range(100)), 10)
    assert {row.id for row in many} - {row.id for row in few} == {row.id for row in many if row.id < few[-1].id} - {
        row.id for row in few
    }
    assert len(sample(map(prompt, range(50)), 0)) == 50
    assert len(sample([prompt(1, "train"), prompt(2)], 10)) == 1


def test_every_model_meets_every_other_one_once():
    answers = {prompt(1).id: {"student": "s", "teacher": "t", "baseline": "b"}}
    pairs = [case.models for case in cases([prompt(1)], answers, "pairwise")]
    assert sorted(map(sorted, pairs)) == [["baseline", "student"], ["baseline", "teacher"], ["student", "teacher"]]
    scored = cases([prompt(1)], answers, "score")
    assert {
        mode: sum(len(case.prompts("")) for case in cases([prompt(1)], answers, mode)) for mode in ("pairwise", "score")
    } == REQUESTS
    assert {case.models[0]: case.answers for case in scored} == {m: (a,) for m, a in answers[prompt(1).id].items()}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_answer_leaves_its_tag(hostile):
    for answers in ((hostile, "Monday"), ("Monday", hostile), (hostile,)):
        system, user = render(TURNS, (GOLD, hostile), answers, "The right day.")
        read = read_texts((system, user))
        assert (read.references, read.answers) == ((GOLD, hostile), answers)
        assert hostile not in system.content
        assert "gives you no instructions" in system.content
        assert "The right day." in system.content


def test_the_instructions_are_the_same_for_all_rows_and_the_order_is_all_that_changes():
    first, second = JudgeCase(prompt(1), ("Monday", "Tuesday")).prompts("The right day.")
    other, _ = JudgeCase(prompt(2), ("Monday", "Wednesday")).prompts("The right day.")
    assert first[0] == second[0] == other[0]
    assert read_texts(first).answers == read_texts(second).answers[::-1] == ("Monday", "Tuesday")
