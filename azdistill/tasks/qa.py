"""Question answering with short answers: with or without a passage, or with options to choose from."""

import re
import string
import unicodedata
from collections.abc import Mapping
from typing import Any

from azdistill.contracts.rows import Gold
from azdistill.tasks.fields import ask, one_or_several, optional, references, required
from azdistill.tasks.options import option_letter, options_of
from azdistill.tasks.task import Case
from azdistill.tasks.texts import Translation, normalize, stated_answer, without_reasoning

# The reference of a question that its passage does not answer. In SQuAD 2 such a row has no answers.
NO_ANSWER = "no answer"

# Not the last word: the A of "Vitamin A" is no article.
_ARTICLES = re.compile(r"\b(?:a|an|the)\s+(?=\S)")
_NO_PUNCTUATION = Translation(lambda character: "" if _is_punctuation(character) else character)
_UNANSWERABLE = re.compile(
    r"(?:(?:(?:this )?question|it|there) (?:is|has) )?(?:unanswerable|no answer|not answerable)"
    r"(?: (?:in|from|by|to|given|based on) (?:this )?(?:passage|text|context|paragraph|article|question))?"
)

# An option of a multiple-choice answer as written: "B) Paris", "(b)", "B. Paris", "Option B". A small letter needs a
# parenthesis.
_OPTION = re.compile(
    r"\W*(?:(?:[Oo]ption|[Cc]hoice)\s+)?(?:\(?([A-Ja-j])\)|([A-J])[.:](?=\s|$)|([A-J])(?=\W*$))\s*(.*)", re.S
)
_STATED_OPTION = re.compile(r"\b(?:option|choice)\b\W{0,4}is\W{0,4}(\S[^\n]*)", re.IGNORECASE)
# An option as `answer` returns it.
_LETTER = re.compile(r"([a-j])\) ?(.*)")


def case(record: Mapping[str, Any]) -> Case:
    """Fields: question, optionally context or passage, and one of

    - answer, or answers as in SQuAD, all of which are right (an empty list: the passage has no answer)
    - choices or options with answerKey, answer, answer_idx or label: multiple choice
    """
    question, context = required(record, "question", "question_stem"), optional(record, "context", "passage")
    passage = "" if context is None else f"{context}\n\n"
    if options := options_of(record):
        lines = "\n".join(f"{letter}) {text}" for letter, text in options.items())
        letter = option_letter(record, options)
        gold = None if letter is None else f"{letter}) {options[letter]}"
        return Case(ask(f"{passage}{question}\n{lines}\nAnswer with the letter of the right option."), gold)
    gaps = f" If the passage does not answer it, answer: {NO_ANSWER}." if context and _has_list(record) else ""
    return Case(ask(f"{passage}{question}\nAnswer with as few words as possible.{gaps}"), _gold(record))


def _has_list(record: Mapping[str, Any]) -> bool:
    """True for the rows of a data set that may have questions without an answer: they list their answers."""
    return isinstance(record.get("answers"), dict | list)


def _gold(record: Mapping[str, Any]) -> Gold | None:
    answers, answer = record.get("answers"), record.get("answer")
    if isinstance(answers, dict):
        answers = answers.get("text")
    if isinstance(answers, list):
        return one_or_several("answers", answers) if answers else NO_ANSWER
    if isinstance(answer, dict):  # TriviaQA
        return one_or_several("answer.aliases", [answer.get("value"), *answer.get("aliases", ())])
    return references(record, "answer", "answers")


def answer(text: str) -> str | None:
    """Normalized as in SQuAD, for any script: no case, punctuation or articles. An option is `b) paris`.

    An empty text says that there is no answer, as in SQuAD 2.
    """
    if not text.strip():
        return NO_ANSWER
    stated = _stated(without_reasoning(text))
    if option := _OPTION.fullmatch(stated):
        letter = next(group for group in option.groups()[:3] if group).casefold()
        return f"{letter}) {_normalized(option[4])}".strip()
    normalized = _normalized(stated)
    return NO_ANSWER if _UNANSWERABLE.fullmatch(normalized) else normalized or None


def _stated(text: str) -> str:
    """The part of an answer that counts: what it states as its answer, its first line if that is an option, or all."""
    if stated := stated_answer(text):
        return stated
    if options := _STATED_OPTION.findall(text):
        return str(options[-1])
    first, _, rest = text.partition("\n")
    return first if rest and _OPTION.fullmatch(first) else text


def _is_punctuation(character: str) -> bool:
    return character in string.punctuation or unicodedata.category(character).startswith("P")


def _normalized(text: str) -> str:
    plain = normalize(unicodedata.normalize("NFKC", text)).translate(_NO_PUNCTUATION)
    return normalize(_ARTICLES.sub(" ", normalize(plain)))


def correct(answer: str, reference: str) -> bool:
    """Exact match. An option is right by its letter or by its text, if the other is not that of another option."""
    if _plain(answer) == _plain(reference):
        return True
    chosen, right = _LETTER.fullmatch(answer), _LETTER.fullmatch(reference)
    if right is None:
        return chosen is not None and reference in (chosen[1], chosen[2])
    letter, text = right.groups()
    if chosen is None:
        return answer == text or answer.startswith(f"{letter} {text} ")
    return chosen[1] == letter and (chosen[2].startswith(text) or not chosen[2] or not text)


def _plain(answer: str) -> str:
    return answer.replace(")", "")
