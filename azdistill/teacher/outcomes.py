"""What became of each question of a job, and what follows from it."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from azdistill.contracts.progress import Progress
from azdistill.teacher.policy import Course
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.requests import Request
from azdistill.teacher.store import ResponseStore, StoredAnswer
from azdistill.teacher.turns import Talk

Outcome = Answer | RowRejected
Asked = tuple[int, Request, int]
"""The place of a teacher, what it is asked, and the number of the prompt: the lower, the sooner."""
Record = tuple[int, StoredAnswer]
"""What the store has of a question, and the place of the teacher that it was put to."""
Waiting = tuple[Course, Talk, int]


NOTHING: Mapping[str, Outcome] = {}


def advance(courses: Iterable[Course], store: ResponseStore, told: Mapping[str, Outcome] = NOTHING) -> list[Record]:
    """Take each course as far as the store has answers, and what is `told` beside it; returns the records, with the
    places of their teachers."""
    records: dict[str, Record] = {}
    known = dict(told)
    waiting = [(course, talk) for course in courses for talk in course.talks if talk.end is None]
    ahead = {talk.question.key: talk.teacher for course in courses for talk in course.ahead() if not course.is_over}
    while waiting:
        wanted = {talk.question.key: talk.teacher for _, talk in waiting if talk.question.key not in records}
        fresh = _found({**ahead, **wanted}, store)
        ahead.clear()
        records |= fresh
        known |= {key: record.outcome for key, (_, record) in fresh.items()}
        waiting = [more for course, talk in waiting for more in _hear(course, talk, known)]
    return list(records.values())


def _hear(course: Course, talk: Talk, known: Mapping[str, Outcome]) -> Iterator[tuple[Course, Talk]]:
    """What may be found next of a talk whose question was looked for."""
    if talk.question.key in known:
        talk.hear(known[talk.question.key])
        following = course.go_on(talk) if talk.end else [talk]
        yield from ((course, more) for more in following)


def _found(wanted: Mapping[str, int], store: ResponseStore) -> dict[str, Record]:
    if not wanted:  # a scan of the whole store that can find nothing
        return {}
    found = store.find(wanted)
    return {key: (wanted[key], found.stored(key, logprobs=False)) for key in found}


def without_logprobs(outcome: Outcome) -> Outcome:
    """They are many times as long as the text, and lie in the store until they are packed."""
    return replace(outcome, logprobs=None) if isinstance(outcome, Answer) and outcome.logprobs else outcome


class TooManyRefused(Exception):
    """Asking on would only cost: the job can't keep its ratio any more."""


class Outcomes:
    """What became of each question, which talks wait for it, and how many more prompts may stay without an answer."""

    def __init__(self, courses: Sequence[Course], store: ResponseStore, allowed: int, look: Callable[[], None]) -> None:
        self.records = advance(courses, store)
        self.by_key: dict[str, Outcome] = {record.key: record.outcome for _, record in self.records}
        self.from_store = sum(course.is_over for course in courses)
        self.spent: Callable[[], str] = str
        self.over = asyncio.Event()
        self._allowed, self._look = allowed, look
        self._refused = sum(course.is_over and not course.is_answered for course in courses)
        self._waiting: dict[str, list[Waiting]] = {}
        waiting = [(course, talk, n) for n, course in enumerate(courses) for talk in course.talks if not talk.end]
        self.missing = self._asked(waiting)
        self.progress = Progress("teacher", len(self.missing))

    def settle(self, question: Request, outcome: Outcome) -> list[Asked]:
        """Tell the talks that waited for it; returns what is asked next."""
        self.by_key[question.key] = without_logprobs(outcome)
        following = self._asked(self._waiting.pop(question.key))
        self.progress.total += len(following)
        self.progress.advance(note=self._note())
        self._look()
        if self._refused > self._allowed:
            raise TooManyRefused
        if not self._waiting:
            self.over.set()
        return following

    def _asked(self, talks: Sequence[Waiting]) -> list[Asked]:
        """Take each talk to a question without an outcome; returns those that no other talk waits for already."""
        fresh, rest = [], list(talks)
        for course, talk, number in rest:  # it grows on the way
            while talk.end is None and talk.question.key in self.by_key:
                talk.hear(self.by_key[talk.question.key])
            if talk.end:
                rest += [(course, more, number) for more in course.go_on(talk)]
                self._refused += course.is_over and not course.is_answered
                continue
            if talk.question.key not in self._waiting:
                fresh.append((talk.teacher, talk.question, number))
            self._waiting.setdefault(talk.question.key, []).append((course, talk, number))
        return fresh

    def show_waiting(self, waiting: int) -> None:
        """Keep the progress line alive while rows wait for a rate limit or an outage to pass."""
        self.progress.advance(0, self._note(f"{waiting} wait to be asked again" if waiting else ""))

    def _note(self, more: str = "") -> str:
        rejected = f"{self._refused} rejected" if self._refused else ""
        return ", ".join(filter(None, (self.spent(), rejected, more)))
