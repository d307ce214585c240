"""Prompts from the user's files, each row in one split."""

import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import line_of, new_file, write_rows
from azdistill.contracts.layout import LEAKS_FILE, LEFT_OUT_FILE, PROMPTS_FILE, REJECTS_FILE
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Gold, Prompt, Reject, Split
from azdistill.contracts.task import OWN
from azdistill.data.cases import SourcedCase, cases_of, convert, prompt_of, read_cases
from azdistill.data.checks import check_labels, check_rejects, missing_columns
from azdistill.data.overlap import CHECK, find_overlaps, template_ngrams
from azdistill.data.personal_data import redact_case, redact_text
from azdistill.data.processes import map_in_processes
from azdistill.data.reject_counts import RejectCounts
from azdistill.data.row_store import RowStore, StoredRows
from azdistill.data.splits import LEFT_OUT, TEST, TRAIN, VALIDATION, Assignment, assign, check_splits
from azdistill.tasks.records import Unparsed, as_record, parse, read_unparsed
from azdistill.tasks.registry import task_of
from azdistill.tasks.task import Task

# Rows that are converted together.
PART = 500


def prepare(
    files: Mapping[Split, Path], config: PrepareConfig, folder: Path, task_file: Path | None = None
) -> dict[str, Any]:
    """Write prompts.jsonl, rejects.jsonl and left_out.jsonl to a folder. Returns the row counts for the manifest.

    Rows are read one after the other and kept in a temporary file. Rejects are written also when there are too many.
    Raises DataError for a file that cannot be read at all, when too many rows are bad, their labels may be other ones,
    or no training or test row is left; InputError for a `task_file` that defines no task.
    """
    with tempfile.TemporaryDirectory() as temporary:
        store = RowStore(Path(temporary, "rows"))
        try:
            rejects, personal_data = _read(files, config, folder, task_file, store)
            table = store.table()
            assignment = assign(table, files.keys(), config)
            check_splits(assignment, files.keys())
            leakage = _check_leakage(store, assignment, files.keys(), config, folder)
            check_splits(assignment, files.keys())
            _write(folder, store, assignment)
        finally:
            store.close()
    return {
        **{split: assignment.count(split) for split in SPLITS},
        "rejected": rejects.total,
        "reasons": dict(sorted(rejects.reasons.items())),
        "left_out": assignment.left_out(),
        **({"leakage": leakage} if leakage else {}),
        **({"personal_data": personal_data} if personal_data else {}),
    }


@dataclass
class _Converted:
    """Rows of a part of a file, and what the checks of all rows need of them."""

    rows: StoredRows
    rejects: list[Reject]
    columns: set[str]
    names: set[str]
    golds: Counter[Gold | None]
    personal_data: Counter[str]


def _read(
    files: Mapping[Split, Path], config: PrepareConfig, folder: Path, task_file: Path | None, store: RowStore
) -> tuple[RejectCounts, dict[str, Any]]:
    """Store the usable rows of every file, and write the rejected ones. Returns their counts, and those of personal
    data."""
    task = task_of(config.task, task_file, config.labels)
    # Task math has a process of its own, and a user's file may have any state.
    apply = map if config.task in ("math", OWN) else map_in_processes
    rejects, columns, golds, rows = RejectCounts(), set[str](), Counter[Gold | None](), 0
    names, personal_data = set[str](), Counter[str]()
    with new_file(folder / REJECTS_FILE) as stream:
        for split in SPLITS:
            if split not in files:
                continue
            parts = _parts(islice(read_unparsed(files[split]), config.rows or None))
            for part in apply(partial(_convert, task, config), parts):
                store.add(part.rows, split)
                for reject in part.rejects:
                    rejects.add(reject)
                    stream.write(line_of(reject))
                rows += len(part.rows)
                columns |= part.columns
                names |= part.names
                golds += part.golds
                personal_data += part.personal_data
    # The first rows of a file may lack a column that others have.
    if names and not config.rows and (missing := list(missing_columns(config.columns or {}, names))):
        raise DataError(problems=missing)
    check_rejects(rejects, rows, config.max_reject_ratio)
    check_labels(golds, config.task, config.labels, ("labels",))
    _check_columns(columns, config)
    if config.pii == "off":
        return rejects, {}
    return rejects, {"action": config.pii, "values": dict(sorted(personal_data.items()))}


