"""Math problems: numbers are compared as fractions, other expressions by math-verify, words as text."""

import re
from collections.abc import Mapping
from typing import Any

from azdistill.tasks.fields import ask, references, required
from azdistill.tasks.math_process import equal, is_expression
from azdistill.tasks.numbers import NUMBER, number_at_start, number_of, plain_text, same_number
from azdistill.tasks.task import Case
from azdistill.tasks.texts import normalize, stated_answer, without_reasoning

# Characters of an expression. A longer one is no result of a problem.
LONGEST = 500

# A time of day, and quantities of several units: they are no number, and no expression of math-verify.
_TIME = re.compile(r"\b\d{1,2}:[0-5]\d(?!\d)")
_SEVERAL_UNITS = re.compile(r"\W*(?:\d[\d.,]*\s*[A-Za-z]+\W+(?:and\s+)?){1,3}\d[\d.,]*\s*[A-Za-z]+\W*")

# Inline and display math of at most LONGEST characters. A dollar sign of money is followed by other text: "$5 and $10".
_SEGMENT = re.compile(
    r"\$\$(?P<a>[^$]{1,500})\$\$|\\\[(?P<b>.{1,500}?)\\\]|\\\((?P<c>.{1,500}?)\\\)"
    r"|\$(?!\s)(?P<d>[^$\n]{0,500}[^$\s\\])\$(?!\d)",
    re.DOTALL,
)
_TEXT_COMMAND = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_EXPONENT = re.compile(r"\^\s*(-?\d{2,}|-\d)")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_FUNCTIONS = frozenset(
    {"sqrt", "sin", "cos", "tan", "log", "ln", "exp", "pi", "abs", "max", "min", "gcd", "lcm", "mod"}
)

# An answer that starts with an expression without words: "x = 5", "10 - 3 = 7".
_EXPRESSION = re.compile(r"(?:\\[A-Za-z]+|\\.|[A-Za-z](?![A-Za-z])|:(?=\d)|[\d\s.,+*/^=(){}\[\]<>|!%_\u2264\u2265-])+")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: question or problem, and answer or solution, which may contain the steps as in GSM8K and MATH."""
    problem = required(record, "question", "problem")
    question = f"{problem}\nThink step by step, then end with a line that says: The answer is NUMBER."
    return Case(ask(question), references(record, "answer", "solution"))


def answer(text: str) -> str | None:
    """The content of the last \\boxed{}, what "the answer is" states, math at the end, or the last number.

    A number is in lowest terms (`7/2`, `50%`). None for text that is no number, expression or word, such as a time.
    """
    plain = without_reasoning(text)
    boxed = _boxed(plain)
    if boxed is not None:
        return _canonical(boxed)
    stated = stated_answer(plain)
    if stated is not None:
        return _canonical(_segment(stated) or _start_of(stated))
    if "\n" not in plain and _SEVERAL_UNITS.fullmatch(plain):
        return None
    last_line = plain.rpartition("\n")[2]
    if segment := _segment(last_line) or _complete_expression(plain):
        return _canonical(segment)
    return _last_number(plain)


def _boxed(text: str) -> str | None:
    _, marker, rest = text.rpartition("\\boxed{")
    depth = 1
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[:position] if marker else None
    return None


def _segment(text: str) -> str | None:
    """The last piece of inline or display math in a text."""
    segments = [next(group for group in match.groups() if group) for match in _SEGMENT.finditer(text)]
    return segments[-1] if segments else None


def _start_of(stated: str) -> str:
    """The expression or number that a stated answer starts with, or its first number."""
    plain = plain_text(stated)
    if _TIME.match(plain) or _SEVERAL_UNITS.fullmatch(plain):
        return ""
    if number := number_at_start(plain.rpartition("=")[2] if _is_equation(plain) else plain):
        return number
    expression = _EXPRESSION.match(plain)
    if expression and re.search(r"[\dA-Za-z]", expression[0]) and not _WORD.match(plain):
        return expression[0]
    number_inside = NUMBER.search(plain)
    return number_inside[0] if number_inside else ""


def _is_equation(text: str) -> bool:
    """True for "10 - 3 = 7" and "x = 5": an expression up to the last equals sign."""
    left, equals, _ = text.rpartition("=")
    return bool(equals) and bool(_EXPRESSION.fullmatch(left))


def _complete_expression(text: str) -> str | None:
    """A text that is an expression and nothing else: "x^2 + 1", "[0, 5)"."""
    plain = plain_text(text)
    return plain if _EXPRESSION.fullmatch(plain) and re.search(r"[\dA-Za-z]", plain) else None


def _last_number(text: str) -> str | None:
    plain = plain_text(text)
    numbers = list(NUMBER.finditer(plain))
    if not numbers or any(time.start() <= numbers[-1].start() < time.end() for time in _TIME.finditer(plain)):
        return None
    return _canonical(numbers[-1][0])


def _canonical(expression: str) -> str | None:
    """A number in lowest terms, words as text, or an expression that math-verify can parse."""
    plain = plain_text(_TEXT_COMMAND.sub(r" \1 ", expression)).lstrip(" ,;:*_").rstrip(" .,;:*_")
    number = number_of(plain) or number_of(plain.rpartition("=")[2].strip())
    if number is not None:
        return number
    if not plain or _TIME.search(plain) or _SEVERAL_UNITS.fullmatch(plain):
        return None
    if _is_text(plain):
        return normalize(plain)
    latex = plain_text(expression).lstrip(" ,;:").rstrip(" .,;:")
    return latex if len(latex) <= LONGEST and is_expression(_latex(latex)) else None


def _is_text(plain: str) -> bool:
    """True for words, which math-verify would read as products of letters."""
    return any(word.casefold() not in _FUNCTIONS for word in _WORD.findall(re.sub(r"\\[A-Za-z]+", " ", plain)))


def correct(answer: str, reference: str) -> bool:
    same = same_number(answer, reference)
    if same is not None:
        return same
    if _is_text(answer) or _is_text(reference):
        return answer.replace(" ", "") == reference.replace(" ", "")
    return answer == reference or equal(_latex(answer), _latex(reference))


def _latex(answer: str) -> str:
    """An answer for math-verify: a percent sign with a backslash, an exponent of several digits in braces."""
    return _EXPONENT.sub(r"^{\1}", re.sub(r"(?<!\\)%", r"\\%", answer))
