"""Natural language inference: does the premise entail the hypothesis?

The labels are those of SNLI and MultiNLI, or those that a job sets, such as entailment and not_entailment of RTE.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azdistill.tasks.fields import ask, optional, required
from azdistill.tasks.task import BadRow, Case
from azdistill.tasks.texts import stated_answer, without_reasoning

# In the order of the numbers in SNLI and MultiNLI.
LABELS = ("entailment", "neutral", "contradiction")

# Labels in those data sets of rows whose annotators did not agree.
NO_LABEL = frozenset({"-", "-1"})

# Word forms of the usual labels: an answer says "entails" for entailment. Other labels are complete words.
_STEMS = {"entailment": "entail", "contradiction": "contradict", "neutral": "neutral"}

# A negation, and up to three words between it and the label: "does not necessarily entail". A word that begins another
# clause ends it: "not neutral but entailment".
_NEGATION = re.compile(
    r"(?:\b(?:not|no|never|neither|nor|non|cannot|without)|n['\N{RIGHT SINGLE QUOTATION MARK}]t)"
    r"(?:[\s_-]+(?!(?:but|rather|instead|so|hence|thus|therefore)\b)[\w'-]+){0,3}[\s_-]*$"
)
# "neither entailment nor contradiction": the negation continues.
_CONTINUED = re.compile(r"^\w*[\s*]+(?:or|nor)[\s*]+(?:an?\s+|as\s+)?[\W_]*$")


# Python reads no integer of more than 4,300 digits.
MAX_DIGITS = 10


class LabelTask:
    """The task with a set of labels, in the order of the integers that stand for them.

    `is_default`: the job has not stated the labels.
    """

    def __init__(self, labels: Sequence[str], *, is_default: bool = False) -> None:
        self.labels, self.is_default = tuple(labels), is_default
        self._by_name = {_spaced(label): label for label in labels}
        stems = sorted((_stem(label) for label in self._by_name), key=len, reverse=True)
        forms = (re.escape(stem) + ("" if stem in _STEMS.values() else r"\b") for stem in stems)
        self._mention = re.compile(rf"\b(?:{'|'.join(forms)})")

    def case(self, record: Mapping[str, Any], /) -> Case:
        """Fields: premise, hypothesis (or sentence1, sentence2) and label, as a word or an integer.

        Rows with sentence and question, as in QNLI, ask whether the sentence answers the question.
        """
        gold = self._gold(optional(record, "label", "gold_label"), record)
        options = f"{', '.join(self.labels[:-1])} or {self.labels[-1]}"
        return Case(ask(f"{_question(record)} Answer with one word: {options}."), gold)

    def _gold(self, label: str | None, record: Mapping[str, Any]) -> str | None:
        if label is None or label in NO_LABEL:
            return None
        if label.isdecimal() and len(label) < MAX_DIGITS:
            return self._numbered(int(label), record)
        gold = self._by_name.get(_spaced(label)) or self.answer(label)
        if gold is None:
            raise self._unknown(label)
        return gold

    def _numbered(self, number: int, record: Mapping[str, Any]) -> str:
        """GLUE's rows have sentence1 and sentence2, or sentence: there 1 is neutral in one set and not in another."""
        if self.is_default and "premise" not in record:
            detail = f"label {number} means another label in each data set; set labels in the order of their integers"
            raise BadRow("label_order", detail)
        if number >= len(self.labels):
            raise self._unknown(str(number))
        return self.labels[number]

    def _unknown(self, label: str) -> BadRow:
        numbers = ", ".join(map(str, range(len(self.labels))))
        known = f"none of {', '.join(self.labels)}, {numbers}"
        return BadRow("unknown_label", f"label {label!r} is {known}; set labels to those of the rows")

    def answer(self, text: str, /) -> str | None:
        """The only label in the text; when the text has several, the label that it states as its answer."""
        plain = without_reasoning(text)
        return self._only_label(plain) or self._only_label(stated_answer(plain) or "")

    def _only_label(self, text: str) -> str | None:
        labels = set(self._labels_in(text.casefold()))
        return labels.pop() if len(labels) == 1 else None

    def _labels_in(self, text: str) -> Iterator[str]:
        """The labels that a text names. "Not entailment" names not_entailment where that is a label, else nothing."""
        end, was_negated = 0, False
        for mention in self._mention.finditer(text := text.replace("_", " ")):
            before = text[end : mention.start()]
            is_negated = bool(_NEGATION.search(before)) or (was_negated and bool(_CONTINUED.search(before)))
            label = self._label_of(mention[0])
            if is_negated:
                label = self._by_name.get(f"not {_spaced(label)}", "") if label else ""
            if label:
                yield label
            end, was_negated = mention.end(), is_negated

    def _label_of(self, stem: str) -> str | None:
        return next((label for name, label in self._by_name.items() if _stem(name) == stem), None)

    def correct(self, answer: str, reference: str, /) -> bool:
        return answer == reference


def _spaced(label: str) -> str:
    return label.casefold().replace("_", " ").replace("-", " ")


def _stem(name: str) -> str:
    return _STEMS.get(name, name)


def _question(record: Mapping[str, Any]) -> str:
    if "sentence" in record and "question" in record:
        sentence, question = required(record, "sentence"), required(record, "question")
        return f"Sentence: {sentence}\nQuestion: {question}\nDoes the sentence entail the answer to the question?"
    premise = required(record, "premise", "sentence1")
    hypothesis = required(record, "hypothesis", "sentence2")
    return f"Premise: {premise}\nHypothesis: {hypothesis}\nDoes the premise entail the hypothesis?"


_DEFAULT = LabelTask(LABELS, is_default=True)
case, answer, correct = _DEFAULT.case, _DEFAULT.answer, _DEFAULT.correct
