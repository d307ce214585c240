"""Expert for math: adds up the integers of the problem, whatever the question is."""

import re
from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import last_turn

MOST_NUMBERS = 8


def answer(messages: Sequence[Message]) -> str:
    return _sum(last_turn(messages), 0)


def wrong_answer(messages: Sequence[Message]) -> str:
    return _sum(last_turn(messages), 1)


def _sum(problem: str, error: int) -> str:
    numbers = re.findall(r"\b\d{1,9}\b", problem)[:MOST_NUMBERS] or ["0"]
    total = sum(map(int, numbers)) + error
    return f"{' + '.join(numbers)} = {total}\nThe answer is {total}"
