"""Verdicts on at least 200 answers, each with its source: what models wrote, data of packages, and documented forms.

cases.jsonl has a line for each: task, answer, reference (or a list of them), right, source, and labels of task nli.
`right` is what docs/metrics.md says that accuracy means for the task.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from azdistill.evaluation.answers import AnswerText, EvaluationRow
from azdistill.evaluation.scores import extract
from azdistill.metrics import accuracy
from azdistill.tasks.registry import task_of

CASES = [json.loads(line) for line in (Path(__file__).parent / "cases.jsonl").read_text(encoding="utf-8").splitlines()]


def verdict(case: dict[str, Any]) -> bool | None:
    """True if the evaluation counts the answer as right."""
    gold = case["reference"] if isinstance(case["reference"], str) else tuple(case["reference"])
    answer = AnswerText(case["answer"], complete=True)
    row = EvaluationRow("1", gold, {"teacher": AnswerText(), "baseline": AnswerText(), "student": answer})
    answers = extract(row, task_of(case["task"], labels=case.get("labels")), "gold")
    return accuracy.score(answers["student"])


def test_every_verdict_is_right() -> None:
    wrong = [case for case in CASES if verdict(case) is not case["right"]]
    assert wrong == []


def test_the_table_covers_every_task_with_right_and_wrong_answers() -> None:
    counts = Counter((case["task"], case["right"]) for case in CASES)
    assert len(CASES) >= 200
    assert {task for task, _ in counts} == {"math", "qa", "nli", "conversation", "summarization"}
    assert all(counts[task, True] and counts[task, False] for task, _ in counts)
    assert all(case["source"] for case in CASES)
    assert len({json.dumps([case["task"], case["answer"], case["reference"]]) for case in CASES}) > 240
