"""Check the rows of a job's local files, as step prepare reads them."""

import filecmp
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from azdistill.contracts.errors import DataError
from azdistill.contracts.evaluate import EvaluateConfig
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.problems import Problem, has_errors, suggest
from azdistill.contracts.results import MOST_TRUNCATED
from azdistill.contracts.rows import Gold, gold_texts
from azdistill.contracts.task import OWN
from azdistill.data.cases import GENERAL_PROMPTS
from azdistill.data.checks import check_labels, check_rejects, missing_columns
from azdistill.data.columns import ADD_HEADER, FIELDS, GENERAL_FIELDS
from azdistill.data.preview import Preview, preview
from azdistill.data.reject_counts import RejectCounts
from azdistill.doctor.gates import few_rows
from azdistill.doctor.prompt_lengths import prompts_without_room
from azdistill.job.model import DistillationJob
from azdistill.job.paths import FILES, is_remote
from azdistill.job.placeholders import placeholder_problems
from azdistill.job.plan import step_configs
from azdistill.job.student_folder import student_problems
from azdistill.job.student_rows import MOST_CHARACTERS
from azdistill.tasks.registry import task_of
from azdistill.tasks.shards import text_bytes

# A larger file is checked by its first rows.
MAX_BYTES, MAX_ROWS = 10_000_000, 2_000

# A larger file is not compared with others.
MAX_COMPARED_BYTES = 1_000_000_000

# Shapes that the description of a file names.
MOST_SHAPES = 4

# The field of the reference answer in rows of each task's own fields, and names that people give it.
ANSWER_FIELDS = {
    "conversation": "completion",
    "qa": "answer",
    "math": "answer",
    "summarization": "summary",
    "nli": "label",
}
OTHER_NAMES = ("gold", "label", "reference", "ground_truth", "expected", "expected_output", "target", "answer")

# Fields of public data sets that contain a part of the question or the answer.
CONTENT = frozenset(
    {
        "answer", "answerKey", "answers", "choices", "completion", "context", "gold", "ground_truth", "images", "input",
        "label", "labels", "options", "output", "passage", "reference", "rejected", "response", "solution", "system",
        "target", "tools",
    }
)  # fmt: skip


@dataclass(frozen=True)
class FileCheck:
    """A local data file of a job: the line that describes its rows, its problems, and the number of usable rows, None
    where not all were read. `references` is the number of rows with a reference answer, of those that were read, and
    `golds` counts the answers. `columns` are the names of their columns. `reference_fix` is the change that gives the
    rows reference answers. `is_complete`: all rows were read."""

    name: str
    summary: str
    problems: Sequence[Problem]
    rows: int | None = None
    references: int | None = None
    columns: Collection[str] = ()
    reference_fix: str = ""
    is_complete: bool = False
    golds: Mapping[Gold | None, int] = field(default_factory=dict)


def check_files(job: DistillationJob) -> Iterator[FileCheck]:
    """Check every data file on this machine. Rows of a task file, whose code would run, are not read."""
    config = step_configs(job)["prepare"]
    assert isinstance(config, PrepareConfig)
    if config.task == OWN:
        return
    paths = {name: path for name in FILES if (path := getattr(job.data, name))}
    local = {name: Path(path) for name, path in paths.items() if not is_remote(path) and Path(path).exists()}
    files = [_check_file(config, name, path) for name, path in local.items()]
    if len(files) == len(paths) and all(file.is_complete for file in files):
        columns = {column for file in files for column in file.columns}
        if columns and (missing := list(missing_columns(config.columns or {}, columns))):
            # The other problems of the rows may be due to it.
            yield FileCheck("columns", "", missing)
            return
    for file in files:
        others = (
            *_training_data(job, file),
            *_few_rows(job, file),
            *_no_references(job, file),
            *_long_references(job, file),
            *_long_prompts(job, config, file),
        )
        yield replace(file, problems=[*file.problems, *others])


def local_problems(job: DistillationJob, files: Iterable[FileCheck]) -> list[Problem]:
    """Problems of a valid job on this machine: placeholders in endpoints, a student that cannot be trained, and rows
    that cannot be used, from `check_files`."""
    rows = [problem for file in files for problem in file.problems]
    return [*placeholder_problems(job), *student_problems(job), *rows]


