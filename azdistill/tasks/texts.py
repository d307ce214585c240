"""Helpers of tasks for reading answers."""

import re
import unicodedata

_STATED = re.compile(r"(?:\b(?:answer|label)\b\W{0,4}(?:is\b|:|=)|####)\W{0,2}?[ \t]*(\S[^\n]*)", re.IGNORECASE)


def without_reasoning(text: str) -> str:
    """The answer without a reasoning trace in <think> before it; empty when the trace never ends."""
    if "</think>" in text:
        return text.rpartition("</think>")[2].strip()
    return "" if text.lstrip().startswith("<think>") else text.strip()


def stated_answer(text: str) -> str | None:
    """The rest of the last line that contains "answer: ...", "the answer is ..." or "#### ..."."""
    answers = _STATED.findall(text)
    return str(answers[-1]).strip() if answers else None


def normalize(text: str) -> str:
    """Case-folded, with one space for any white space."""
    return " ".join(text.casefold().split())


class _Separated(dict[int, str]):
    """Translation table: letters, digits and marks stay, and everything else becomes a space.

    A character of a script without spaces between words becomes a word of its own.
    """

    # Thai to Myanmar, Khmer, kana, and the ideographs of Chinese and Japanese.
    UNSPACED = re.compile("[\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_word = unicodedata.category(character)[0] in "LNM"
        text = f" {character} " if self.UNSPACED.match(character) else character
        return self.setdefault(code, text if is_word else " ")


_SEPARATED = _Separated()


def words(text: str) -> list[str]:
    """The words of a text in any script, case-folded and without punctuation."""
    return unicodedata.normalize("NFKC", text).casefold().translate(_SEPARATED).split()
