"""Completions to rows worth learning from."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, Message, Reject, Split, TrainRow
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import BadRow, Task
from azdistill.tasks.texts import spoken

NO_FAULT = frozenset({"duplicate", "minority"})
"""Reasons to drop an answer that is right in itself."""

WHY = "Instead of the answer, write the reasoning that leads to it."
"""Asks a student for the trace that was split off its row, so that its answers to the row itself stay without.
Source: Hsieh et al., Distilling Step-by-Step! (2023), where rationales are a second task beside the labels."""

TRACE = "-trace"
"""Ends the id of a row that teaches a trace."""


@dataclass(frozen=True)
class Curated:
    """Rows to learn from and to validate on, and why each other answer was dropped. The id is that of the prompt."""

    train: tuple[TrainRow, ...]
    validation: tuple[TrainRow, ...]
    drops: tuple[Reject, ...]

    @property
    def traces(self) -> int:
        """How many of the rows to learn from teach the reasoning of another one."""
        return sum(row.id.endswith(TRACE) for row in self.train)

    def counts(self) -> dict[str, Any]:
        kept = {"train": len(self.train), "validation": len(self.validation)}
        return {"kept": kept, "traces": self.traces, "dropped": _by_reason(self.drops)}


def curate(completions: Iterable[Completion], config: CurateConfig, task_file: Path | None = None) -> Curated:
    """Keep the answers that are whole and valid, in their order. Test rows are passed over.

    Several answers to one prompt have to stand next to each other. Raises InputError for a `task_file`
    that is no task.
    """
    task = task_of(config.task, task_file)
    kept: dict[Split, list[TrainRow]] = {"train": [], "validation": []}
    drops: list[Reject] = []
    for _, answers in groupby(completions, lambda row: (row.id, row.source)):
        for row, problem in _judged([row for row in answers if row.split != "test"], task, config):
            if problem:
                drops.append(Reject(source=row.source, reason=problem.reason, detail=problem.detail))
            else:
                kept[row.split] += _rows(row)
    return Curated(tuple(kept["train"]), tuple(kept["validation"]), tuple(drops))


def check_drops(curated: Curated, most: float) -> None:
    """Raises DataError when more than the part `most` was dropped as faulty, or nothing is left to learn from."""
    faulty = [drop for drop in curated.drops if drop.reason not in NO_FAULT]
    answers = len(curated.train) - curated.traces + len(curated.validation) + len(curated.drops)
    if len(faulty) > most * answers:
        raise DataError(
            f"{len(faulty)} of {answers} answers were dropped ({_listed(faulty)}), more than "
            f"curate.max_drop_ratio={most:g} allows; see drops.jsonl, and mend the teacher's prompting or max_tokens"
        )
    if not curated.train:
        raise DataError(
            f"no answer is left to learn from ({_listed(curated.drops)}); see drops.jsonl, or give more training rows"
        )


def _by_reason(drops: Iterable[Reject]) -> dict[str, int]:
    return dict(sorted(Counter(drop.reason for drop in drops).items()))


def _listed(drops: Iterable[Reject]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in _by_reason(drops).items()) or "none was dropped"


def _judged(
    answers: Sequence[Completion], task: Task, config: CurateConfig
) -> Iterator[tuple[Completion, BadRow | None]]:
    """The answers to one prompt, each with what keeps it from being a label. A repeated answer has its vote."""
    said = [_said(row, task, config) for row in answers]
    votes = [found for found in said if isinstance(found, str)]
    majority = _majority(votes, task) if config.drop_minority and votes else None
    before: set[tuple[tuple[Message, ...], str]] = set()
    for row, found in zip(answers, said, strict=True):
        problem = found if isinstance(found, BadRow) else _against(row, found, majority, task)
        if problem is None and (row.messages, row.completion) in before:
            problem = BadRow("duplicate", f"{row.teacher}: the same text as an answer to this prompt before it")
        before.add((row.messages, row.completion))
        yield row, problem


def _said(row: Completion, task: Task, config: CurateConfig) -> str | BadRow:
    """What an answer says, or the first thing that is wrong with it."""
    if row.finish_reason != "stop":
        return BadRow(row.finish_reason, "the endpoint's finish_reason; only stop is a whole answer")
    length = len(spoken(row.completion))
    if not length:
        return BadRow("empty", "the answer is blank")
    if length < config.min_chars:
        return BadRow("too_short", f"{length} characters, min_chars={config.min_chars}")
    if length > config.max_chars:
        return BadRow("too_long", f"{length} characters, max_chars={config.max_chars}")
    return _meant(row, task, config)


def _meant(row: Completion, task: Task, config: CurateConfig) -> str | BadRow:
    said = task.answer(row.completion)
    if said is None:
        return BadRow("unparseable", f"not an answer of task {config.task}: {spoken(row.completion)[:60]!r}")
    reference = None if row.gold is None else task.answer(row.gold)
    if config.drop_disagreeing and reference is not None and not task.correct(said, reference):
        return BadRow("disagrees", f"the teacher says {said[:60]!r}, the reference {reference[:60]!r}")
    return said


def _majority(votes: Sequence[str], task: Task) -> str:
    """The answer that most others agree with; in a tie, the one said first."""
    counts = Counter(votes)  # in the order in which they were said
    return max(counts, key=lambda said: sum(n for other, n in counts.items() if task.correct(other, said)))


def _against(row: Completion, said: str, majority: str | None, task: Task) -> BadRow | None:
    if majority is None or said == majority or task.correct(said, majority):
        return None
    return BadRow("minority", f"{row.teacher} says {said[:60]!r}, most answers {majority[:60]!r}")


def _rows(row: Completion) -> list[TrainRow]:
    """The answer to learn, and for a trace that was split off it a second row. Validation measures answers only."""
    learned = [_train_row(row.id, row.messages, row.completion)]
    if row.split == "train" and row.trace and row.trace.strip():
        *before, last = row.messages
        why = Message(role=last.role, content=f"{last.content}\n\n{WHY}")
        learned.append(_train_row(f"{row.id}{TRACE}", (*before, why), row.trace))
    return learned


def _train_row(number: str, messages: tuple[Message, ...], answer: str) -> TrainRow:
    return TrainRow(id=number, messages=(*messages, Message(role="assistant", content=answer)))
