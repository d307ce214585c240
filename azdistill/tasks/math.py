"""Math word problems: the final number is compared."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from azdistill.tasks.fields import ask, references, required
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, stated_answer, without_reasoning

# Relative. Allows for a third that is written as 0.3333333.
TOLERANCE = Fraction(1, 1_000_000)

# A sign after a digit is a minus between two numbers; at most two digits of exponent, so that no text costs gigabytes.
_NUMBER = re.compile(
    r"(?<![\d.])-?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d{1,2}\b)?(?:\s?/\s?\d+)?"
)
_FRACTION = re.compile(r"\\[dt]?frac\{\s*(-?\d+)\s*\}\{\s*(\d+)\s*\}")
_SPACING = re.compile(r"\\[,!;: ]|\\left|\\right|\\?[$%]")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: question or problem, and answer or solution, which may contain the steps as in GSM8K and MATH."""
    problem = required(record, "question", "problem")
    question = f"{problem}\nThink step by step, then end with a line that says: The answer is NUMBER."
    return Case(ask(question), references(record, "answer", "solution"))


def answer(text: str) -> str | None:
    """The content of the last \\boxed{}, the number after "the answer is", or the last number, in lowest terms."""
    plain = _plain(without_reasoning(text))
    boxed = _boxed(plain)
    if boxed is not None:
        return _canonical(boxed) or None
    numbers = _NUMBER.findall(stated_answer(plain) or "")[:1] or _NUMBER.findall(plain)[-1:]
    return _canonical(numbers[0]) if numbers else None


def _plain(text: str) -> str:
    return _FRACTION.sub(r"\1/\2", _SPACING.sub("", text)).replace("\N{MINUS SIGN}", "-")


def _boxed(text: str) -> str | None:
    _, marker, rest = text.rpartition("\\boxed{")
    depth = 1
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:position] if marker else None
    return None


def _canonical(text: str) -> str:
    number = _number(text)
    return normalize(text).replace(" ", "") if number is None else str(number)


def _number(text: str) -> Fraction | None:
    digits = text.replace(",", "").replace(" ", "").removesuffix(".")
    if not _NUMBER.fullmatch(digits):
        return None
    numerator, _, denominator = digits.partition("/")
    try:
        return Fraction(numerator) / Fraction(denominator or 1)
    except (ValueError, ZeroDivisionError):  # Python reads no integer of more than 4,300 digits
        return None


def correct(answer: str, reference: str) -> bool:
    number, expected = _number(answer), _number(reference)
    if number is None or expected is None:
        return answer == reference
    return abs(number - expected) <= abs(expected) * TOLERANCE
