"""Answers of the experts have the form of their task."""

from typing import Any, get_args

import pytest

from azdistill.contracts.judging import render
from azdistill.contracts.rows import Message
from azdistill.contracts.simulation import ExpertName
from azdistill.contracts.task import TaskName
from azdistill.simulate.serving import EXPERTS
from azdistill.tasks.registry import TASKS

ROWS: dict[TaskName, list[dict[str, Any]]] = {
    "nli": [
        {"premise": "A man plays a guitar.", "hypothesis": "A man plays."},
        {"premise": "A man plays a guitar.", "hypothesis": "Nobody plays a guitar."},
        {"premise": "A man plays a guitar.", "hypothesis": "Dogs bark loudly outside."},
    ],
    "qa": [{"question": "Who wrote it?", "context": "Jane Austen wrote Emma."}, {"question": "a?"}, {"question": "?"}],
    "math": [{"question": "Ann has 3 pens and buys 4. How many?"}, {"question": "How many are none?"}],
    "summarization": [{"document": "One two three. " * 40}, {"document": "x"}],
    "conversation": [{"prompt": "Hi, where is my order?"}, {"prompt": "\N{GRINNING FACE}"}],
}
CASES = [(task, row) for task, rows in ROWS.items() for row in rows]


def test_every_task_has_an_expert_and_every_name_a_module() -> None:
    assert set(EXPERTS) == set(get_args(ExpertName))
    assert set(get_args(TaskName)) <= set(EXPERTS)
    assert set(ROWS) == set(get_args(TaskName))


@pytest.mark.parametrize(("task", "row"), CASES)
def test_right_and_wrong_answers_are_valid_for_the_task(task: TaskName, row: dict[str, Any]) -> None:
    messages = TASKS[task].case(row).messages
    right, wrong = EXPERTS[task].answer(messages), EXPERTS[task].wrong_answer(messages)
    assert TASKS[task].answer(right) is not None
    assert TASKS[task].answer(wrong) is not None
    assert right == EXPERTS[task].answer(messages)


@pytest.mark.parametrize(("task", "row"), [case for case in CASES if case[0] in ("nli", "math")])
def test_a_wrong_answer_is_scored_as_wrong(task: TaskName, row: dict[str, Any]) -> None:
    messages = TASKS[task].case(row).messages
    right, wrong = (
        TASKS[task].answer(answer(messages)) for answer in (EXPERTS[task].answer, EXPERTS[task].wrong_answer)
    )
    assert right is not None
    assert wrong is not None
    assert not TASKS[task].correct(wrong, right)


def test_the_answers_of_inference_differ() -> None:
    assert len({EXPERTS["nli"].answer(TASKS["nli"].case(row).messages) for row in ROWS["nli"]}) == 3


@pytest.mark.parametrize("task", get_args(TaskName))
def test_rows_in_the_form_of_messages_are_answered(task: TaskName) -> None:
    turns = [("system", "Be brief."), ("user", "Is 4 more than 3?"), ("assistant", "Yes."), ("user", "Why?")]
    messages = [Message(role=role, content=content) for role, content in turns]  # type: ignore[arg-type]
    assert TASKS[task].answer(EXPERTS[task].answer(messages)) is not None


JUDGED = [
    (("It is here", "Who knows"), "[[A]]", "[[B]]"),
    (("Who knows", "it IS here!"), "[[B]]", "[[A]]"),
    (("Who knows", "No one does"), "[[tie]]", "[[A]]"),
    (("It is near", "Who knows"), "[[A]]", "[[B]]"),
    (("It is here",), "[[5]]", "[[1]]"),
    (("Who knows",), "[[1]]", "[[5]]"),
]


@pytest.mark.parametrize(("answers", "right", "wrong"), JUDGED)
def test_a_simulated_judge_prefers_the_answer_that_is_closer_to_the_reference(
    answers: tuple[str, ...], right: str, wrong: str
) -> None:
    messages = render([Message(role="user", content="Where?")], ["It is here"], answers, "The right place.")
    judge = EXPERTS["judge"]
    assert judge.answer(messages).endswith(right)
    assert judge.wrong_answer(messages).endswith(wrong)
    assert judge.answer(render([], [], answers, "")).endswith("[[tie]]" if len(answers) == 2 else "[[3]]")
    with pytest.raises(ValueError, match="judge"):
        judge.answer([Message(role="user", content="Where?")])
