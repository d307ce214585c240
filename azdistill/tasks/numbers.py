"""Numbers as people and models write them: 1,234.5, 3 1/2, 50%, 2 * 10^6, 1.2 million, 12 cm."""

import re
from fractions import Fraction

# Relative. Allows for a third that is written as 0.3333333.
TOLERANCE = Fraction(1, 1_000_000)

_MAGNITUDES = {"hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12}

# In LaTeX and Unicode: spaces, fractions of numbers, signs, and marks around a number that do not change it.
_SPACES = re.compile(
    r"\\[,!;: ]|\\quad|~|\\(?:left|right)(?![A-Za-z])|\\displaystyle|[\N{NO-BREAK SPACE}\N{THIN SPACE}]"
)
_MONEY = re.compile(r"\\?[$\N{EURO SIGN}\N{POUND SIGN}\N{YEN SIGN}\N{INDIAN RUPEE SIGN}]|\*\*")
_PYTHON_POWER = re.compile(r"(?<=[\w)])\*\*(?=[\w(-])")
_FRACTION = re.compile(r"\\[dtc]?frac\s*(?:\{\s*(-?\d+)\s*\}|(\d))\s*(?:\{\s*(\d+)\s*\}|(\d))")
_SIGNS = str.maketrans(
    dict.fromkeys("\N{MINUS SIGN}\N{EN DASH}\N{HYPHEN}\N{NON-BREAKING HYPHEN}", "-")
    | {"\N{MULTIPLICATION SIGN}": "\\times ", "\N{DIVISION SIGN}": "/"}
)
_GROUPS = re.compile(r"(?<=\d)(?:\{,\}|,| )(?=\d{3}(?!\d))")

_DIGITS = r"(?:\d{1,3}(?:(?:,|\{,\})\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+"
_TIMES_TEN = r"\s*(?:\\times|\\cdot|\*)\s*10\s*\^\s*\{?\s*"
_PARTS = re.compile(
    rf"(?P<sign>-?)(?P<digits>{_DIGITS})"
    # At most two digits of exponent, so that no text costs gigabytes.
    rf"(?:[eE](?P<e>[+-]?\d{{1,2}}\b)|{_TIMES_TEN}(?P<power>-?\d{{1,2}})\s*\}}?)?"
    r"(?:\s+(?P<n>\d+)\s?/\s?(?P<m>\d+)|\s?/\s?(?P<d>\d+))?"
    r"(?:\s*(?P<percent>\\?%|[Pp]er\s?cent\b|percentage\b)"
    rf"|\s+(?P<magnitude>{'|'.join(_MAGNITUDES)})\b)?"
)
# A number in a text. A sign after a digit is a minus between two numbers.
NUMBER = re.compile(rf"(?<![\d.]){_PARTS.pattern}")
# What makes a number a part of an expression, when it follows the number.
_OPERATOR = re.compile(r"\s*(?:[-+*/^=<>\\]|:(?=\d)|,\s*-?\d|\((?![A-Za-z]{2}))|[A-Za-z](?![A-Za-z])")

# What may follow a number without being part of it: degrees, and a unit with an optional power.
_UNIT = re.compile(
    r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\\degree|\N{DEGREE SIGN}\s?[CF]?|\\?%)?"
    r"(?:\s+[mgshLlVANJWKCFn]|\s*[A-Za-z]{2,}(?:\s+[A-Za-z]+)*)?(?:/\s?[A-Za-z]+)?(?:\s*\^\s*\{?[23]\}?|[\u00b2\u00b3])?\s*\.?\s*"
)


def plain_text(text: str) -> str:
    """A text with plain signs and numbers: no LaTeX spaces, money signs, bold print or fractions of two numbers."""
    text = _MONEY.sub("", _PYTHON_POWER.sub("^", _SPACES.sub(" ", text.translate(_SIGNS))))
    return _GROUPS.sub("", _FRACTION.sub(_mixed, text)).strip()


def _mixed(match: re.Match[str]) -> str:
    r"""`1/2` for \frac{1}{2}, with a space before it for the mixed fraction 3\frac{1}{2}."""
    numerator, denominator = match[1] or match[2], match[3] or match[4]
    before = match.string[: match.start()].rstrip()[-1:]
    return f"{' ' if before.isdigit() else ''}{numerator}/{denominator}"


def number_at_start(text: str) -> str | None:
    """The number that a text starts with, if an operator or letter does not make it part of an expression."""
    match = NUMBER.match(text.lstrip(" *_:"))
    if match is None or _OPERATOR.match(match.string[match.end() :]):
        return None
    return match[0]


def number_of(text: str) -> str | None:
    """A number with an optional unit in lowest terms, `7/2` or `50%`; None for any other text."""
    match = _PARTS.match(text)
    if match is None or not _UNIT.fullmatch(text[match.end() :]):
        return None
    try:
        value = str(_value(match))
    except (ValueError, ZeroDivisionError):  # Python reads and writes no integer of more than 4,300 digits
        return None
    return f"{value}%" if match["percent"] else value


def _value(match: re.Match[str]) -> Fraction:
    value = Fraction(match["digits"].replace(",", "").replace("{", "").replace("}", ""))
    value *= Fraction(10) ** int(match["e"] or match["power"] or 0)
    if match["m"]:
        value += Fraction(int(match["n"]), int(match["m"]))
    value /= Fraction(match["d"] or 1)
    if match["magnitude"]:
        value *= 10 ** _MAGNITUDES[match["magnitude"]]
    return -value if match["sign"] else value


def same_number(answer: str, reference: str) -> bool | None:
    """True if two results of `number_of` are equal; None if one is no number. 50% is 50 and also 0.5."""
    try:
        values = [Fraction(text.removesuffix("%")) for text in (answer, reference)]
    except (ValueError, ZeroDivisionError):
        return None
    value, expected = values
    if answer.endswith("%") == reference.endswith("%"):
        return _close(value, expected)
    percent, other = (value, expected) if answer.endswith("%") else (expected, value)
    return _close(percent, other) or _close(percent / 100, other)


def _close(value: Fraction, expected: Fraction) -> bool:
    return abs(value - expected) <= abs(expected) * TOLERANCE
