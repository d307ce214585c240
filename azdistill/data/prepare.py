"""Prompts from the user's files, each row in one split."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Prompt, Reject, Split
from azdistill.data.cases import SourcedCase, cases_of, read_cases
from azdistill.data.splits import Splits, prompt_of, split_prompts
from azdistill.tasks.registry import task_of

# Rows from which on a label that never occurs is no accident: the chance is below 1 in 100,000.
FEWEST_LABELS = 30

# Bad rows that an error shows; all of them are in rejects.jsonl.
SHOWN_ROWS = 3


@dataclass(frozen=True)
class ReadFiles:
    """The usable rows of each file, and the rejected rows of all."""

    cases: Mapping[Split, Sequence[SourcedCase]]
    rejects: Sequence[Reject]


def read_files(files: Mapping[Split, Path], config: PrepareConfig, task_file: Path | None = None) -> ReadFiles:
    """Read every file to its end.

    Raises DataError for a file that cannot be read at all, InputError for a `task_file` that defines no task.
    """
    task = task_of(config.task, task_file, config.labels)
    cases: dict[Split, list[SourcedCase]] = {}
    rejects: list[Reject] = []
    for split in SPLITS:
        if split in files:
            cases[split], rejected = read_cases(files[split], task, config.rows, slice_columns(config))
            rejects += rejected
    return ReadFiles(cases, rejects)


def prepare(read: ReadFiles, config: PrepareConfig) -> Splits:
    """Prompts of all splits. Raises DataError when too many rows are bad, their labels may be other ones, or no
    training or test row is left."""
    _check_ratio(read, config.max_reject_ratio)
    _check_labels(read, config)
    _check_columns(read, config)
    return split_prompts(read.cases, config)


def read_prompts(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[Prompt], list[Reject]]:
    """Training prompts and rejected rows of one file or list. Raises DataError as `read_data` does."""
    cases, rejects = read_data(data, config, task_file)
    return [prompt_of(case, "train") for case in cases], rejects


def read_data(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[SourcedCase], list[Reject]]:
    """Cases and rejected rows of one file or list. Raises DataError when too many rows are bad, or all."""
    if isinstance(data, Path):
        read = read_files({"train": data}, config, task_file)
    else:
        rows = ((f"row {number}", row) for number, row in enumerate(data, 1))
        cases, rejects = cases_of(rows, task_of(config.task, task_file, config.labels), slice_columns(config))
        read = ReadFiles({"train": cases}, rejects)
    _check_ratio(read, config.max_reject_ratio)
    if not read.cases["train"]:
        raise DataError("no row can be used", subject="data", fix="give a JSONL file or a list with at least one row")
    return list(read.cases["train"]), list(read.rejects)


def counts(read: ReadFiles, splits: Splits) -> dict[str, Any]:
    """Row counts for the manifest: by split, and of the rows that are left out."""
    left_out = {"rejected": len(read.rejects), "duplicates": splits.duplicates, "leaked": splits.leaked}
    reasons = Counter(reject.reason for reject in read.rejects)
    return {split: splits.count(split) for split in SPLITS} | left_out | {"reasons": dict(sorted(reasons.items()))}


def slice_columns(config: PrepareConfig) -> list[str]:
    return config.slice_columns.split(",") if config.slice_columns else []


def _check_columns(read: ReadFiles, config: PrepareConfig) -> None:
    present = {name for cases in read.cases.values() for case in cases for name in case.columns}
    for name in slice_columns(config):
        if name not in present:
            raise DataError(
                "no row has this column",
                code="unknown_column",
                field=("data", "slice_columns"),
                value=name,
                fix="name a column of the rows that is a text, a number or a boolean",
            )


def _check_labels(read: ReadFiles, config: PrepareConfig) -> None:
    """The integers 0 and 1 are entailment and neutral in SNLI, and something else in a set of two labels."""
    golds = Counter(case.case.gold for cases in read.cases.values() for case in cases)
    is_two_way = {"entailment", "neutral"} <= golds.keys() and "contradiction" not in golds
    if config.task != "nli" or config.labels or not is_two_way or golds.total() < FEWEST_LABELS:
        return
    raise DataError(
        f"no label of {golds.total()} rows is 2 or contradiction, so 0 and 1 may be other labels",
        code="labels_not_stated",
        field=("labels",),
        fix="set labels in the order of their integers, such as labels: [entailment, not_entailment]",
    )


def _check_ratio(read: ReadFiles, max_ratio: float) -> None:
    rejected = len(read.rejects)
    rows = rejected + sum(map(len, read.cases.values()))
    if rejected <= max_ratio * rows:
        return
    shown = "; ".join(f"{reject.source}: {reject.reason}, {reject.detail}" for reject in read.rejects[:SHOWN_ROWS])
    more = f"; and {rejected - SHOWN_ROWS} more, all in rejects.jsonl" if rejected > SHOWN_ROWS else ""
    raise DataError(
        f"{rejected} of {rows} rows can't be used, more than the limit allows: {shown}{more}",
        code="too_many_rejects",
        field=("prepare", "max_reject_ratio"),
        value=max_ratio,
        fix="correct the rows, or raise max_reject_ratio to continue without them",
    )
