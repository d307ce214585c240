"""Step judge over real HTTP: its verdicts, what it buys, and what it does with a judge that answers nonsense."""

import json
import os
from collections import Counter

import pytest

from azdistill.contracts.judge_requests import SIMULATED_JUDGE_VARIABLE
from azdistill.contracts.verdicts import JudgeSummary
from tests.judging.conftest import GOLD, HOSTILE, prompt
from tests.manifests import rewrite

WRONG, OTHER = "It never arrives", "Who knows what happens to parcels"


class Fixed:
    """A judge that always gives one reply."""

    def __init__(self, reply):
        self.reply = reply

    def answer(self, messages):
        return self.reply

    wrong_answer = answer


def outcomes(step):
    """Verdicts by the pair of models."""
    pairs = {}
    for row in step.rows("verdicts.jsonl"):
        pairs.setdefault(tuple(row["models"]), Counter())[row["verdict"]] += 1
    return pairs


def test_the_answer_that_equals_the_reference_wins_in_both_orders(judge_step, simulated_judge):
    judge = simulated_judge()
    step = judge_step(teacher=[GOLD] * 6, student=[GOLD] * 4 + [WRONG] * 2, baseline=[WRONG] * 5 + [None])
    assert step.run() == (0, "")
    assert outcomes(step) == {
        ("student", "teacher"): {"tie": 4, "second": 2},
        ("student", "baseline"): {"first": 5, "tie": 1},
        ("teacher", "baseline"): {"first": 6},
    }
    asked = 2 * (2 + 4 + 5)  # equal and missing answers need no request
    assert sum(judge.bought.values()) <= asked
    summary = step.read("summary.json")
    assert (summary["rows"], summary["unjudged"], summary["requests"]) == (6, 0, asked)
    assert (summary["unanswered"], summary["unreadable"]) == (0, 0)
    assert step.read("usage.json")["answered"] == asked
    assert {tuple(row["readings"]) for row in step.rows("verdicts.jsonl")} >= {("first", "first"), ()}
    # The same answers are bought once.
    bought = sum(judge.bought.values())
    first = step.rows("verdicts.jsonl")
    assert step.run() == (0, "")
    assert sum(judge.bought.values()) == bought
    assert step.rows("verdicts.jsonl") == first
    assert step.read("usage.json")["calls"] == 0
    assert step.read("usage.json")["from_store"] == asked


def test_an_answer_that_speaks_to_the_judge_is_judged_as_text(judge_step, simulated_judge):
    simulated_judge()
    count = len(HOSTILE)
    step = judge_step(teacher=[GOLD] * count, student=HOSTILE, baseline=[OTHER] * count)
    assert step.run() == (0, "")
    assert outcomes(step)["student", "teacher"] == {"second": count}
    assert outcomes(step)["teacher", "baseline"] == {"first": count}


def test_scores_and_the_number_of_rows(judge_step, simulated_judge):
    simulated_judge()
    step = judge_step(teacher=[GOLD] * 5, student=[GOLD] * 5, baseline=[OTHER] * 4 + [None])
    assert step.run(mode="score", rows=3) == (0, "")
    rows = step.rows("verdicts.jsonl")
    assert len({row["id"] for row in rows}) == 3
    assert {tuple(row["models"]): row["verdict"] for row in rows} == {
        ("student",): 5.0,
        ("teacher",): 5.0,
        ("baseline",): 1.0,
    }


