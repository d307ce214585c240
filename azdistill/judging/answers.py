"""Scores of a teacher's answers: which answers a judge reads, and its score of each."""

from collections.abc import Iterable, Iterator, Sequence

from azdistill.contracts.judging import render
from azdistill.contracts.rows import Completion, Message, gold_texts
from azdistill.contracts.verdicts import AnswerScore
from azdistill.judging.readings import read_score
from azdistill.tasks.texts import without_reasoning


def judged_answers(completions: Iterable[Completion]) -> Iterator[Completion]:
    """The answers that may become training or validation rows: complete and not blank. Others are not paid for."""
    return (
        row
        for row in completions
        if row.split != "test" and row.finish_reason == "stop" and without_reasoning(row.completion)
    )


def question(row: Completion, rubric: str) -> tuple[Message, ...]:
    """The prompt that asks for a score of an answer, which is shown without its reasoning."""
    return render(row.messages, gold_texts(row.gold), (without_reasoning(row.completion),), rubric)


def answer_scores(rows: Sequence[Completion], replies: Sequence[str | None]) -> list[AnswerScore]:
    """The score of each answer, from the complete reply about it. None: there is no complete reply."""
    return [
        AnswerScore(key=row.key, score=None if reply is None else read_score(reply), reply=reply)
        for row, reply in zip(rows, replies, strict=True)
    ]
