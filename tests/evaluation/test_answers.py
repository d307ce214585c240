"""Answers of the three models are joined by test row; folders made from other prompts are refused."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.evaluation.answers import AnswerText, align


def test_rows_are_in_the_order_of_the_prompts_and_only_test_rows_count(made):
    prompts = [made.prompt(3), made.prompt(1, split="train"), made.prompt(2)]
    completions = [made.completion(2), made.completion(1, split="train"), made.completion(3, "entailment")]
    ours = {who: [made.prediction(2), made.prediction(3)] for who in ("baseline", "student")}
    rows = align(prompts, completions, ours)
    assert [row.id for row in rows] == [f"{3:016x}", f"{2:016x}"]
    assert rows[0].answers["teacher"].text == "entailment"


def test_a_missing_answer_is_empty_and_a_truncated_one_is_incomplete(made):
    prompts = [made.prompt(n) for n in (1, 2, 3)]
    completions = [made.completion(2, finish_reason="length"), made.completion(3)]
    ours = {who: [made.prediction(n, truncated=n == 3) for n in (1, 2, 3)] for who in ("baseline", "student")}
    rows = align(prompts, completions, ours)
    assert [row.answers["teacher"] for row in rows] == [
        AnswerText(),
        AnswerText("neutral"),
        AnswerText("neutral", complete=True),
    ]
    assert [row.answers["student"].complete for row in rows] == [True, True, False]


@pytest.mark.parametrize(
    ("changed", "folder", "message"),
    [
        ({"student": [1]}, "student", "no answer to test row '0000000000000002' (1 such rows)"),
        ({"baseline": []}, "baseline", "no answer to test row '0000000000000001' (2 such rows)"),
        ({"student": [1, 2, 7]}, "student", "an answer to unknown test row '0000000000000007' (1 such rows)"),
        ({"completions": [1, 9]}, "completions", "an answer to unknown test row '0000000000000009' (1 such rows)"),
    ],
)
def test_folders_made_from_other_prompts_are_refused_and_a_row_is_named(made, changed, folder, message):
    numbers = {"completions": [1, 2], "student": [1, 2], "baseline": [1, 2], **changed}
    predictions = {role: [made.prediction(n) for n in numbers[role]] for role in ("baseline", "student")}
    with pytest.raises(DataError) as raised:
        align([made.prompt(1), made.prompt(2)], [made.completion(n) for n in numbers["completions"]], predictions)
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject, problem.message) == ("other_prompts", folder, message)
    assert problem.fix
