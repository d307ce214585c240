"""Rows on which models are evaluated: a user's file, or the test rows of a run, with their reference answers."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import RUN_PROMPTS
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Gold, Prompt, gold_texts

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

WITHOUT_GOLD = "give each row a gold, or an assistant turn at its end, or name a file of references with --gold"


@dataclass(frozen=True)
class EvaluationRows:
    """Prompts with reference answers, and the numbers of rows that are left out."""

    prompts: list[Prompt]
    rejected: int = 0
    duplicates: int = 0
    without_reference: int = 0


def read_evaluation_rows(
    data: Path, gold: Path | None, config: PrepareConfig, task_file: Path | None = None
) -> EvaluationRows:
    """Read the rows of a JSONL file, or the test rows of a run folder. References of a `gold` file replace theirs.

    A row that repeats the conversation of an earlier one is left out, as in a job. Raises DataError for a file without
    a usable row or reference, and for a `gold` file that belongs to other rows or to another task.
    """
    from azdistill.data.prepare import read_prompts

    if (data / RUN_PROMPTS).is_file():
        prompts = [row for row in read_rows(data / RUN_PROMPTS, Prompt) if row.split == "test"]
        prompts, rejected = prompts[: config.rows or None], 0
    else:
        with _other_task(data):
            prompts, rejects = read_prompts(data, config, task_file)
        rejected = len(rejects)
    if gold is not None:
        prompts = _with_references(prompts, data, gold, config, task_file)
    unique = list({prompt.id: prompt for prompt in reversed(prompts)}.values())[::-1]
    scored = [prompt for prompt in unique if prompt.gold is not None]
    if not scored:
        raise DataError("no row has a reference answer", file=data, code="no_reference", fix=WITHOUT_GOLD)
    return EvaluationRows(scored, rejected, len(prompts) - len(unique), len(unique) - len(scored))


@contextmanager
def _other_task(data: Path) -> Iterator[None]:
    """Name the file and the task where too many rows are rejected: there is no step whose limit could be raised."""
    try:
        yield
    except DataError as error:
        fix = "correct the rows, or set the task of these rows"
        problems = [
            replace(problem, file=data, field=(), value=None, fix=fix)
            if problem.code == "too_many_rejects"
            else problem
            for problem in error.problems
        ]
        raise DataError(problems=problems) from None


def _with_references(
    prompts: list[Prompt], data: Path, gold: Path, config: PrepareConfig, task_file: Path | None
) -> list[Prompt]:
    """The prompts with the references of a file: those of the row with the same `id`, or else of the same number."""
    from azdistill.tasks.registry import task_of

    rows, references = _prompt_lines(prompts, data), _lines(gold)
    by_id = all("id" in record for record in (*rows.values(), *references.values()))
    if not by_id and len(rows) != len(references):
        raise DataError(
            f"{len(references)} references for the {len(rows)} rows of {data}",
            file=gold,
            code="other_rows",
            fix="give one reference for each row, in the same order, or an `id` to the rows of both files",
        )
    keys = {source: key for key, source in _keys(data, rows, by_id).items()}
    task = task_of(config.task, task_file, config.labels)
    golds = {
        key: _reference(gold, source, references[source], task)
        for key, source in _keys(gold, references, by_id).items()
    }
    if golds.keys().isdisjoint(keys.values()):
        raise DataError(
            f"none of its ids is the id of a row of {data}",
            file=gold,
            code="other_rows",
            fix="name the references of these rows",
        )
    return [prompt.model_copy(update={"gold": golds.get(keys[prompt.source])}) for prompt in prompts]


def _prompt_lines(prompts: list[Prompt], data: Path) -> dict[str, Mapping[str, Any]]:
    """All rows of the data by their source: those of a file as the user wrote them, those of a run as prompts."""
    is_run = (data / RUN_PROMPTS).is_file()
    return {prompt.source: {"id": prompt.id} for prompt in prompts} if is_run else _lines(data)


def _lines(path: Path) -> dict[str, Mapping[str, Any]]:
    """Rows of a file by their source, `file:line`. One that cannot be read is empty: it is rejected elsewhere."""
    from azdistill.tasks.records import read_records
    from azdistill.tasks.task import BadRow

    return {source: {} if isinstance(record, BadRow) else record for source, record in read_records(path)}


def _keys(path: Path, records: Mapping[str, Mapping[str, Any]], by_id: bool) -> dict[str, str]:
    """Source of each row by its key: its `id`, or its number. Raises DataError for an `id` of several rows."""
    sources: dict[str, str] = {}
    for number, (source, record) in enumerate(records.items()):
        key = str(record["id"]) if by_id else str(number)
        if key in sources:
            raise DataError(
                f"id {key!r} is that of {sources[key]}, too",
                file=path,
                line=int(source.rpartition(":")[2]),
                code="duplicate_ids",
                fix="give each row an `id` of its own",
            )
        sources[key] = source
    return sources


def _reference(path: Path, source: str, record: Mapping[str, Any], task: "Task") -> Gold | None:
    """Field `gold` of a row: text, or a list of right answers.

    Raises DataError without one, and for one that is no answer of the task.
    """
    from azdistill.tasks.fields import references
    from azdistill.tasks.task import BadRow

    line = int(source.rpartition(":")[2])
    try:
        gold = references(record, "gold")
    except BadRow as error:
        raise DataError(error.detail, file=path, line=line, code=error.reason, fix="give it a gold") from None
    for text in gold_texts(gold):
        if task.answer(text) is None:
            raise DataError(
                f"the reference {text[:60]!r} is not a valid answer of the task",
                file=path,
                line=line,
                code="other_task",
                fix="name the references of these rows, or set --task to the task of both files",
            )
    if gold is None:
        raise DataError("no reference", file=path, line=line, code="no_reference", fix="give it a gold")
    return gold
