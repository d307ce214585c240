"""Answers of the three models are joined by test row; folders made from other prompts are refused."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.evaluation.answers import AnswerText, align


def test_rows_are_in_the_order_of_the_prompts_and_only_test_rows_count(build):
    prompts = [build.prompt(3), build.prompt(1, split="train"), build.prompt(2)]
    completions = [build.completion(2), build.completion(1, split="train"), build.completion(3, "entailment")]
    predictions = {role: [build.prediction(2), build.prediction(3)] for role in ("baseline", "student")}
    rows = align(prompts, completions, predictions)
    assert [row.id for row in rows] == [f"{3:016x}", f"{2:016x}"]
    assert rows[0].answers["teacher"].text == "entailment"


def test_a_missing_answer_is_empty_and_a_truncated_one_is_incomplete(build):
    prompts = [build.prompt(n) for n in (1, 2, 3)]
    completions = [build.completion(2, finish_reason="length"), build.completion(3)]
    predictions = {role: [build.prediction(n, truncated=n == 3) for n in (1, 2, 3)] for role in ("baseline", "student")}
    rows = align(prompts, completions, predictions)
    assert [row.answers["teacher"] for row in rows] == [
        AnswerText(),
        AnswerText("neutral"),
        AnswerText("neutral", complete=True),
    ]
    assert [row.answers["student"].complete for row in rows] == [True, True, False]


@pytest.mark.parametrize("folder", ["student", "baseline", "prompts"])
def test_a_row_that_occurs_twice_is_refused(build, folder):
    numbers = {"student": [1, 2], "baseline": [1, 2], "prompts": [1, 2]} | {folder: [1, 2, 2]}
    predictions = {role: [build.prediction(n) for n in numbers[role]] for role in ("baseline", "student")}
    with pytest.raises(DataError) as raised:
        align([build.prompt(n) for n in numbers["prompts"]], [build.completion(n) for n in (1, 2)], predictions)
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject) == ("duplicate_rows", folder)
    assert problem.message == "test row '0000000000000002' occurs 2 times (1 such rows)"


@pytest.mark.parametrize(
    ("changed", "folder", "message"),
    [
        ({"student": [1]}, "student", "no answer to test row '0000000000000002' (1 such rows)"),
        ({"baseline": []}, "baseline", "no answer to test row '0000000000000001' (2 such rows)"),
        ({"student": [1, 2, 7]}, "student", "an answer to unknown test row '0000000000000007' (1 such rows)"),
        ({"completions": [1, 9]}, "completions", "an answer to unknown test row '0000000000000009' (1 such rows)"),
    ],
)
def test_folders_made_from_other_prompts_are_refused_and_a_row_is_named(build, changed, folder, message):
    numbers = {"completions": [1, 2], "student": [1, 2], "baseline": [1, 2], **changed}
    predictions = {role: [build.prediction(n) for n in numbers[role]] for role in ("baseline", "student")}
    with pytest.raises(DataError) as raised:
        align([build.prompt(1), build.prompt(2)], [build.completion(n) for n in numbers["completions"]], predictions)
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject, problem.message) == ("other_prompts", folder, message)
    assert problem.fix
