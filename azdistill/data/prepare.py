"""The user's files to prompts, each row in one split."""

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

NAMED = 3
"""Bad rows that an error names; all of them are in rejects.jsonl."""


@dataclass(frozen=True)
class ReadFiles:
    """The usable rows of each file, and the others."""

    cases: Mapping[Split, Sequence[SourcedCase]]
    rejects: Sequence[Reject]


def read_files(files: Mapping[Split, Path], config: PrepareConfig, task_file: Path | None = None) -> ReadFiles:
    """Read every file to its end. Raises DataError for a file that is no use as a whole, InputError for a
    `task_file` that is no task."""
    task = task_of(config.task, task_file)
    cases: dict[Split, list[SourcedCase]] = {}
    rejects: list[Reject] = []
    for split in SPLITS:
        if split in files:
            cases[split], bad = read_cases(files[split], task, config.rows)
            rejects += bad
    return ReadFiles(cases, rejects)


def prepare(read: ReadFiles, config: PrepareConfig) -> Splits:
    """Prompts of all splits. Raises DataError when too many rows are bad, or none is left to learn from or test on."""
    _check_ratio(read, config.max_reject_ratio)
    return split_prompts(read.cases, config)


def read_prompts(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[Prompt], list[Reject]]:
    """The usable rows of one file or list, all to learn from, and the others. Raises DataError as `prepare` does."""
    cases, rejects = read_data(data, config, task_file)
    return [prompt_of(case, "train") for case in cases], rejects


def read_data(
    data: Path | Sequence[Mapping[str, Any]], config: PrepareConfig, task_file: Path | None = None
) -> tuple[list[SourcedCase], list[Reject]]:
    """The cases of one file or list and the rows that are none. Raises DataError when these are too many, or all."""
    if isinstance(data, Path):
        read = read_files({"train": data}, config, task_file)
    else:
        rows = ((f"row {number}", row) for number, row in enumerate(data, 1))
        cases, rejects = cases_of(rows, task_of(config.task, task_file))
        read = ReadFiles({"train": cases}, rejects)
    _check_ratio(read, config.max_reject_ratio)
    if not read.cases["train"]:
        raise DataError("data: no row can be used; give a JSONL file, or a list of at least one row")
    return list(read.cases["train"]), list(read.rejects)


def counts(read: ReadFiles, splits: Splits) -> dict[str, Any]:
    """What the manifest says of the rows."""
    left_out = {"rejected": len(read.rejects), "duplicates": splits.duplicates, "leaked": splits.leaked}
    reasons = Counter(reject.reason for reject in read.rejects)
    return {split: splits.count(split) for split in SPLITS} | left_out | {"reasons": dict(sorted(reasons.items()))}


def _check_ratio(read: ReadFiles, most: float) -> None:
    bad = len(read.rejects)
    rows = bad + sum(map(len, read.cases.values()))
    if bad <= most * rows:
        return
    named = "; ".join(f"{reject.source}: {reject.reason}, {reject.detail}" for reject in read.rejects[:NAMED])
    more = f"; and {bad - NAMED} more, all in rejects.jsonl" if bad > NAMED else ""
    raise DataError(
        f"{bad} of {rows} rows can't be used, more than prepare.max_reject_ratio={most:g} allows: {named}{more}. "
        "Mend them, or raise max_reject_ratio to go on without them"
    )