def _training_data(job: DistillationJob, checked: FileCheck) -> Iterator[Problem]:
    """An error for held-out data that is the training data, or a copy of it: step prepare leaves no training row."""
    path, training = getattr(job.data, checked.name), job.data.training_data
    if checked.name == "training_data" or is_remote(training) or not Path(training).exists():
        return
    if _are_equal(Path(path), Path(training)):
        yield Problem(
            code="repeated_file",
            message="is also the training data, and a held-out row is never a training row",
            fix="name other rows, or remove the field to hold out a part of the training rows",
            field=("data", checked.name),
            value=path,
        )


def _are_equal(file: Path, other: Path) -> bool:
    """True for one file or folder, and for two files with the same bytes."""
    if file.samefile(other):
        return True
    is_readable = file.is_file() and other.is_file() and file.stat().st_size <= MAX_COMPARED_BYTES
    return is_readable and filecmp.cmp(file, other, shallow=False)


def _no_references(job: DistillationJob, checked: FileCheck) -> Iterator[Problem]:
    """A warning for a file of which no test row will have a reference answer, such as logs."""
    if _has_tests(job, checked) and checked.references == 0:
        yield Problem(
            code="no_references",
            message="no test row has a reference answer, so student and teacher are only compared with each other",
            fix=checked.reference_fix,
            field=("data", checked.name),
            value=getattr(job.data, checked.name),
            severity="warning",
        )


def _reference_fix(config: PrepareConfig, read: Preview) -> str:
    """The change that gives the rows of the most frequent shape reference answers."""
    ((shape, _),) = read.shapes.most_common(1) or [("", 0)]
    fields = set(shape.split(" + "))
    if fields <= {"conversation", "conversations"} or not fields <= {*read.columns, *(config.columns or {})}:
        return "end the rows with an assistant turn, or add a field gold"
    answer = "completion" if fields & GENERAL_PROMPTS else ANSWER_FIELDS[config.task]
    unread = next((name for name in OTHER_NAMES if name in read.unused), None)
    return f"rename the field {unread} to {answer}" if unread else f"add a field {answer}"


def _has_tests(job: DistillationJob, checked: FileCheck) -> bool:
    return checked.name == ("training_data" if job.data.test_data is None else "test_data")


