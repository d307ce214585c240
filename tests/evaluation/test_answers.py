"""The three answers to each test row, side by side, and folders that don't belong together."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.evaluation.answers import Answer, align


def test_rows_stand_in_the_order_of_the_prompts_and_only_test_rows_count(made):
    prompts = [made.prompt(3), made.prompt(1, split="train"), made.prompt(2)]
    completions = [made.completion(2), made.completion(1, split="train"), made.completion(3, "entailment")]
    ours = {who: [made.prediction(2), made.prediction(3)] for who in ("baseline", "student")}
    rows = align(prompts, completions, ours)
    assert [row.id for row in rows] == [f"{3:016x}", f"{2:016x}"]
    assert rows[0].answers["teacher"].text == "entailment"


def test_a_row_the_teacher_was_refused_is_blank_and_an_answer_cut_off_is_not_whole(made):
    prompts = [made.prompt(n) for n in (1, 2, 3)]
    completions = [made.completion(2, finish_reason="length"), made.completion(3)]
    ours = {who: [made.prediction(n, truncated=n == 3) for n in (1, 2, 3)] for who in ("baseline", "student")}
    rows = align(prompts, completions, ours)
    assert [row.answers["teacher"] for row in rows] == [Answer(), Answer("neutral"), Answer("neutral", whole=True)]
    assert [row.answers["student"].whole for row in rows] == [True, True, False]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"student": [1]}, "student: no answer to test row '0000000000000002' (1 rows like it)"),
        ({"baseline": []}, "baseline: no answer to test row '0000000000000001' (2 rows like it)"),
        ({"student": [1, 2, 7]}, "student: an answer to unknown test row '0000000000000007'"),
        ({"completions": [1, 9]}, "completions: an answer to unknown test row '0000000000000009'"),
    ],
)
def test_folders_of_other_prompts_are_refused_with_a_row_named(made, changed, said):
    given = {"completions": [1, 2], "student": [1, 2], "baseline": [1, 2], **changed}
    ours = {who: [made.prediction(n) for n in given[who]] for who in ("baseline", "student")}
    with pytest.raises(DataError) as found:
        align([made.prompt(1), made.prompt(2)], [made.completion(n) for n in given["completions"]], ours)
    assert said in str(found.value)
    assert "make all folders from the same prompts" in str(found.value)
