"""The rehearsal expert of math: it adds up the whole numbers of the problem, whatever is asked. It knows nothing."""

import re
from collections.abc import Sequence

from azdistill.contracts.rows import Message
from azdistill.simulate.experts.words import asked

MOST_NUMBERS = 8


def answer(messages: Sequence[Message]) -> str:
    return _worked(asked(messages), 0)


def wrong_answer(messages: Sequence[Message]) -> str:
    return _worked(asked(messages), 1)


def _worked(problem: str, error: int) -> str:
    numbers = re.findall(r"\b\d{1,9}\b", problem)[:MOST_NUMBERS] or ["0"]
    total = sum(map(int, numbers)) + error
    return f"{' + '.join(numbers)} = {total}\nThe answer is {total}"