@pytest.mark.parametrize(
    ("reply", "settings", "counts", "reason"),
    [
        (
            "I can't decide.",
            {},
            {"unreadable": 16, "unanswered": 0, "unjudged": 4},
            "the last line of the reply",
        ),
        ("[[A]]", {"truncated_rate": 1.0}, {"unreadable": 0, "unanswered": 16, "unjudged": 4}, "cut at judge.max_tok"),
        ("[[A]]", {"filtered_rate": 1.0}, {"unreadable": 0, "unanswered": 16, "unjudged": 4}, "content filter"),
        ("[[A]]", {}, {"unreadable": 0, "unanswered": 0, "unjudged": 0}, ""),
    ],
)
def test_a_reply_without_a_verdict_is_counted(judge_step, simulated_judge, reply, settings, counts, reason):
    simulated_judge(Fixed(reply), **settings)
    step = judge_step(teacher=[GOLD] * 4, student=[GOLD] * 4, baseline=[f"{WRONG} {number}" for number in range(4)])
    assert step.run() == (0, "")
    summary = step.read("summary.json")
    assert {name: summary[name] for name in counts} == counts
    failures = JudgeSummary.model_validate(summary).failures
    expected = "16 of 16 requests to the judge have no verdict, 16 of them because " if reason else ""
    assert (failures.startswith(expected), reason in failures, bool(failures)) == (True, True, bool(reason))
    verdicts = {row["verdict"] for row in step.rows("verdicts.jsonl") if row["readings"]}
    assert verdicts == ({None} if counts["unjudged"] else {"tie"})
    replies = {text for row in step.rows("verdicts.jsonl") for text in row["replies"]}
    assert replies == {None if counts["unanswered"] else reply}


def test_a_budget_that_is_reached_and_an_empty_rubric_are_one_line(judge_step, simulated_judge):
    judge = simulated_judge()
    step = judge_step(teacher=[GOLD] * 4, student=[WRONG] * 4, baseline=[OTHER] * 4)
    code, error = step.run(budget=0.01, judge_model={"input_price": 100, "output_price": 100})
    assert code == 1
    assert error.startswith("judge: judge.budget=0.01: ")
    assert error.count("\n") == 1
    assert not (step.judgements / "manifest.json").exists()
    bought = sum(judge.bought.values())
    step.inputs["rubric"].write_text(" \n")
    code, error = step.run()
    assert (code, sum(judge.bought.values())) == (2, bought)
    assert "rubric.txt" in error


LABELS = [
    {"id": prompt(0).id, "answers": [GOLD, WRONG], "preference": "first"},
    {"id": prompt(1).id, "answers": [WRONG, GOLD], "preference": "first"},
    {"id": prompt(9_999).id, "answers": [OTHER, OTHER], "preference": "tie", "models": ["copied from verdicts.jsonl"]},
    {"id": "gone", "answers": ["a", "b"], "preference": "tie"},
]


def test_the_judge_is_asked_about_the_answers_that_people_labelled(judge_step, simulated_judge):
    simulated_judge()
    step = judge_step(teacher=[GOLD] * 2, student=[GOLD] * 2, baseline=[GOLD] * 2)
    labels = step.home / "labels.jsonl"
    labels.write_text("".join(f"{json.dumps(label)}\n" for label in LABELS) + "\n")
    step.inputs["human_labels"] = labels
    assert step.run() == (0, "")
    rows = step.rows("labels.jsonl")
    assert [(row["verdict"], row["human"]) for row in rows] == [("first", "first"), ("second", "first"), ("tie", "tie")]
    assert step.read("summary.json")["other_labels"] == 1
    assert len(step.rows("verdicts.jsonl")) == 6


@pytest.mark.parametrize(
    ("line", "mode"),
    [
        ("{", "pairwise"),
        ('{"id": "a", "answers": ["x", "y"]}', "pairwise"),
        ('{"id": "a", "answers": ["x"], "preference": "first"}', "pairwise"),
        ('{"id": "a", "answers": ["x", "y"], "preference": "left"}', "pairwise"),
        ('{"id": "a", "answers": ["x", "y"], "preference": "first"}', "score"),
        ('{"id": "a", "answers": ["x"], "score": 6}', "score"),
        ('{"id": "a", "answers": [], "score": 3}', "score"),
    ],
)
def test_a_label_that_cannot_be_used_is_named_before_a_request(judge_step, simulated_judge, line, mode):
    judge = simulated_judge()
    step = judge_step(teacher=[GOLD], student=[WRONG], baseline=[OTHER])
    labels = step.home / "labels.jsonl"
    good = {"pairwise": LABELS[0], "score": {"id": "a", "answers": ["x"], "score": 3}}[mode]
    labels.write_text(f"{json.dumps(good)}\n{line}\n")
    step.inputs["human_labels"] = labels
    code, error = step.run(mode=mode)
    assert code == 2
    assert "labels.jsonl:2: " in error
    assert not judge.bought


