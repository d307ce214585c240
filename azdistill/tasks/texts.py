"""Helpers of tasks for reading answers."""

import re
import unicodedata
from collections.abc import Callable

from azdistill.contracts.reasoning import END_THINK, THINK

_STATED = re.compile(r"(?:\b(?:answer|label)\b\W{0,4}(?:is\b|:|=)|####)\W{0,2}?[ \t]*(\S[^\n]*)", re.IGNORECASE)


def without_reasoning(text: str) -> str:
    """The answer without a reasoning trace in <think> before it; empty when the trace never ends."""
    if END_THINK in text:
        return text.rpartition(END_THINK)[2].strip()
    return "" if text.lstrip().startswith(THINK) else text.strip()


def stated_answer(text: str) -> str | None:
    """The rest of the last line that contains "answer: ...", "the answer is ..." or "#### ..."."""
    answers = _STATED.findall(text)
    return str(answers[-1]).strip() if answers else None


def normalize(text: str) -> str:
    """Case-folded, with one space for any white space."""
    return " ".join(text.casefold().split())


class Translation(dict[int, str]):
    """A table for `str.translate` that asks `rule` once for each character."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, self._rule(chr(code)))


# Scripts without spaces between words: Thai to Myanmar, Khmer, kana, and the ideographs of Chinese and Japanese.
_UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")


def _as_word(character: str) -> str:
    """Letters, digits and marks stay; in a script without spaces each is a word; everything else becomes a space."""
    if unicodedata.category(character)[0] not in "LNM":
        return " "
    return f" {character} " if _UNSPACED.match(character) else character


_WORDS = Translation(_as_word)


def words(text: str) -> list[str]:
    """The words of a text in any script, case-folded and without punctuation."""
    return spaced_words(text).split()


def spaced_words(text: str) -> str:
    """The text of `words` before it is split: words with one or more spaces between them."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_WORDS)
