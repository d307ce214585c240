"""Step judge_answers over real HTTP: which answers are scored, what is bought, and what curate makes of the scores."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts import curate, judge_answers
from azdistill.contracts.files import read_json, read_rows, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Completion, Reject, TokenUsage
from azdistill.contracts.step import flag
from azdistill.contracts.verdicts import AnswerScore
from azdistill.steps.curate import body as curate_body
from azdistill.steps.judge_answers import body
from azdistill.steps.runner import run_step
from tests.judging.conftest import GOLD, HOSTILE, prompt
from tests.judging.test_judge_step import Fixed

WRONG = "Who knows what happens to parcels"
PRICES = {"input_price": 100, "output_price": 100}

Run = Callable[..., tuple[int, str]]


def answer(number: int, text: str = GOLD, **fields: Any) -> Completion:
    row = prompt(number, fields.pop("split", "train"))
    values = {"finish_reason": "stop", "teacher": "t", "key": f"{number:064}", **fields}
    return Completion(**row.model_dump(), completion=text, usage=TokenUsage(), **values)


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Score the answers of a teacher: exit code and standard error."""

    def run(rows: Sequence[Completion], model: dict[str, float] | None = None, **config: Any) -> tuple[int, str]:
        write_rows(tmp_path / "completions" / "completions.jsonl", rows)
        close_folder(tmp_path / "completions", "teacher", {})
        (tmp_path / "rubric.txt").write_text("The right day.")
        (tmp_path / "judge_model.json").write_text(json.dumps({"model": "judge-1", **(model or {})}))
        files = {"rubric": "rubric.txt", "judge_model": "judge_model.json"}
        paths = {name: tmp_path / files.get(name, name) for name in ("completions", *files, "answer_scores", "store")}
        return execute(judge_answers.STEP, body, {**paths, "judge_route": "simulated", **config}, capsys)

    return run


def execute(step: Any, step_body: Any, values: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    code = run_step(step, step_body, [str(text) for name, value in values.items() for text in (flag(name), value)])
    return code, capsys.readouterr().err


def test_complete_answers_to_rows_that_may_be_trained_on_are_scored_once(run, simulated_judge, tmp_path) -> None:
    judge = simulated_judge()
    reasoned = answer(4, f"<think>\nLet me see\n</think>\n\n{GOLD}", split="validation")
    scored = [answer(1), answer(2, WRONG), answer(3, HOSTILE[0]), reasoned]
    equal = answer(1, sample=1, key="f" * 64)
    others = [
        answer(5, split="test"),
        answer(6, finish_reason="length"),
        answer(7, " \n"),
        answer(8, "<think>\nWhy not\n</think>\n\n"),
    ]
    assert run([*scored, equal, *others]) == (0, "")
    folder = tmp_path / "answer_scores"
    rows = list(read_rows(folder / "answer_scores.jsonl", AnswerScore))
    assert {row.key: row.score for row in rows} == {
        **{row.key: score for row, score in zip(scored, (5, 1, 1, 5), strict=True)},
        equal.key: 5,
    }
    assert all(row.reply and row.reply.endswith(f"[[{row.score:g}]]") for row in rows)
    assert sum(judge.bought.values()) == len(scored)
    summary = read_json(folder / "summary.json")
    assert (summary["answers"], summary["unjudged"], summary["scores"]) == (5, 0, {"1": 2, "5": 3})

    # Another run buys nothing, and has the same scores.
    assert run([*scored, equal, *others]) == (0, "")
    assert list(read_rows(folder / "answer_scores.jsonl", AnswerScore)) == rows
    usage = read_json(folder / "usage.json")
    assert (usage["calls"], usage["from_store"], sum(judge.bought.values())) == (0, 5, len(scored))


def test_curate_drops_answers_with_a_low_score_or_without_one(run, simulated_judge, tmp_path, capsys) -> None:
    simulated_judge(truncated_rate=0.2)
    rows = [answer(number, WRONG if number % 5 == 0 else GOLD) for number in range(40)]
    assert run(rows, max_unjudged=0.9) == (0, "")
    scores = {row.key: row.score for row in read_rows(tmp_path / "answer_scores/answer_scores.jsonl", AnswerScore)}
    expected = {
        row.source: "unjudged" if scores[row.key] is None else "low_judge_score"
        for row in rows
        if (scores[row.key] or 0) < 4
    }
    assert set(expected.values()) == {"unjudged", "low_judge_score"}
    ports = {name: tmp_path / name for name in ("completions", "answer_scores", "curated")}
    assert execute(curate.STEP, curate_body, {**ports, "min_judge_score": 4}, capsys) == (0, "")
    drops = {row.source: row.reason for row in read_rows(tmp_path / "curated/drops.jsonl", Reject)}
    assert drops == expected
    counts = read_json(tmp_path / "curated/drops.json")
    assert counts["kept"]["train"] == len(rows) - len(drops)
    assert counts["dropped"] == {reason: list(drops.values()).count(reason) for reason in set(drops.values())}


@pytest.mark.parametrize(
    ("reply", "settings", "counts"),
    [
        ("It is fine.", {}, "0 without a complete reply, 4 replies without a score; raise judge.max_tokens or choose"),
        ("[[5]]", {"truncated_rate": 1.0}, "4 without a complete reply, 0 replies without a score; raise judge.max_to"),
        ("[[5]]", {"filtered_rate": 1.0}, "4 without a complete reply, 0 replies without a score; the last error: "),
    ],
)
def test_too_many_answers_without_a_score_end_the_step(run, simulated_judge, tmp_path, reply, settings, counts) -> None:
    simulated_judge(Fixed(reply), **settings)
    code, error = run([answer(number) for number in range(4)], max_unjudged=0.5)
    assert (code, error.count("\n")) == (2, 1)
    assert error.startswith("judge_answers: judge.max_unjudged=0.5: 4 of 4 answers of the teacher have no score: ")
    assert counts in error
    assert (tmp_path / "answer_scores/answer_scores.jsonl").is_file()
    assert not (tmp_path / "answer_scores/manifest.json").exists()


def test_both_steps_that_ask_the_judge_share_its_budget(run, judge_step, simulated_judge, tmp_path) -> None:
    judge = simulated_judge()
    rows = [answer(number) for number in range(3)]
    assert run(rows, PRICES, budget=100) == (0, "")
    assert run(rows, PRICES, budget=100) == (0, "")  # from the store, which costs as much of the budget
    spent = read_json(tmp_path / "answer_scores/summary.json")["spent"]
    assert spent > 0
    bought = sum(judge.bought.values())
    step = judge_step(teacher=[GOLD] * 4, student=[WRONG] * 4, baseline=["?"] * 4)
    step.inputs["answer_scores"] = tmp_path / "answer_scores"
    code, error = step.run(budget=1.0001 * spent, judge_model=PRICES)
    assert (code, error.count("\n")) == (1, 1)
    assert error.startswith("judge: judge.budget=")
    assert f"{spent:.4f} is spent" in error
    assert sum(judge.bought.values()) == bought
    assert step.run(budget=1000, judge_model=PRICES) == (0, "")


def test_a_job_without_an_answer_to_score_asks_nothing(run, simulated_judge, tmp_path) -> None:
    judge = simulated_judge()
    assert run([answer(1, finish_reason="length"), answer(2, split="test")]) == (0, "")
    assert (read_json(tmp_path / "answer_scores/summary.json")["answers"], judge.calls.total()) == (0, 0)