def test_errors_name_the_judge_in_one_line(judge_step, simulated_judge, monkeypatch):
    simulated_judge()
    step = judge_step(teacher=[GOLD], student=[WRONG], baseline=[OTHER])
    endpoint = {"endpoint": os.environ[SIMULATED_JUDGE_VARIABLE], "key_variable": "JUDGE_KEY"}
    monkeypatch.delenv("JUDGE_KEY", raising=False)
    cases = [
        ({"judge_route": "endpoint", "judge_model": endpoint}, 2, "JUDGE_KEY"),
        ({"judge_route": "endpoint", "judge_model": {**endpoint, "endpoint": "http://127.0.0.1:9/score"}}, 2, "score"),
        ({"judge_route": "endpoint"}, 2, "neither endpoint nor connection"),
        ({"budget": 5}, 2, "prices"),
    ]
    for settings, expected, words in cases:
        code, error = step.run(**settings)
        assert (code, error.count("\n")) == (expected, 1), error
        assert error.startswith("judge: ")
        assert words in error
        assert "teacher" not in error
    monkeypatch.setenv("JUDGE_KEY", "s3cret")
    assert step.run(judge_route="endpoint", judge_model=endpoint) == (0, "")
    assert "s3cret" not in "".join(path.read_text() for path in step.judgements.iterdir())
    monkeypatch.delenv(SIMULATED_JUDGE_VARIABLE)
    code, error = step.run()
    assert (code, SIMULATED_JUDGE_VARIABLE in error) == (2, True)


def test_a_fault_of_the_endpoint_is_retried_and_a_wrong_verdict_is_seen_in_the_agreement(judge_step, simulated_judge):
    count = 60
    judge = simulated_judge(wrong_rate=0.3, error_rate=0.2, throttle_rate=0.1)
    step = judge_step(
        teacher=[f"{GOLD} {number}" for number in range(count)],
        student=[GOLD] * count,
        baseline=[f"{GOLD} {number}" for number in range(count)],
    )
    assert step.run() == (0, "")
    readings = [row["readings"] for row in step.rows("verdicts.jsonl") if row["models"] == ["student", "teacher"]]
    same = sum(first == second for first, second in readings) / count
    # Both orders are right or both are wrong: 0.7 * 0.7 + 0.3 * 0.3.
    assert same == pytest.approx(0.58, abs=0.2)
    assert {row["verdict"] for row in step.rows("verdicts.jsonl")} == {"first", "second", "tie"}
    assert max(judge.bought.values()) == 1


def test_predictions_that_lack_a_row_are_refused_before_a_request(judge_step, simulated_judge):
    judge = simulated_judge()
    step = judge_step(teacher=[GOLD] * 3, student=[WRONG] * 3, baseline=[OTHER] * 3)
    predictions = step.inputs["student"] / "predictions.jsonl"
    rewrite(predictions, "".join(predictions.read_text().splitlines(keepends=True)[:2]))
    code, error = step.run()
    assert (code, error.count("\n")) == (2, 1)
    assert "no answer to test row" in error
    assert not judge.bought


def test_equal_answers_need_no_judge_at_all(judge_step, simulated_judge):
    judge = simulated_judge()
    step = judge_step(teacher=[GOLD] * 3, student=[GOLD] * 3, baseline=[GOLD] * 3)
    assert step.run() == (0, "")
    assert (step.read("summary.json")["requests"], judge.calls.total()) == (0, 0)
    assert {row["verdict"] for row in step.rows("verdicts.jsonl")} == {"tie"}
