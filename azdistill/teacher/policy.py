"""Which teachers a prompt is put to, how often, and whom it goes on to.

route: to one teacher, drawn by weight. all: to each. cascade: to the first, and on to the next where an answer is
invalid or samples disagree. fallback: to the first, and on to the next where there is no whole answer.

A test row has one answer, which student and baseline are measured against: with policy all it is the first
teacher's. A cascade asks it as often as any other row, as it can't tell else whether the answers agree.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from azdistill.contracts.rows import Prompt
from azdistill.contracts.teacher import Policy, TeacherConfig
from azdistill.teacher.replies import Answer
from azdistill.teacher.turns import Talk

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

Begin = Callable[[Prompt, int, int], Talk]
"""A talk about a prompt with the teacher of a place, for the sample of a number."""


@dataclass(frozen=True)
class Rules:
    """What decides about each prompt of a job; `task` reads the answers of a cascade."""

    config: TeacherConfig
    begin: Begin
    task: "Task | None" = None


class Course:
    """One prompt on its way through the teachers, of which it needs no more than the first: route and all."""

    def __init__(self, prompt: Prompt, rules: Rules) -> None:
        self.prompt, self.rules = prompt, rules
        self.talks = [talk for teacher in _begun_with(prompt, rules.config) for talk in self._put_to(teacher)]

    @property
    def is_over(self) -> bool:
        return all(talk.end for talk in self.talks)

    @property
    def counted(self) -> Sequence[Talk]:
        """The talks that rows are made of: of a test row one, and a whole answer where there is one."""
        if self.prompt.split != "test":
            return self.talks
        return [next((talk for talk in self.talks if talk.is_whole), self.talks[0])]

    @property
    def is_answered(self) -> bool:
        return any(isinstance(talk.end, Answer) for talk in self.counted)

    def go_on(self, ended: Talk) -> Sequence[Talk]:
        """The talks that follow now that one has ended."""
        return ()

    def ahead(self) -> Sequence[Talk]:
        """The talks that may come to be: what was bought of them by an earlier run is found before asking begins."""
        return ()

    def _put_to(self, teacher: int) -> list[Talk]:
        samples = 1 if self.prompt.split == "test" and not self._needs_samples(teacher) else self.rules.config.samples
        return [self.rules.begin(self.prompt, teacher, sample) for sample in range(samples)]

    def _needs_samples(self, teacher: int) -> bool:
        return False

    def _has_next(self, teacher: int) -> bool:
        return teacher + 1 < len(self.rules.config.teachers)

    def _after(self, talk: Talk) -> range:
        return range(talk.teacher + 1, len(self.rules.config.teachers))


class Cascade(Course):
    """On to the next teacher, with all samples, when one has answered them all and does not convince."""

    def go_on(self, ended: Talk) -> Sequence[Talk]:
        if not (self.is_over and self._has_next(ended.teacher)) or self._convinces():
            return ()
        self.talks = self._put_to(ended.teacher + 1)
        return self.talks

    def ahead(self) -> Sequence[Talk]:
        return [talk for teacher in self._after(self.talks[0]) for talk in self._put_to(teacher)]

    def _convinces(self) -> bool:
        assert self.rules.task, "a cascade is told its task"
        return convinces(self.talks, self.rules.task)

    def _needs_samples(self, teacher: int) -> bool:
        return self._has_next(teacher)


class Fallback(Course):
    """On to the next teacher with each sample that got no whole answer."""

    def go_on(self, ended: Talk) -> Sequence[Talk]:
        if ended.is_whole or not self._has_next(ended.teacher):
            return ()
        following = self.rules.begin(self.prompt, ended.teacher + 1, ended.sample)
        self.talks[self.talks.index(ended)] = following
        return (following,)

    def ahead(self) -> Sequence[Talk]:
        begin = self.rules.begin
        return [begin(self.prompt, teacher, talk.sample) for talk in self.talks for teacher in self._after(talk)]


COURSES: Mapping[Policy, type[Course]] = {"route": Course, "all": Course, "cascade": Cascade, "fallback": Fallback}


def convinces(talks: Sequence[Talk], task: "Task") -> bool:
    """Whether all answers are whole, say something in the task, and say the same."""
    said = [
        task.answer(talk.end.completion) if talk.is_whole and isinstance(talk.end, Answer) else None for talk in talks
    ]
    return None not in said and all(task.correct(one, other) for one, other in pairwise(filter(None, said)))


def _begun_with(prompt: Prompt, config: TeacherConfig) -> Sequence[int]:
    if config.policy == "all" and prompt.split != "test":
        return range(len(config.teachers))
    return (drawn(prompt.id, [teacher.weight for teacher in config.teachers]) if config.policy == "route" else 0,)


def drawn(key: str, weights: Sequence[float]) -> int:
    """A place among the weights, each as often as its part of their sum: the same for a key in every run, whatever
    the other rows are."""
    luck = int.from_bytes(hashlib.sha256(f"route {key}".encode()).digest()[:7], "big") / 2**56 * sum(weights)
    return next((place for place, end in enumerate(accumulate(weights)) if luck < end), len(weights) - 1)
