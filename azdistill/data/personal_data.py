"""Find personal data by patterns, with the checksum of each kind that has one, and replace it by tags.

Names and addresses have no pattern and are not found. Libraries that find them download models, which a job on Azure
may not; of those without models none is maintained.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from string import ascii_uppercase

from azdistill.contracts.rows import Gold
from azdistill.data.cases import SourcedCase


def luhn(text: str) -> bool:
    """The check digit of payment cards. Source: ISO/IEC 7812-1, annex B"""
    digits = [int(digit) for digit in reversed(_digits(text))]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def iban(text: str) -> bool:
    """The check digits of an IBAN. Source: ISO 13616"""
    compact = text.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def ip(text: str) -> bool:
    """An address of IPv4 or IPv6."""
    try:
        return bool(ip_address(text))
    except ValueError:
        return False


def cnp(text: str) -> bool:
    """The check digit and the date of a Romanian personal code. Source: Legea 105/1996, HG 64/2011"""
    check = sum(int(digit) * weight for digit, weight in zip(text, (2, 7, 9, 1, 4, 6, 3, 5, 8, 2, 7, 9), strict=False))
    return check % 11 % 10 + (check % 11 == 10) == int(text[12]) and _is_date(text[3:5], text[5:7])


def pesel(text: str) -> bool:
    """The check digit and the date of a Polish personal number. The month has the century: 21 to 32 from 2000 on."""
    check = sum(int(digit) * weight for digit, weight in zip(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3), strict=False))
    return -check % 10 == int(text[10]) and _is_date(str(int(text[2:4]) % 20), text[4:6])


def dni(text: str) -> bool:
    """The letter of a Spanish DNI or NIE. Source: Real Decreto 1553/2005"""
    number = int(text[:-1].translate(str.maketrans("XYZ", "012")))
    return "TRWAGMYFPDXBNJZSQVHLCKE"[number % 23] == text[-1]


def codice_fiscale(text: str) -> bool:
    """The check letter of an Italian tax code. Source: Decreto ministeriale 23 dicembre 1976"""
    odd = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
    values = [int(letter) if letter.isdigit() else ascii_uppercase.index(letter) for letter in text[:-1]]
    return ascii_uppercase[(sum(odd[value] for value in values[::2]) + sum(values[1::2])) % 26] == text[-1]


def ssn(text: str) -> bool:
    """A US social security number, whose parts are never zero. Source: 20 CFR 422.103"""
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def phone(text: str) -> bool:
    """The number of digits of a telephone number. Source: ITU-T E.164"""
    return 9 <= len(_digits(text)) <= 15


def _is_date(month: str, day: str) -> bool:
    return 1 <= int(month) <= 12 and 1 <= int(day) <= 31


def _digits(text: str) -> str:
    return "".join(filter(str.isdecimal, text))


def _always(text: str) -> bool:
    return True


@dataclass(frozen=True)
class _Pattern:
    kind: str
    pattern: re.Pattern[str]
    is_valid: Callable[[str], bool]


# In the order in which they are looked for: a part of an IBAN may look like a telephone number.
PATTERNS = [
    _Pattern(kind, re.compile(pattern), is_valid)
    for kind, pattern, is_valid in (
        ("email", r"(?<![\w.+-])[\w.+-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])", _always),
        ("iban", r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)", iban),
        ("ip_address", r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\d)", ip),
        ("ip_address", r"(?<![\w:.])[0-9A-Fa-f]{3,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])", ip),
        ("credit_card", r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])", luhn),
        ("national_id", r"(?<!\w)[1-8]\d{12}(?!\w)", cnp),
        ("national_id", r"(?<!\w)\d{11}(?!\w)", pesel),
        ("national_id", r"(?<!\w)[XYZ\d]\d{7}[A-Z](?!\w)", dni),
        ("national_id", r"(?<!\w)[A-Z]{6}\d{2}[A-EHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", codice_fiscale),
        ("national_id", r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])", ssn),
        # International; North American; national with a leading zero, in groups or a mobile number without.
        ("phone", r"(?<![\w+])(?:\+|00)[1-9](?:[ ./-]?\(?\d\)?){7,14}(?!\w)", phone),
        ("phone", r"(?<![\w.-])(?:\(\d{3}\) ?|\d{3}[ .-])\d{3}[ .-]\d{4}(?![\w-])", phone),
        ("phone", r"(?<![\w.-])\(?0[1-9]\d{0,3}\)?[ ./-]\d{2,8}(?:[ ./-]\d{2,4}){0,4}(?![\w-])", phone),
        ("phone", r"(?<![\w.-])0[67]\d{8}(?![\w-])", phone),
    )
]
# Digits of the shortest number, an IP address.
FEWEST_DIGITS = 4
_DIGIT = re.compile(r"\d")


def redact_text(text: str, counts: Counter[str]) -> str:
    """The text with a tag such as <EMAIL> for each value, which is counted by its kind."""
    has_numbers = len(_DIGIT.findall(text)) >= FEWEST_DIGITS
    for pattern in PATTERNS:
        if not (has_numbers if pattern.kind != "email" else "@" in text):
            continue

        def tag(match: re.Match[str], pattern: _Pattern = pattern) -> str:
            if not pattern.is_valid(match[0]):
                return match[0]
            counts[pattern.kind] += 1
            return f"<{pattern.kind.upper()}>"

        text = pattern.pattern.sub(tag, text)
    return text


def redact_case(case: SourcedCase, counts: Counter[str]) -> SourcedCase:
    """The case with tags in its turns, its reference and its columns."""
    messages = tuple(
        message.model_copy(update={"content": redact_text(message.content, counts)}) for message in case.case.messages
    )
    columns = {name: redact_text(value, counts) for name, value in case.columns.items()}
    redacted = replace(case.case, messages=messages, gold=_redact_gold(case.case.gold, counts))
    return replace(case, case=redacted, columns=columns)


def _redact_gold(gold: Gold | None, counts: Counter[str]) -> Gold | None:
    if gold is None or isinstance(gold, str):
        return gold and redact_text(gold, counts)
    return tuple(redact_text(text, counts) for text in gold)