def _parts(records: Iterator[tuple[str, Unparsed]]) -> Iterator[list[tuple[str, Unparsed]]]:
    while part := list(islice(records, PART)):
        yield part


def _convert(task: Task, config: PrepareConfig, records: list[tuple[str, Unparsed]]) -> _Converted:
    columns = [*config.sliced_by, *([config.group_column] if config.group_column else [])]
    part = _Converted(StoredRows(), [], set(), set(), Counter(), Counter())
    parsed = ((source, parse(row)) for source, row in records)
    for row in convert(parsed, task, columns, config.columns or {}, part.names if config.columns else None):
        if isinstance(row, Reject):
            detail = redact_text(row.detail, Counter()) if config.pii == "redact" else row.detail
            part.rejects.append(row.model_copy(update={"detail": detail}))
            continue
        if config.pii != "off":
            redacted = redact_case(row, part.personal_data)
            row = redacted if config.pii == "redact" else row
        part.rows.add(row, config)
        part.columns.update(row.columns)
        if config.task == "nli":
            part.golds[row.case.gold] += 1
    return part


def _check_leakage(
    store: RowStore, assignment: Assignment, files: Collection[Split], config: PrepareConfig, folder: Path
) -> dict[str, Any]:
    """Leave out, or report in leaks.jsonl, the training and validation rows that are nearly held-out rows.

    Returns the rule of the check and its counts; nothing without a check.
    """
    if config.leakage == "off" or "train" not in files:
        return {}
    templates = template_ngrams(store, assignment.rows(TRAIN, VALIDATION, TEST))
    compared, leaks = 0, list[Reject]()
    for split, held_out in ((VALIDATION, (TEST,)), (TRAIN, (TEST, VALIDATION))):
        rows = assignment.rows(split)
        overlaps = find_overlaps(store, rows, assignment.rows(*held_out), templates)
        compared += len(rows)
        for overlap in overlaps:
            if config.leakage == "drop":
                assignment.leave_out(overlap.row, "near_leaked", overlap.other)
            else:
                leaks.append(_left_out(store, assignment, overlap.row, "near_leaked", overlap.other))
    if config.leakage == "report":
        write_rows(folder / LEAKS_FILE, leaks)
    near = len(leaks) or assignment.left_out().get("near_leaked", 0)
    return {"check": CHECK, "compared": compared, "near_leaked": near, "action": config.leakage}


def _left_out(store: RowStore, assignment: Assignment, row: int, reason: str, other: int) -> Reject:
    detail = LEFT_OUT[reason].format(other=store.source(other), split=SPLITS[assignment.split[other]])
    return Reject(source=store.source(row), reason=reason, detail=detail)


def _write(folder: Path, store: RowStore, assignment: Assignment) -> None:
    with new_file(folder / PROMPTS_FILE) as stream:
        for split in SPLITS:
            stream.writelines(store.prompts(assignment.rows(SPLITS.index(split)), split))
    left_out = (_left_out(store, assignment, *row) for row in assignment.reasons())
    write_rows(folder / LEFT_OUT_FILE, left_out)


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
    task = task_of(config.task, task_file, config.labels)
    columns, renames = config.sliced_by, config.columns or {}
    if isinstance(data, Path):
        cases, rejects = read_cases(data, task, config.rows, columns, renames)
    else:
        rows = ((f"row {number}", as_record(row)) for number, row in enumerate(data, 1))
        cases, rejects = cases_of(rows, task, columns, renames)
    check_rejects(RejectCounts(rejects), len(cases), config.max_reject_ratio)
    if not cases:
        raise DataError("no row can be used", subject="data", fix="give a JSONL file or a list with at least one row")
    return cases, rejects


def _check_columns(present: Collection[str], config: PrepareConfig) -> None:
    """Raise DataError for a slice column or group column that no row has."""
    fields = [(("data", "slice_columns"), name) for name in config.sliced_by]
    if config.group_column:
        fields.append((("prepare", "group_column"), config.group_column))
    for field, name in fields:
        if name not in present:
            raise DataError(
                "no row has this column",
                code="unknown_column",
                field=field,
                value=name,
                fix="name a column of the rows that is a text, a number or a boolean",
            )
