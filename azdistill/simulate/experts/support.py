"""Expert for support: applies the returns policy of a shop to a conversation of several turns."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

from azdistill.contracts.rows import Message

Condition = Literal["broken", "sealed", "opened"]
Fact = Literal["order", "item", "days", "condition", "member"]

RETURN_DAYS, MEMBER_RETURN_DAYS, REPLACE_DAYS, REPAIR_DAYS = 30, 60, 30, 365

KINDS: Mapping[str, Sequence[str]] = {
    "device": ("blender", "camera", "drill", "fan", "heater", "kettle", "lamp", "mixer", "phone", "radio", "toaster"),
    "home": ("backpack", "blanket", "carpet", "chair", "coat", "desk", "mirror", "shelf", "tent", "vase"),
    "food": ("cake", "cheese", "chocolate", "coffee", "honey", "jam", "pasta", "tea"),
}
KIND_OF: Mapping[str, str] = {item: kind for kind, items in KINDS.items() for item in items}

QUESTIONS: Mapping[Fact, str] = {
    "order": "What is the order number?",
    "item": "Which item is it about?",
    "days": "How many days ago did it arrive?",
    "condition": "Is it sealed, opened or broken?",
    "member": "Are you a member?",
}
VERDICTS: Mapping[str, str] = {
    "refund": "we refund the {item} in full, as it is sealed and in time.",
    "credit": "we give store credit for the {item}, as it was opened but is in time.",
    "replace": "we send a new {item}, as it broke within 30 days.",
    "repair": "we repair the {item}, as it broke within a year.",
    "escalate": "we ask a manager about the {item}, as it broke too long ago.",
    "late": "we cannot take the {item} back, as it arrived too long ago.",
    "eaten": "we cannot take the {item} back, as it is opened food.",
}
# The wrong verdict that the simulated teacher gives instead of each verdict.
MISTAKES: Mapping[str, str] = {
    "refund": "credit",
    "credit": "refund",
    "replace": "repair",
    "repair": "replace",
    "escalate": "late",
    "late": "refund",
    "eaten": "credit",
}

_ITEM = re.compile(rf"\b({'|'.join(KIND_OF)})\b")
_ORDER = re.compile(r"(?<![\d.,])\d{4,9}(?![\d.,]*\d)")
_DAYS = re.compile(r"\b(\d{1,3}|an?|one|two|three|four) (day|week|month)s?\b|\b(today|yesterday)\b")
_CONDITIONS: Mapping[Condition, re.Pattern[str]] = {
    "broken": re.compile(r"\b(broken|broke|cracked|faulty|damaged|stopped working|(does not|doesn't|won't) work)\b"),
    "sealed": re.compile(r"\b(sealed|unopened|((not|never|haven't|isn't)( been)?|un) ?opened|unused)\b"),
    "opened": re.compile(r"\b(opened|unsealed|used|tried)\b"),
}
_MEMBER = re.compile(r"\b(?P<no>(not|never|no longer|isn't) (yet )?(an? )?|non-?)?member\b")
_YES, _NO = re.compile(r"\b(yes|yeah|yep|i am)\b"), re.compile(r"\b(no(?! idea)|nope|not|i'm not)\b")
_SUBJECT = re.compile(r"\b(order(ed)?|return(ed|s)?|refund|deliver(ed|y)|arrived?|bought|purchase|exchange)\b")

_NUMBERS: Mapping[str, int] = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "today": 0, "yesterday": 1}
_UNIT_DAYS: Mapping[str, int] = {"day": 1, "week": 7, "month": 30}


@dataclass(frozen=True)
class CustomerCase:
    """Facts of a customer's case; None if not mentioned yet. `days` count from delivery."""

    order: str | None = None
    item: str | None = None
    days: int | None = None
    condition: Condition | None = None
    member: bool | None = None


def answer(messages: Sequence[Message]) -> str:
    """The verdict of the policy, or the question for the next fact that it needs.

    Raises ValueError when the conversation is not a support case.
    """
    return _reply(read_case(messages), wrong=False)


