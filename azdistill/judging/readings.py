"""Read the verdicts in a judge's replies."""

import re
from collections.abc import Callable, Mapping, Sequence

from azdistill.contracts.judging import FIRST, SECOND, TIE
from azdistill.contracts.verdicts import HIGHEST, LOWEST, JudgeMode, Preference, Reading, Verdict
from azdistill.judging.cases import JudgeCase
from azdistill.tasks.texts import without_reasoning

_BRACKETS = re.compile(r"\[\[\s*([^\[\]\n]{1,20}?)\s*\]\]")
_SCORE = re.compile(rf"(\d(?:\.\d+)?)(?:\s*/\s*{HIGHEST})?")
_PREFERENCES: Mapping[str, Preference] = {FIRST.casefold(): "first", SECOND.casefold(): "second", TIE: "tie"}


def read_preference(reply: str) -> Preference | None:
    """The preferred answer in the order of the prompt; None without a clear verdict."""
    verdict = _last_line_verdict(reply, lambda text: _PREFERENCES.get(text.casefold()))
    return verdict if verdict in ("first", "second", "tie") else None


def read_score(reply: str) -> float | None:
    """The score; None without one from 1 to 5."""
    verdict = _last_line_verdict(reply, _score)
    return verdict if isinstance(verdict, float) else None


def _score(text: str) -> float | None:
    match = _SCORE.fullmatch(text)
    return float(match[1]) if match and LOWEST <= float(match[1]) <= HIGHEST else None


def _last_line_verdict(reply: str, read: Callable[[str], Reading | None]) -> Reading | None:
    """The verdict in the last line, which has to be the only one there.

    Earlier lines do not count: they may quote an answer that contains a verdict.
    """
    lines = without_reasoning(reply).splitlines() or [""]
    verdicts = {read(text) for text in _BRACKETS.findall(lines[-1])}
    return verdicts.pop() if len(verdicts) == 1 else None


def verdict(case: JudgeCase, replies: Sequence[str | None], mode: JudgeMode) -> Verdict:
    """The verdict on a case, from the complete reply to each of its prompts. None: there is no complete reply."""
    if case.known is not None:
        return _verdict(case, (), case.known, ())
    if mode == "score":
        score = None if replies[0] is None else read_score(replies[0])
        return _verdict(case, (score,), score, replies)
    first, second = (None if reply is None else read_preference(reply) for reply in replies)
    readings = (first, _swapped(second))
    if None in readings:
        return _verdict(case, readings, None, replies)
    return _verdict(case, readings, readings[0] if readings[0] == readings[1] else "tie", replies)


def _verdict(
    case: JudgeCase, readings: tuple[Reading | None, ...], reading: Reading | None, replies: Sequence[str | None]
) -> Verdict:
    return Verdict(
        id=case.row.id,
        models=case.models,
        answers=case.answers,
        readings=readings,
        verdict=reading,
        replies=tuple(replies),
        human=case.human,
    )


def _swapped(preference: Preference | None) -> Preference | None:
    swapped: Mapping[Preference, Preference] = {"first": "second", "second": "first", "tie": "tie"}
    return preference and swapped[preference]
