"""Training rows from the teacher's completions."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, Message, Reject, Split, TrainRow, gold_texts
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import BadRow, Task
from azdistill.tasks.texts import without_reasoning

# Reasons to drop an answer that is correct in itself: they do not count for max_drop_ratio.
NO_FAULT = frozenset({"duplicate", "minority"})

# Asks for the trace that was split off a row, so that the student's answers to the row itself stay without one.
# Source: Hsieh et al., Distilling Step-by-Step! (2023), where rationales are a second task next to the labels.
TRACE_INSTRUCTION = "Instead of the answer, write the reasoning that leads to it."

# Suffix of the id of a row whose target is a trace.
TRACE = "-trace"


@dataclass(frozen=True)
class Curated:
    """Training and validation rows, and why each other answer was dropped. Row ids are those of the prompts."""

    train: tuple[TrainRow, ...]
    validation: tuple[TrainRow, ...]
    drops: tuple[Reject, ...]

    @property
    def traces(self) -> int:
        """Number of training rows whose target is the trace of another row."""
        return sum(row.id.endswith(TRACE) for row in self.train)

    def counts(self) -> dict[str, Any]:
        kept = {"train": len(self.train), "validation": len(self.validation)}
        return {"kept": kept, "traces": self.traces, "dropped": _by_reason(self.drops)}


def curate(completions: Iterable[Completion], config: CurateConfig, task_file: Path | None = None) -> Curated:
    """Keep complete and valid answers, in their order. Test rows are skipped.

    Answers to the same prompt must follow each other. Raises InputError for a `task_file` that defines no task.
    """
    task = task_of(config.task, task_file, config.labels)
    kept: dict[Split, list[TrainRow]] = {"train": [], "validation": []}
    drops: list[Reject] = []
    for _, answers in groupby(completions, lambda row: (row.id, row.source)):
        for row, fault in _judge([row for row in answers if row.split != "test"], task, config):
            if fault:
                drops.append(Reject(source=row.source, reason=fault.reason, detail=fault.detail))
            else:
                kept[row.split] += _train_rows(row)
    return Curated(tuple(kept["train"]), tuple(kept["validation"]), tuple(drops))


def check_drops(curated: Curated, max_ratio: float) -> None:
    """Raise DataError when more than the fraction `max_ratio` was dropped as faulty, or no training row is left."""
    faulty = [drop for drop in curated.drops if drop.reason not in NO_FAULT]
    answers = len(curated.train) - curated.traces + len(curated.validation) + len(curated.drops)
    if len(faulty) > max_ratio * answers:
        raise DataError(
            f"{len(faulty)} of {answers} answers were dropped ({_listed(faulty)}), more than the limit allows",
            code="too_many_drops",
            field=("curate", "max_drop_ratio"),
            value=max_ratio,
            fix="see drops.jsonl, and change the teacher's prompting or max_tokens",
        )
    if not curated.train:
        raise DataError(
            f"no answer is left to train on ({_listed(curated.drops)})",
            code="no_rows",
            fix="see drops.jsonl, or add training rows",
        )


def _by_reason(drops: Iterable[Reject]) -> dict[str, int]:
    return dict(sorted(Counter(drop.reason for drop in drops).items()))


def _listed(drops: Iterable[Reject]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in _by_reason(drops).items()) or "none was dropped"


def _judge(
    answers: Sequence[Completion], task: Task, config: CurateConfig
) -> Iterator[tuple[Completion, BadRow | None]]:
    """The answers to one prompt, each with its fault. A repeated answer is dropped, but votes for the majority."""
    extracted = [_extract(row, task, config) for row in answers]
    votes = [answer for answer in extracted if isinstance(answer, str)]
    majority = _majority(votes, task) if config.drop_minority and votes else None
    seen: set[tuple[tuple[Message, ...], str]] = set()
    for row, answer in zip(answers, extracted, strict=True):
        fault = answer if isinstance(answer, BadRow) else _minority_fault(row, answer, majority, task)
        if fault is None and (row.messages, row.completion) in seen:
            fault = BadRow("duplicate", f"{row.teacher}: the same text as an earlier answer to this prompt")
        seen.add((row.messages, row.completion))
        yield row, fault


def _extract(row: Completion, task: Task, config: CurateConfig) -> str | BadRow:
    """The answer in a completion, or its first fault."""
    if row.finish_reason != "stop":
        return BadRow(row.finish_reason, "finish_reason of the endpoint; only an answer with stop is complete")
    text = without_reasoning(row.completion)
    if not text:
        return BadRow("empty", "the answer is blank")
    if len(text) < config.min_chars:
        return BadRow("too_short", f"{len(text)} characters, min_chars={config.min_chars}")
    if len(text) > config.max_chars:
        return BadRow("too_long", f"{len(text)} characters, max_chars={config.max_chars}")
    answer = task.answer(row.completion)
    if answer is None:
        return BadRow("unparseable", f"not a valid answer of task {config.task}: {text[:60]!r}")
    golds = [gold for text in gold_texts(row.gold) if (gold := task.answer(text)) is not None]
    if config.drop_disagreeing and golds and not any(task.correct(answer, gold) for gold in golds):
        return BadRow("disagrees", f"the teacher's answer is {answer[:60]!r}, the reference {golds[0][:60]!r}")
    return answer


def _majority(votes: Sequence[str], task: Task) -> str:
    """The answer with which most others agree; in a tie, the first one."""
    counts = Counter(votes)  # keeps the order of the answers
    return max(counts, key=lambda answer: sum(n for other, n in counts.items() if task.correct(other, answer)))


def _minority_fault(row: Completion, answer: str, majority: str | None, task: Task) -> BadRow | None:
    if majority is None or answer == majority or task.correct(answer, majority):
        return None
    return BadRow("minority", f"{row.teacher} answers {answer[:60]!r}, the majority {majority[:60]!r}")


def _train_rows(row: Completion) -> list[TrainRow]:
    """The row with its answer, and for a training row with a trace a second row. Validation rows have answers only."""
    rows = [_train_row(row, row.id, row.messages, row.completion)]
    if row.split == "train" and row.trace and row.trace.strip():
        *before, last = row.messages
        instruction = Message(role=last.role, content=f"{last.content}\n\n{TRACE_INSTRUCTION}")
        rows.append(_train_row(row, f"{row.id}{TRACE}", (*before, instruction), row.trace))
    return rows


def _train_row(row: Completion, identity: str, messages: tuple[Message, ...], answer: str) -> TrainRow:
    turns = (*messages, Message(role="assistant", content=answer))
    return TrainRow(id=identity, messages=turns, weight=row.weight)