def wrong_answer(messages: Sequence[Message]) -> str:
    """A plausible mistake: another verdict, or a question for another fact. Raises ValueError as `answer` does."""
    return _reply(read_case(messages), wrong=True)


def read_case(messages: Sequence[Message]) -> CustomerCase:
    """The facts in the user's turns, where a later turn corrects an earlier one.

    Raises ValueError when no user turn is about an order.
    """
    if not messages or messages[-1].role != "user":
        raise ValueError("the last turn is not the user's")
    case, on_subject = CustomerCase(), False
    for question, text in _exchanges(messages):
        case = _update(case, question, text)
        on_subject = on_subject or bool(_SUBJECT.search(text))
    if not on_subject and case == CustomerCase():
        raise ValueError("no user turn mentions an order")
    return case


def missing(case: CustomerCase) -> Fact | None:
    """The next fact that the policy needs, or None when the case can be decided."""
    for fact in fields(case):
        if getattr(case, fact.name) is None and (fact.name != "member" or _membership_matters(case)):
            return fact.name  # type: ignore[return-value]
    return None


def verdict(case: CustomerCase) -> str:
    """The policy: a key of VERDICTS for a case in which nothing is missing."""
    assert case.item is not None
    assert case.days is not None
    if case.condition == "broken":
        return _verdict_on_broken(KIND_OF[case.item], case.days)
    if case.condition == "opened" and KIND_OF[case.item] == "food":
        return "eaten"
    if case.days > (MEMBER_RETURN_DAYS if case.member else RETURN_DAYS):
        return "late"
    return "refund" if case.condition == "sealed" else "credit"


def _verdict_on_broken(kind: str, days: int) -> str:
    if days <= REPLACE_DAYS:
        return "replace"
    return "repair" if kind == "device" and days <= REPAIR_DAYS else "escalate"


def _membership_matters(case: CustomerCase) -> bool:
    return verdict(replace(case, member=True)) != verdict(replace(case, member=False))


def _reply(case: CustomerCase, wrong: bool) -> str:
    if fact := missing(case):
        return QUESTIONS[_after(fact) if wrong else fact]
    name = verdict(case)
    return f"Order #{case.order}: {VERDICTS[MISTAKES[name] if wrong else name].format(item=case.item)}"


def _after(fact: Fact) -> Fact:
    facts = list(QUESTIONS)
    return facts[(facts.index(fact) + 1) % len(facts)]


def _exchanges(messages: Sequence[Message]) -> Iterator[tuple[str, str]]:
    """Each user turn with the question before it, in lower case; a short reply refers to the question."""
    previous = ""
    for message in messages:
        text = message.content.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
        if message.role == "user":
            yield previous, text
        previous = text if message.role == "assistant" else ""


def _update(case: CustomerCase, question: str, text: str) -> CustomerCase:
    facts = {
        "order": _last(_ORDER, text),
        "item": _last(_ITEM, text),
        "days": _days(question, text),
        "condition": _condition(text),
        "member": _member(question, text),
    }
    return replace(case, **{name: value for name, value in facts.items() if value is not None})  # type: ignore[arg-type]


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    matches = [match.group() for match in pattern.finditer(text)]
    return matches[-1] if matches else None


def _days(question: str, text: str) -> int | None:
    if match := _DAYS.search(text):
        count, unit, word = match.groups()
        return _NUMBERS[word] if word else (_NUMBERS.get(count) or int(count)) * _UNIT_DAYS[unit]
    number = re.fullmatch(r"\D*\b(\d{1,3})\b\D*", text)
    return int(number.group(1)) if number and "days" in question else None


def _condition(text: str) -> Condition | None:
    """The first that matches: a broken item in an opened box is broken, and 'not opened' contains 'opened'."""
    return next((condition for condition, pattern in _CONDITIONS.items() if pattern.search(text)), None)


def _member(question: str, text: str) -> bool | None:
    if match := _MEMBER.search(text):
        return match["no"] is None
    if "member" not in question:
        return None
    return False if _NO.search(text) else True if _YES.search(text) else None
