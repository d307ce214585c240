"""Read and check a job file: YAML with positions, so that every problem has its line."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from azdistill.contracts.errors import SpecError
from azdistill.contracts.problems import FieldPath, Problem, limited
from azdistill.engine.yaml_document import Document, read_document
from azdistill.job import JOB_FILE
from azdistill.job.advice import advice
from azdistill.job.catalog import Catalog
from azdistill.job.judge_section import judge_file_problems
from azdistill.job.messages import errors_of, job_problems
from azdistill.job.model import DistillationJob, expand_job, known_to
from azdistill.job.native import is_native
from azdistill.job.overrides import override, override_short
from azdistill.job.paths import absent
from azdistill.job.shorthand import Values, as_written, expand, has_field
from azdistill.job.task import metric_file_problems, task_file_problems

NO_SETTINGS: Mapping[str, str] = {}


def load_job(path: Path | str, settings: Mapping[str, str] = NO_SETTINGS) -> DistillationJob:
    """The job of a YAML file. Local paths are relative to the file.

    `settings` replace fields of the file, by dotted name: `{"train.learning_rate": "1e-5"}`. Raises SpecError with
    all problems: `job.yaml:12: train.learning_rate=0.2: must be at most 0.01; did you mean 2e-5?`.
    """
    job, problems = check_job(path, settings=settings)
    if job is None:
        raise SpecError(problems=problems)
    return job


def check_job(
    path: Path | str, today: date | None = None, settings: Mapping[str, str] = NO_SETTINGS, *, files: bool = True
) -> tuple[DistillationJob | None, list[Problem]]:
    """The job of a YAML file, or of job.yaml in a folder, with its warnings, or None with its errors, by line.

    Azure's own `type: distillation` file is converted, and the differences are warnings. `today` decides which models
    are retired. Without `files`, the data files and the student's folder may be missing. Raises SpecError for a file
    that is not a YAML mapping.
    """
    file = Path(path, JOB_FILE) if os.path.isfile(Path(path, JOB_FILE)) else Path(path)
    document = read_document(file, SpecError, "job file")
    if is_native(document.value):
        return _check_native(document, today, settings, files)
    values, problems = _with_catalog(document)
    job, invalid, fields = _validate(values, document.path.parent, settings, files)
    locator = _Locator(document, fields)
    problems += map(locator.located, invalid)
    problems += task_file_problems(values.get("task", values.get("task_type")), document.path.parent)
    problems += metric_file_problems(values.get("metrics"), document.path.parent)
    problems += judge_file_problems(values.get("judge"), document.path.parent)
    if job is None or problems:
        return None, sorted(problems, key=lambda problem: (problem.file != document.path, problem.line))
    return job, _sorted(map(locator.located, advice(job, today)))


def located(path: Path, problems: Iterable[Problem]) -> list[Problem]:
    """Problems of the valid job of a file, each with its line, and with a path as the file has it."""
    document = read_document(path, SpecError, "job file")
    if is_native(document.value):
        return [problem.at(path) for problem in problems]
    locator = _Locator(document, set())
    return [_with_written_path(locator.located(problem), document) for problem in problems]


def _with_written_path(problem: Problem, document: Document) -> Problem:
    written = _value_at(document.value, problem.field)
    if not isinstance(written, str) or not isinstance(problem.value, str):
        return problem
    is_same = Path(document.path.parent, written) == Path(problem.value)
    return replace(problem, value=written) if is_same else problem


def _value_at(value: Any, field: FieldPath) -> Any:
    """The value of a field of a document; None where the document does not have it."""
    for name in field:
        try:
            value = value[name]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _check_native(
    document: Document, today: date | None, settings: Mapping[str, str], files: bool
) -> tuple[DistillationJob | None, list[Problem]]:
    """Same as `check_job` for a native file. Problems are reported at the fields of that file."""
    from azdistill.job.native.convert import converted
    from azdistill.job.native.job import read_native

    try:
        draft = converted(read_native(document.value))
    except SpecError as error:
        return None, _sorted(_at_own_line(document, error.problems))
    job, problems, fields = _validate(draft.values, document.path.parent, settings, files)
    overridden = [replace(problem, subject="--set") for problem in problems if problem.field in fields]
    others = [problem for problem in problems if problem.field not in fields]
    if job is None:
        return None, [*overridden, *_sorted(_at_own_line(document, draft.at_origins(others)))]
    return job, _sorted(_at_own_line(document, [*draft.notes, *draft.at_origins(advice(job, today))]))


def _at_own_line(document: Document, problems: Iterable[Problem]) -> list[Problem]:
    return [problem.at(document.path, document.line(problem.field)) for problem in problems]


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(problems, key=lambda problem: problem.line)


@dataclass(frozen=True)
class _Locator:
    """Adds file and line to problems. Fields that were set on the command line have none."""

    document: Document
    overridden: set[FieldPath]

    def located(self, problem: Problem) -> Problem:
        if self._is_overridden(problem.field):
            return replace(problem, subject="--set")
        field = as_written(problem.field, self.document.value)
        return replace(problem, field=field).at(self.document.path, self.document.line(field))

    def _is_overridden(self, field: FieldPath) -> bool:
        """True if a field was set on the command line, or is a section that only the command line has."""
        is_section = any(overridden[: len(field)] == field for overridden in self.overridden)
        return field in self.overridden or (is_section and not has_field(self.document.value, field))


def _validate(
    values: Values, base: Path, settings: Mapping[str, str], files: bool
) -> tuple[DistillationJob | None, list[Problem], set[FieldPath]]:
    """The job or the problems of its values and of the files that they name, and the fields that `settings` set."""
    values, fields, problems = override_short(values, settings), set[FieldPath](), list[Problem]()
    catalog = known_to(values)
    full, _ = expand(values, catalog)
    if settings:
        expanded, problems = expand_job(values)
        values, fields = override(expanded, settings)
        full, _ = override(full, settings)
    problems += absent(full, catalog, base) if files else ()
    try:
        job = DistillationJob.model_validate(values, context={"base": base})
    except SpecError as error:
        return None, [*error.problems, *problems], fields
    return (None if problems else job), problems, fields


def _with_catalog(document: Document) -> tuple[Values, list[Problem]]:
    """The values with the content of the catalog file in place of its name."""
    values = document.value
    if not isinstance(name := values.get("catalog"), str):
        return values, []
    try:
        catalog, problems = _read_catalog(document.path.parent / name)
    except SpecError as error:
        field: FieldPath = ("catalog",)
        line = document.line(field)
        unreadable = (replace(problem, message=problem.text) for problem in error.problems)
        problems = [replace(problem, field=field, value=name, fix="").at(document.path, line) for problem in unreadable]
        catalog = {}
    return {**values, "catalog": catalog}, problems


def _read_catalog(path: Path) -> tuple[Values, list[Problem]]:
    document = read_document(path, SpecError, "catalog")
    try:
        catalog = Catalog.model_validate(document.value, context={"base": path.parent})
    except ValidationError as error:
        return {}, _at_own_line(document, limited(job_problems(errors_of(error), Catalog, document.value)))
    return catalog.model_dump(exclude_unset=True), []
