"""Training rows from the teacher's completions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Self

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.layout import DROPS_FILE
from azdistill.contracts.rows import TRACE, Completion, Message, Reject, Split, TrainRow
from azdistill.data.answer_filters import AnswerFilter
from azdistill.data.reject_counts import RejectCounts
from azdistill.data.selection import select
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import BadRow, Task

# Reasons to drop an answer that is correct in itself: they do not count for max_drop_ratio.
NO_FAULT = frozenset({"duplicate", "minority", "near_duplicate", "label_surplus", "not_selected"})

# Asks for the trace that was split off a row, so that the student's answers to the row itself stay without one.
# Source: Hsieh et al., Distilling Step-by-Step! (2023), where rationales are a second task next to the labels.
TRACE_INSTRUCTION = "Instead of the answer, write the reasoning that leads to it."


@dataclass
class CurateCounts:
    """Number of training and validation rows, and of dropped answers by reason."""

    kept: Counter[Split] = field(default_factory=Counter)
    traces: int = 0
    faulty: RejectCounts = field(default_factory=lambda: RejectCounts(file=DROPS_FILE))
    others: RejectCounts = field(default_factory=lambda: RejectCounts(file=DROPS_FILE))

    def add(self, outcome: Completion | Reject) -> None:
        if isinstance(outcome, Reject):
            (self.others if outcome.reason in NO_FAULT else self.faulty).add(outcome)
        else:
            self.kept[outcome.split] += 1
            self.traces += has_trace(outcome)

    @property
    def dropped(self) -> Counter[str]:
        return self.faulty.reasons + self.others.reasons

    def as_json(self) -> dict[str, Any]:
        kept = {"train": self.kept["train"] + self.traces, "validation": self.kept["validation"]}
        return {"kept": kept, "traces": self.traces, "dropped": dict(sorted(self.dropped.items()))}

    def __str__(self) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
        traces = f" and {self.traces} traces" if self.traces else ""
        dropped = f"{self.dropped.total()} dropped{f' ({reasons})' if reasons else ''}"
        return f"{self.kept['train']} training rows{traces}, {self.kept['validation']} validation rows; {dropped}"


@dataclass(frozen=True)
class Curated:
    """Training and validation rows, and why each other answer was dropped. Row ids are those of the prompts."""

    train: tuple[TrainRow, ...]
    validation: tuple[TrainRow, ...]
    drops: tuple[Reject, ...]
    counts: CurateCounts


def curate(
    completions: Iterable[Completion],
    config: CurateConfig,
    task_file: Path | None = None,
    scores: Mapping[str, float | None] | None = None,
) -> Curated:
    """The outcomes of `outcomes`, in memory."""
    counts = CurateCounts()
    rows: dict[Split, list[TrainRow]] = {"train": [], "validation": []}
    drops: list[Reject] = []
    for outcome in outcomes(completions, config, task_file, scores):
        counts.add(outcome)
        if isinstance(outcome, Reject):
            drops.append(outcome)
        else:
            rows[outcome.split] += train_rows(outcome)
    return Curated(tuple(rows["train"]), tuple(rows["validation"]), tuple(drops), counts)


def outcomes(
    completions: Iterable[Completion],
    config: CurateConfig,
    task_file: Path | None = None,
    scores: Mapping[str, float | None] | None = None,
) -> Iterator[Completion | Reject]:
    """Complete and valid answers in their order, with the weights of their training rows, and dropped ones. Test rows
    are skipped.

    Answers to the same prompt must follow each other. `scores` are those of a judge by the key of the completion, None
    for an answer without one. Raises InputError for a `task_file` that defines no task, and if `min_judge_score` is set
    and there are no scores.
    """
    task = task_of(config.task, task_file, config.labels)
    checked = _check_prompts(completions, AnswerFilter(config, task, scores), task, config)
    return select(checked, config, task) if config.compares_rows else checked


def check_drops(counts: CurateCounts, max_ratio: float) -> None:
    """Raise DataError when more than the fraction `max_ratio` was dropped as faulty, or no training row is left."""
    answers = counts.kept.total() + counts.dropped.total()
    if counts.faulty.total > max_ratio * answers:
        raise DataError(
            f"{counts.faulty.total} of {answers} answers were dropped, more than the limit allows: {counts.faulty}",
            code="too_many_drops",
            field=("curate", "max_drop_ratio"),
            value=max_ratio,
            fix="see drops.jsonl; change the teacher's prompting or max_tokens, or the filters of section curate",
        )
    if not counts.kept["train"]:
        drops = "; ".join(str(drops) for drops in (counts.faulty, counts.others) if drops.total)
        raise DataError(
            f"no answer is left to train on: {drops or 'none was dropped'}",
            code="no_rows",
            fix="see drops.jsonl, or add training rows",
        )


def _check_prompts(
    completions: Iterable[Completion], answer_filter: AnswerFilter, task: Task, config: CurateConfig
) -> Iterator[Completion | Reject]:
    for _, answers in groupby(completions, lambda row: (row.id, row.source)):
        for row, fault in _check_answers([row for row in answers if row.split != "test"], answer_filter, task, config):
            yield Reject(source=row.source, reason=fault.reason, detail=fault.detail) if fault else row


def _check_answers(
    answers: Sequence[Completion], answer_filter: AnswerFilter, task: Task, config: CurateConfig
) -> Iterator[tuple[Completion, BadRow | None]]:
    """The answers to one prompt, each with its fault. A repeated answer is dropped, but votes for the majority."""
    extracted = [answer_filter.answer(row) for row in answers]
    votes = [answer for answer in extracted if isinstance(answer, str)]
    majority = Majority.of(votes, task) if config.compares_answers and len(votes) > 1 else None
    seen: set[tuple[tuple[Message, ...], str]] = set()
    for row, answer in zip(answers, extracted, strict=True):
        if isinstance(answer, BadRow):
            yield row, answer
            continue
        fault = majority.fault(row, answer, task, config) if majority else None
        if len(answers) > 1:
            if not fault and (row.messages, row.completion) in seen:
                fault = BadRow("duplicate", f"{row.teacher}: the same text as an earlier answer to this prompt")
            seen.add((row.messages, row.completion))
        if majority and config.weight_by_agreement:
            row = row.model_copy(update={"weight": row.weight * majority.agreement})
        yield row, fault


@dataclass(frozen=True)
class Majority:
    """The answer to a prompt with which most others agree, and the fraction of the answers that do."""

    answer: str
    agreement: float

    @classmethod
    def of(cls, votes: Sequence[str], task: Task) -> Self:
        """In a tie, the first answer."""
        counts = Counter(votes)  # keeps the order of the answers
        agreeing = {
            answer: sum(n for other, n in counts.items() if other == answer or task.correct(other, answer))
            for answer in counts
        }
        answer = max(agreeing, key=agreeing.__getitem__)
        return cls(answer, agreeing[answer] / len(votes))

    def fault(self, row: Completion, answer: str, task: Task, config: CurateConfig) -> BadRow | None:
        if self.agreement < config.min_agreement:
            return BadRow("inconsistent", f"{self.agreement:.0%} of the answers to the prompt agree")
        if config.drop_minority and answer != self.answer and not task.correct(answer, self.answer):
            return BadRow("minority", f"{row.teacher} answers {answer[:60]!r}, the majority {self.answer[:60]!r}")
        return None


def train_rows(row: Completion) -> list[TrainRow]:
    """The row with its answer, and for a training row with a trace a second row. Validation rows have answers only."""
    rows = [_train_row(row, row.id, row.messages, row.completion, row.key)]
    if row.trace and has_trace(row):
        *before, last = row.messages
        instruction = Message(role=last.role, content=f"{last.content}\n\n{TRACE_INSTRUCTION}")
        rows.append(_train_row(row, f"{row.id}{TRACE}", (*before, instruction), row.trace))
    return rows


def has_trace(row: Completion) -> bool:
    """True for a training row whose trace becomes a row of its own."""
    return row.split == "train" and bool(row.trace and row.trace.strip())


def _train_row(
    row: Completion, identity: str, messages: tuple[Message, ...], answer: str, key: str | None = None
) -> TrainRow:
    turns = (*messages, Message(role="assistant", content=answer))
    return TrainRow(id=identity, messages=turns, weight=row.weight, key=key)
