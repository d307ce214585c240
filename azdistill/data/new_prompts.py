"""Checks of the prompts that a teacher wrote: form, personal data, and copies of other rows."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from azdistill.contracts.augmenting import read_reply
from azdistill.contracts.personal_data import PersonalData
from azdistill.contracts.rows import Message, Prompt, Reject, Split, prompt_id
from azdistill.data.augment import Form, SeededRequest
from azdistill.data.near_duplicates import near_duplicates
from azdistill.data.overlap import Integers, find_overlaps, template_ngrams
from azdistill.data.personal_data import redact_text
from azdistill.data.public_test_sets import PublicTestSets
from azdistill.tasks.task import BadRow
from azdistill.tasks.texts import normalize

# Jaccard similarity of the n-grams from which on a new prompt repeats another one.
SIMILARITY = 0.8


@dataclass(frozen=True)
class Reply:
    """The reply to a request for new prompts. `finish_reason` is as the endpoint reports it."""

    request: SeededRequest
    text: str
    finish_reason: str = "stop"


@dataclass(frozen=True)
class _Conversations:
    """Prompts whose texts are compared as step prepare compares those of its rows."""

    prompts: Sequence[Prompt]

    def texts(self, rows: Integers) -> Iterator[str]:
        for row in rows:
            yield " ".join(message.content for message in self.prompts[row].messages)


class NewPrompts:
    """New prompts that passed the checks, rejected ones, and replies that cannot be used.

    A new prompt is none of the user's rows, of any split, no other new prompt and no row of a public test set, nor
    nearly one. `written` counts all prompts in the replies, `personal_data` the values in them by kind.
    """

    def __init__(
        self, prompts: Sequence[Prompt], form: Form, pii: PersonalData = "off", test_sets: PublicTestSets | None = None
    ) -> None:
        self.form, self.pii, self.test_sets = form, pii, test_sets
        self.accepted: list[Prompt] = []
        self.rejects: list[Reject] = []
        self.unusable_replies: list[Reject] = []
        self.written, self.personal_data = 0, Counter[str]()
        self._known = _user_turns(prompts, form)
        self._held_out = [prompt for prompt in prompts if prompt.split != "train"]
        self._templates = template_ngrams(_Conversations(prompts), np.arange(len(prompts)))

    def add(self, replies: Iterable[Reply]) -> None:
        """Check the prompts of replies."""
        written = [prompt for reply in replies for prompt in self._well_formed(reply)]
        faults = self._in_test_sets(written) | self._near_held_out(written) | self._repeated(written)
        for index, prompt in enumerate(written):
            if index in faults:
                self._reject(prompt.source, faults[index])
            else:
                self.accepted.append(prompt)

    def _well_formed(self, reply: Reply) -> Iterator[Prompt]:
        """The prompts of a reply that have the form of the training rows, without personal data if that is redacted."""
        request = reply.request
        for index, text in enumerate(self._texts(reply)[: request.request.count], 1):
            source, content = f"{request.row.source}:{index}", self.form.content(self._redacted(text))
            self.written += 1
            try:
                self.form.check(content)
            except BadRow as fault:
                self._reject(source, fault)
                continue
            messages = _messages(request.seeds[0].system, self.form.text(content))
            yield Prompt(id=prompt_id(messages), split="train", messages=messages, source=source)

    def _texts(self, reply: Reply) -> list[str]:
        """The prompts in a reply, none in one that cannot be used."""
        try:
            if reply.finish_reason != "stop":
                raise BadRow(reply.finish_reason, "finish_reason of the endpoint; only a reply with stop is complete")
            return read_reply(reply.text)
        except BadRow as fault:
            reason, detail = fault.reason, fault.detail
        except ValueError as error:
            reason, detail = "unreadable", f"the reply is no JSON array of strings: {error}"
        self.unusable_replies.append(Reject(source=reply.request.row.source, reason=reason, detail=detail))
        return []

    def _redacted(self, text: str) -> str:
        if self.pii == "off":
            return text
        redacted = redact_text(text, self.personal_data)
        return redacted if self.pii == "redact" else text

    def _repeated(self, written: Sequence[Prompt]) -> dict[int, BadRow]:
        """Faults of the prompts that are like a user turn of a row or an earlier new prompt."""
        first = len(self._known)
        self._known += ((self._content(prompt), prompt.source, prompt.split) for prompt in written)
        faults = {}
        for index, other in near_duplicates([(text,) for text, _, _ in self._known], SIMILARITY).items():
            _, source, split = self._known[other]
            if index >= first:
                reason = "duplicate" if split == "train" else "leaked"
                faults[index - first] = BadRow(reason, f"is like {split} row {source}")
        return faults

    def _near_held_out(self, written: Sequence[Prompt]) -> dict[int, BadRow]:
        """Faults of the prompts that step prepare would leave out as nearly a validation or test row."""
        rows = [*self._held_out, *written]
        first = len(self._held_out)
        overlaps = find_overlaps(_Conversations(rows), np.arange(first, len(rows)), np.arange(first), self._templates)
        return {
            overlap.row - first: BadRow(
                "near_leaked", f"is nearly {rows[overlap.other].split} row {rows[overlap.other].source}"
            )
            for overlap in overlaps
        }

    def _in_test_sets(self, written: Sequence[Prompt]) -> dict[int, BadRow]:
        if self.test_sets is None:
            return {}
        overlaps = self.test_sets.overlaps([self._content(prompt) for prompt in written])
        return {index: BadRow("public_test_set", overlap.detail) for index, overlap in overlaps.items()}

    def _content(self, prompt: Prompt) -> str:
        return self.form.content(prompt.messages[-1].content)

    def _reject(self, source: str, fault: BadRow) -> None:
        self.rejects.append(Reject(source=source, reason=fault.reason, detail=fault.detail))


def _user_turns(prompts: Iterable[Prompt], form: Form) -> list[tuple[str, str, Split]]:
    """Text, source and split of the different user turns. Of equal turns that of a held-out row."""
    rows: dict[str, Prompt] = {}
    for prompt in prompts:
        for turn in prompt.messages:
            text = normalize(form.content(turn.content))
            if turn.role == "user" and (text not in rows or rows[text].split == "train"):
                rows[text] = prompt
    return [(text, prompt.source, prompt.split) for text, prompt in rows.items()]


def _messages(system: str | None, text: str) -> tuple[Message, ...]:
    before = () if system is None else (Message(role="system", content=system),)
    return (*before, Message(role="user", content=text))
