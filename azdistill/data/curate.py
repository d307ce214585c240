"""Completions to rows worth learning from."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Completion, Message, Reject, Split, TrainRow
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import BadRow, Task


@dataclass(frozen=True)
class Curated:
    """Rows to learn from and to validate on, and why each other answer was dropped."""

    train: tuple[TrainRow, ...]
    validation: tuple[TrainRow, ...]
    drops: tuple[Reject, ...]

    def counts(self) -> dict[str, Any]:
        dropped = Counter(drop.reason for drop in self.drops)
        kept = {"train": len(self.train), "validation": len(self.validation)}
        return {"kept": kept, "dropped": dict(sorted(dropped.items()))}


def curate(completions: Iterable[Completion], config: CurateConfig, task_file: Path | None = None) -> Curated:
    """Keep the answers that are whole and valid, in their order. Test rows are passed over.

    Raises InputError for a `task_file` that is no task.
    """
    task = task_of(config.task, task_file)
    kept: dict[Split, list[TrainRow]] = {"train": [], "validation": []}
    drops: list[Reject] = []
    for row in completions:
        if row.split == "test":
            continue
        try:
            _check(row, task, config)
            kept[row.split].append(_train_row(row))
        except BadRow as problem:
            drops.append(Reject(source=row.source, reason=problem.reason, detail=problem.detail))
    return Curated(tuple(kept["train"]), tuple(kept["validation"]), tuple(drops))


def check_drops(curated: Curated, most: float) -> None:
    """Raises DataError when more than the part `most` was dropped, or nothing is left to learn from."""
    dropped, kept = len(curated.drops), len(curated.train) + len(curated.validation)
    found = curated.counts()["dropped"].items()
    reasons = ", ".join(f"{reason} {number}" for reason, number in found) or "none was dropped"
    if dropped > most * (dropped + kept):
        raise DataError(
            f"{dropped} of {dropped + kept} answers were dropped ({reasons}), more than "
            f"curation.max_drop_ratio={most:g} allows; see drops.jsonl, and mend the teacher's prompting or max_tokens"
        )
    if not curated.train:
        raise DataError(f"no answer is left to learn from ({reasons}); see drops.jsonl, or give more training rows")


def _check(row: Completion, task: Task, config: CurateConfig) -> None:
    """Raises BadRow with the first thing that is wrong with an answer."""
    if row.finish_reason != "stop":
        raise BadRow(row.finish_reason, "the endpoint's finish_reason; only stop is a whole answer")
    length = len(row.completion.strip())
    if not length:
        raise BadRow("empty", "the answer is blank")
    if length < config.min_chars:
        raise BadRow("too_short", f"{length} characters, min_chars={config.min_chars}")
    if length > config.max_chars:
        raise BadRow("too_long", f"{length} characters, max_chars={config.max_chars}")
    _check_meaning(row, task, config)


def _check_meaning(row: Completion, task: Task, config: CurateConfig) -> None:
    said = task.answer(row.completion)
    if said is None:
        raise BadRow("unparseable", f"not an answer of task {config.task}: {row.completion[:60]!r}")
    reference = None if row.gold is None else task.answer(row.gold)
    if config.drop_disagreeing and reference is not None and not task.correct(said, reference):
        raise BadRow("disagrees", f"the teacher says {said[:60]!r}, the reference {reference[:60]!r}")


def _train_row(row: Completion) -> TrainRow:
    return TrainRow(id=row.id, messages=(*row.messages, Message(role="assistant", content=row.completion)))
