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
from azdistill.data.checks import RejectCounts, check_labels, check_rejects
from azdistill.data.splits import Splits, prompt_of, split_prompts
from azdistill.tasks.registry import task_of


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
            cases[split], rejected = read_cases(
                files[split], task, config.rows, slice_columns(config), config.columns or {}
            )
            rejects += rejected
    return ReadFiles(cases, rejects)


def prepare(read: ReadFiles, config: PrepareConfig) -> Splits:
    """Prompts of all splits. Raises DataError when too many rows are bad, their labels may be other ones, or no
    training or test row is left."""
    _check_ratio(read, config)
    cases = (case for cases in read.cases.values() for case in cases)
    check_labels(cases, config.task, config.labels, ("labels",))
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
        task = task_of(config.task, task_file, config.labels)
        cases, rejects = cases_of(rows, task, slice_columns(config), config.columns or {})
        read = ReadFiles({"train": cases}, rejects)
    _check_ratio(read, config)
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


def _check_ratio(read: ReadFiles, config: PrepareConfig) -> None:
    check_rejects(RejectCounts(read.rejects), sum(map(len, read.cases.values())), config.max_reject_ratio)
