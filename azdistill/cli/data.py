"""azdistill data: show rows as they are read, and what a run did with a row."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azdistill.cli.render import console, print_columns

if TYPE_CHECKING:
    from rich.text import Text

    from azdistill.data.cases import SourcedCase
    from azdistill.data.preview import Preview

# Reasons for which a row with another label, or with an integer of another data set, is rejected.
LABEL_REASONS = ("label_order", "unknown_label")

data = typer.Typer(rich_markup_mode=None)


@data.callback()
def about() -> None:
    """Show the rows of a data file, or what a run did with one row.

    Example: azdistill data show rows.jsonl
    """


@data.command("show")
def show(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|RUN",
            help="JSONL, a JSON array, CSV, Parquet or Arrow, or a folder of such files; with ROW, the folder of a "
            "run, or its name in runs/",
        ),
    ],
    row: Annotated[
        str | None, typer.Argument(metavar="ROW", help="id of a row, the beginning of one, or its FILE:LINE")
    ] = None,
    task: Annotated[
        str, typer.Option(metavar="TASK", help="task of the rows: conversation, nli, qa, math or summarization")
    ] = "conversation",
    labels: Annotated[str | None, typer.Option(metavar="NAMES", help="labels of task nli, separated by commas")] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="MAPPING", help="data.columns of a job, such as '{prompt: Q, completion: A}'")
    ] = None,
    student: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="show the rows as this model reads them, with its targets")
    ] = None,
    rows: Annotated[int, typer.Option(min=0, metavar="N", help="number of rows to show")] = 3,
) -> None:
    """Show how the rows of a file are read, or what a run did with one row.

    Of a file or folder: format, rejected rows with reasons, fields that are not read, first rows. Of more than 10 MB
    the first 2,000 rows are read.

    With --student the rows are rendered by its chat template. Target tokens, which the student is trained on, are
    green, or between [ and ] where there are no colors.

    Of a row of a run: its source and split, why a step removed it, each answer of a teacher with its calls and cost,
    the filters that it passed, its target; of a test row, the answers of all models with their scores, and the
    training rows with the most similar prompts.

    Example: azdistill data show rows.csv --task qa

    Example: azdistill data show runs/quickstart training_data.jsonl:12

    Exit codes: 0 shown, 2 the file cannot be read, or no row can be used, or there is no such run or row.
    """
    if row is None:
        _show_file(path, task, labels, columns, student, rows)
    else:
        _show_row(path, row)


def _show_row(path: Path, row: str) -> None:
    from azdistill.cli.row_story import print_story
    from azdistill.contracts.errors import InputError
    from azdistill.local_runs.row_story import find_prompts_run, row_story

    if path.is_file():
        fix = "name the run that read it, or leave the row out"
        raise InputError("a file, and a row needs a run", file=path, code="not_a_run", fix=fix)
    print_story(row_story(find_prompts_run(path), row))


def _show_file(file: Path, task: str, labels: str | None, columns: str | None, student: Path | None, rows: int) -> None:
    from azdistill.contracts.errors import DataError, InputError
    from azdistill.data.checks import missing_columns
    from azdistill.data.preview import preview
    from azdistill.doctor.data import MAX_BYTES, MAX_ROWS
    from azdistill.local_runs.run_folder import RUNS, read_run
    from azdistill.tasks.shards import text_bytes

    if read_run(file) or (not file.exists() and read_run(RUNS / file)):
        fix = "name a row too: azdistill data show RUN ROW; or name a file or folder of rows"
        raise InputError("a run", file=file, code="no_row", fix=fix)
    max_rows = MAX_ROWS if text_bytes(file) > MAX_BYTES else 0
    renames = _columns(columns) if columns else {}
    read = preview(file, _task(task, labels), renames=renames, max_rows=max_rows, kept=rows, task_name=task)
    if read.columns and (missing := list(missing_columns(renames, read.columns))):
        raise DataError(problems=missing)
    _print_summary(file, read)
    if not read.usable:
        raise DataError("no row can be used", file=file, code="no_rows", fix=_fix(read))
    texts = _rendered(student, read.cases) if student else [_turns(case) for case in read.cases]
    for case, text in zip(read.cases, texts, strict=True):
        console().print(f"\n{case.source}", style="bold", markup=False, highlight=False)
        console().print(text, soft_wrap=True)


def _fix(read: "Preview") -> str:
    """The change that makes the rows usable, by the most frequent reason for which they are rejected."""
    from azdistill.data.columns import ADD_HEADER

    if read.reasons[0][0] in LABEL_REASONS:
        return "name the labels of the rows in the order of their integers: --labels, or labels in a job"
    if read.reasons[0][0] != "missing_field":
        return "correct the rows"
    if read.lacks_header:
        return ADD_HEADER
    if not read.suggestion:
        return "choose another --task, or rename fields"
    return f"choose another --task, or --columns {shlex.quote(read.suggestion)}, which is data.columns in a job"


def _columns(text: str) -> Mapping[str, str]:
    """Columns by field, from a YAML mapping. Raises InputError for another text."""
    import yaml

    from azdistill.contracts.errors import InputError

    try:
        columns = yaml.safe_load(text)
    except yaml.YAMLError:
        columns = None
    if not isinstance(columns, dict) or not all(isinstance(name, str) for name in (*columns, *columns.values())):
        fix = "for example '{prompt: Question, completion: Answer}'"
        raise InputError("must be a mapping of fields", subject=f"--columns {text!r}", code="wrong_format", fix=fix)
    return columns


def _task(name: str, labels: str | None) -> Any:
    from azdistill.contracts.errors import InputError
    from azdistill.contracts.problems import suggest
    from azdistill.tasks.nli import LabelTask
    from azdistill.tasks.registry import TASKS

    tasks = dict[str, Any](TASKS.items())
    if labels:
        tasks["nli"] = LabelTask(labels.split(","))
    if name not in tasks:
        subject = f"--task {name!r}"
        raise InputError("unknown task", subject=subject, code="unknown_task", fix=suggest(name, list(tasks)))
    return tasks[name]


def _print_summary(file: Path, read: "Preview") -> None:
    from azdistill.doctor.data import describe

    print_columns([(f"{file.name or file}:", describe(read))])
    examples = {reject.reason: reject for reject in reversed(read.rejects)}
    print_columns(
        [
            ("rejected", f"{count:,}", reason, f"{examples[reason].source}: {examples[reason].detail}")
            for reason, count in read.reasons
        ]
    )
    print_columns([("not read", f"{count:,}", f"field {name}") for name, count in read.unused.most_common()])


def _turns(sourced: "SourcedCase") -> "Text":
    from rich.text import Text

    from azdistill.contracts.rows import gold_texts

    text = Text()
    turns = [(turn.role, turn.content) for turn in sourced.case.messages]
    for name, content in [*turns, *(("reference", gold) for gold in gold_texts(sourced.case.gold))]:
        text.append(f"{name}: ", "bold").append(f"{content}\n", "green" if name == "reference" else "")
    return text


def _rendered(student: Path, shown: "Sequence[SourcedCase]") -> "list[Text]":
    """The rows as token ids decoded again, so that what is shown is what the student reads."""
    from azdistill.contracts.extras import check_steps
    from azdistill.contracts.rows import Message, gold_texts

    check_steps(["predict"], extra="train")
    from azdistill.students.loading import load_tokenizer
    from azdistill.students.template import tokenize_prompts, tokenize_rows

    tokenizer = load_tokenizer(student)
    texts = []
    for sourced in shown:
        messages, golds = sourced.case.messages, gold_texts(sourced.case.gold)
        if golds:
            (row,) = tokenize_rows(tokenizer, [(*messages, Message(role="assistant", content=golds[0]))])
            texts.append(_with_targets(tokenizer, row.input_ids, row.targets))
        else:
            (ids,) = tokenize_prompts(tokenizer, [messages])
            texts.append(_with_targets(tokenizer, ids, ()))
    return texts


def _with_targets(tokenizer: Any, ids: list[int], targets: tuple[tuple[int, int], ...]) -> "Text":
    from rich.text import Text

    text, end = Text(), 0
    for start, stop in targets:
        text.append(tokenizer.decode(ids[end:start])).append("[", "green")
        text.append(tokenizer.decode(ids[start:stop]), "green").append("]", "green")
        end = stop
    count = sum(stop - start for start, stop in targets)
    return text.append(tokenizer.decode(ids[end:])).append(f"\n{len(ids)} tokens, {count} of them targets", "dim")
