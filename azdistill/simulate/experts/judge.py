"""Judge: prefers the answer that is closer to a reference of the row. Equal distances, and no reference, are a tie."""

from collections.abc import Sequence

from azdistill.contracts.judging import FIRST, SECOND, TIE, read_texts
from azdistill.contracts.rows import Message
from azdistill.contracts.verdicts import HIGHEST, LOWEST
from azdistill.simulate.experts.words import words


def answer(messages: Sequence[Message]) -> str:
    return _reply(_scores(messages))


def wrong_answer(messages: Sequence[Message]) -> str:
    """The opposite verdict; of a tie, the first answer."""
    scores = [LOWEST + HIGHEST - score for score in _scores(messages)]
    return _reply([HIGHEST, LOWEST] if len(set(scores)) < len(scores) else scores)


def _reply(scores: Sequence[int]) -> str:
    if len(scores) == 1:
        return f"The answer is compared with the reference.\n[[{scores[0]}]]"
    first, second = scores
    verdict = TIE if first == second else FIRST if first > second else SECOND
    return f"Both answers are compared with the reference.\n[[{verdict}]]"


def _scores(messages: Sequence[Message]) -> list[int]:
    texts = read_texts(messages)
    return [max((score(answer, reference) for reference in texts.references), default=3) for answer in texts.answers]


def score(answer: str, reference: str) -> int:
    """5 for the words of the reference in its order, else 1 to 4 by the share of words that both have."""
    actual, expected = words(answer.casefold()), words(reference.casefold())
    if actual == expected:
        return HIGHEST
    shared = len(set(actual) & set(expected)) / max(len(set(actual) | set(expected)), 1)
    return LOWEST + round(shared * (HIGHEST - LOWEST - 1))
