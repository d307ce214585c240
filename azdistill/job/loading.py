"""Read a job file: YAML with positions, so that every finding names its line."""

from collections.abc import Iterable
from datetime import date
from pathlib import Path

from pydantic import ValidationError

from azdistill.contracts.errors import SpecError
from azdistill.contracts.findings import Place, named
from azdistill.contracts.problems import Problem, Severity, shorten
from azdistill.engine.yaml_document import Document, read_document
from azdistill.job.advice import advice
from azdistill.job.catalog import Catalog
from azdistill.job.messages import in_words
from azdistill.job.model import DistillationJob, known_to
from azdistill.job.models import AS_OF
from azdistill.job.native import is_native
from azdistill.job.paths import absent
from azdistill.job.shorthand import Values, as_written, expand
from azdistill.job.task import wrong_task

Found = list[tuple[Place, str]]


def load_job(path: Path | str) -> DistillationJob:
    """The job of a YAML file; its local paths are taken relative to the file.

    Raises SpecError, one line a finding: `job.yaml:12: train.learning_rate=0.2: ...`.
    """
    job, found = check_job(path)
    if job is None:
        raise SpecError("\n".join(map(str, found)))
    return job


def check_job(path: Path | str, today: date = AS_OF) -> tuple[DistillationJob | None, list[Problem]]:
    """The job of a YAML file and what is to be said about it, line by line: no job and its errors, or a
    job and its warnings. Raises SpecError for a file that is no YAML mapping at all.

    Azure's own `type: distillation` file is a job too; what it becomes other than it was is told with the warnings.
    `today` decides which models are retired.
    """
    document = read_document(Path(path), SpecError, "job file")
    if is_native(document.value):
        return _check_native(document, today)
    values, errors = _with_catalog(document)
    job, found = _validated(values, document.path.parent)
    errors += _located(document, "error", found)
    errors += wrong_task(values.get("task", values.get("task_type")), document.path.parent)
    if job is None or errors:
        return None, sorted(errors, key=lambda finding: (finding.file != document.path, finding.line))
    return job, _in_order(_located(document, "warning", advice(job, today)))


def _check_native(document: Document, today: date) -> tuple[DistillationJob | None, list[Problem]]:
    """As `check_job`: what a native job becomes is checked, and told of the lines that it came from."""
    from azdistill.job.native.convert import converted
    from azdistill.job.native.job import read_native

    try:
        draft = converted(read_native(document.value))
    except SpecError as problem:
        return None, _in_order(_native(document, "error", problem.found))
    job, wrong = _validated(draft.values, document.path.parent)
    if job is None:
        return None, _in_order(_native(document, "error", draft.traced(wrong)))
    return job, _in_order(_native(document, "warning", [*draft.notes, *draft.traced(advice(job, today))]))


def _native(document: Document, severity: Severity, found: Iterable[tuple[Place, str]]) -> list[Problem]:
    """Places are those of the file itself, which has no short form."""
    return [_problem(document, severity, place, text) for place, text in found]


def _in_order(found: list[Problem]) -> list[Problem]:
    return sorted(found, key=lambda problem: problem.line)


def _located(document: Document, severity: Severity, found: Iterable[tuple[Place, str]]) -> list[Problem]:
    return [_problem(document, severity, as_written(place, document.value), text, place) for place, text in found]


def _problem(document: Document, severity: Severity, field: Place, text: str, place: Place | None = None) -> Problem:
    """A sentence as a problem; `place` is the field that it begins with, where it is written in the short form."""
    name, value = named(field if place is None else place), _value(document, field)
    code = "invalid_field" if severity == "error" else "advice"
    line = document.line(field)
    for shown, known in ((f"{name}={shorten(value)}: ", value), (f"{name}: ", None)):
        if name and text.startswith(shown):
            message = text.removeprefix(shown)
            return Problem(code=code, message=message, severity=severity, field=field, value=known).at(
                document.path, line
            )
    text = named(field) + text.removeprefix(name) if text.startswith(name) else text
    return Problem(code=code, message=text, severity=severity).at(document.path, line)


def _value(document: Document, field: Place) -> object:
    value: object = document.value
    for key in field:
        if isinstance(value, dict):
            value = value.get(str(key))
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            value = value[key]
        else:
            return None
    return value


def _validated(values: Values, base: Path) -> tuple[DistillationJob | None, Found]:
    """The job, or everything that is wrong with the values and with the files they name."""
    known = known_to(values)
    full, _ = expand(values, known)
    gone = list(absent(full, known, base))
    try:
        job = DistillationJob.model_validate(values, context={"base": base})
    except SpecError as problem:
        return None, [*problem.found, *gone]
    return (None if gone else job), gone


def _with_catalog(document: Document) -> tuple[Values, list[Problem]]:
    """The values, with the catalog in their midst where they name a file of it."""
    values = document.value
    if not isinstance(name := values.get("catalog"), str):
        return values, []
    try:
        catalog, found = _read_catalog(document.path.parent / name)
    except SpecError as problem:
        catalog, found = {}, _located(document, "error", [(("catalog",), f"catalog={name!r}: {problem}")])
    return {**values, "catalog": catalog}, found


def _read_catalog(path: Path) -> tuple[Values, list[Problem]]:
    document = read_document(path, SpecError, "catalog")
    try:
        catalog = Catalog.model_validate(document.value, context={"base": path.parent})
    except ValidationError as problem:
        return {}, _located(document, "error", in_words(problem, Catalog, document.value))
    return catalog.model_dump(exclude_unset=True), []