def _long_references(job: DistillationJob, checked: FileCheck) -> Iterator[Problem]:
    """A warning when many answers as long as the references would be cut, with any tokenizer."""
    if not _has_tests(job, checked) or not checked.references:
        return
    limit = job.predict.max_new_tokens
    lengths = Counter[int]()
    for gold, rows in checked.golds.items():
        if texts := gold_texts(gold):
            lengths[min(map(len, texts)) // MOST_CHARACTERS] += rows
    too_long = sum(rows for tokens, rows in lengths.items() if tokens > limit)
    if too_long > MOST_TRUNCATED * checked.references:
        yield Problem(
            code="answers_too_long",
            message=f"{too_long:,} of {checked.references:,} reference answers are longer, so the student's are cut",
            fix=f"raise it: the longest has at least {max(lengths):,} tokens",
            field=("predict", "max_new_tokens"),
            value=limit,
            severity="warning",
        )


def _long_prompts(job: DistillationJob, config: PrepareConfig, checked: FileCheck) -> Iterator[Problem]:
    if checked.name == "training_data" and not has_errors(checked.problems):
        yield from prompts_without_room(job, config, Path(job.data.training_data))


def _few_rows(job: DistillationJob, checked: FileCheck) -> Iterator[Problem]:
    """A warning for a file whose test rows are too few for the gates."""
    evaluate = step_configs(job)["evaluate"]
    assert isinstance(evaluate, EvaluateConfig)
    if checked.rows is None or job.prepare.rows:
        return
    if checked.name == "test_data":
        yield from few_rows(evaluate, checked.rows)
    elif checked.name == "training_data" and job.data.test_data is None:
        yield from few_rows(evaluate, max(round(checked.rows * job.prepare.test_fraction), 1), "about ")


def _check_file(config: PrepareConfig, name: str, path: Path) -> FileCheck:
    try:
        max_rows = MAX_ROWS if text_bytes(path) > MAX_BYTES else 0
        task = task_of(config.task, labels=config.labels)
        read = preview(path, task, config.sliced_by, config.columns or {}, max_rows, task_name=config.task)
    except DataError as error:
        return FileCheck(name, "", [_of_file(problem, name, path) for problem in error.problems])
    checked = FileCheck(name, "", [], columns=read.columns, is_complete=read.is_complete)
    try:
        _check_rejects(read, config.max_reject_ratio)
        check_labels(read.golds, config.task, config.labels, ("labels",))
    except DataError as error:
        return replace(checked, problems=[_of_file(problem, name, path) for problem in error.problems])
    return replace(
        checked,
        summary=f"{path.name}: {describe(read)}",
        problems=[
            *(replace(problem, field=("data", name), value=str(path)) for problem in _warnings(read)),
            *_unread_columns(config, read),
        ],
        rows=read.usable if read.is_complete else None,
        references=read.references,
        reference_fix=_reference_fix(config, read),
        golds=read.golds,
    )


def _unread_columns(config: PrepareConfig, read: Preview) -> Iterator[Problem]:
    """An error for each field of `data.columns` that the task does not read, such as a misspelt one."""
    shapes = {field for shape in read.shapes for field in shape.split(" + ")}
    for name, column in (config.columns or {}).items():
        if name in read.unused and name not in shapes:
            yield Problem(
                code="unread_column",
                message=f"task {config.task} does not read field {name!r}",
                fix=suggest(name, sorted({*FIELDS.get(config.task, GENERAL_FIELDS), *CONTENT})),
                field=("data", "columns", name),
                value=column,
            )


def _of_file(problem: Problem, name: str, path: Path) -> Problem:
    """The problem of a data file at its field of the job. In a folder the message names the file."""
    if problem.field:
        return problem
    location = problem.location.removeprefix(f"{path}/") if problem.file not in (None, path) or problem.line else ""
    message = f"{location}: {problem.message}" if location else problem.message
    return replace(problem, field=("data", name), value=str(path), message=message)


def _check_rejects(read: Preview, max_ratio: float) -> None:
    """Raise DataError as step prepare does, with columns that may be the question and the answer."""
    try:
        check_rejects(RejectCounts(read.rejects), read.usable, max_ratio)
    except DataError as error:
        raise DataError(problems=[_with_columns(problem, read) for problem in error.problems]) from None


def _with_columns(problem: Problem, read: Preview) -> Problem:
    """The problem with the header that the file lacks, or the mapping of `data.columns` that would accept the rows."""
    if read.lacks_header:
        return replace(problem, fix=ADD_HEADER)
    if not read.suggestion:
        return problem
    fix = f"set data.columns: {read.suggestion} if these are the right columns, or {problem.fix}"
    return replace(problem, fix=fix)


def describe(read: Preview) -> str:
    """Format, rows and references in one line."""
    which = "" if read.is_complete else "the first "
    rows = "1 row" if read.rows == 1 else f"{read.rows:,} rows"
    rejected = f", {len(read.rejects):,} of them rejected" if read.rejects else ""
    return f"{read.format}, {which}{rows} ({_shapes(read)}){rejected}, {read.references:,} with a reference answer"


def _shapes(read: Preview) -> str:
    """The shapes of the usable rows, with their numbers where there are several."""
    shapes = read.shapes.most_common()
    if len(shapes) == 1:
        return shapes[0][0]
    return ", ".join(f"{name} {count:,}" for name, count in shapes[:MOST_SHAPES]) or "of no shape that is read"


def _warnings(read: Preview) -> Iterator[Problem]:
    if read.rejects:
        reasons = ", ".join(f"{reason} {count}" for reason, count in read.reasons[:3])
        first = read.rejects[0]
        message = f"{len(read.rejects)} of {read.rows} rows are rejected ({reasons}); {first.source}: {first.detail}"
        fix = "correct the rows to train on them"
        yield _with_columns(Problem(code="rejected_rows", message=message, fix=fix, severity="warning"), read)
    if ignored := {field: count for field, count in read.unused.items() if field in CONTENT}:
        fields = ", ".join(f"{field} ({count} rows)" for field, count in sorted(ignored.items()))
        yield Problem(
            code="unused_fields",
            message=f"fields that the task does not read: {fields}",
            fix="rename the fields if the student needs them, or choose another task",
            severity="warning",
        )
