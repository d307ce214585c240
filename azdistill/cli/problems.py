"""Render problems for people (text), for programs (JSON) and for GitHub Actions (annotations)."""

import json
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.engine.problems import Problem, can_be_forced, dotted


class ProblemFormat(StrEnum):
    text = "text"
    json = "json"
    github = "github"


def render(problems: Iterable[Problem], format: ProblemFormat) -> str:
    """All problems in a format: one line each as text or annotations, a list of objects as JSON."""
    if format == ProblemFormat.json:
        return json.dumps([as_object(problem) for problem in problems], indent=2)
    line = str if format == ProblemFormat.text else as_annotation
    return "\n".join(map(line, problems))


def render_error(error: AzdistillError) -> str:
    """The text of an error on the terminal. Text that starts with a file and line gets no prefix: editors parse it."""
    text = str(error)
    is_located = any(problem.file for problem in error.problems)
    return text if is_located or "\n" in text else f"azdistill: {text}"


def force_advice(problems: Iterable[Problem], command: str) -> str:
    """The command that runs a pipeline file here in spite of these errors; empty if the local engine refuses it, too.

    `command` is the command line without --force, which a run needs unless all errors are about Azure ML only.
    """
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors or not all(map(can_be_forced, errors)):
        return ""
    option = "" if all(problem.scope == "azure" for problem in errors) else " --force"
    return f"A local run can ignore these errors: {command}{option}"


def as_object(problem: Problem) -> Mapping[str, Any]:
    """A problem as a JSON object. Line 0 means the complete file. A value that is absent or may be secret is null."""
    return {
        "code": problem.code,
        "severity": problem.severity,
        "subject": problem.subject,
        "file": None if problem.file is None else str(problem.file),
        "line": problem.line,
        "field": dotted(problem.field),
        "value": problem.value if problem.value == problem.value else "nan",  # JSON has no NaN
        "message": problem.message,
        "fix": problem.fix,
        "command": problem.command,
        "refused_by": problem.refused_by,
    }


def as_annotation(problem: Problem) -> str:
    """A workflow command of GitHub Actions, which shows the problem at its line: `::error file=job.yaml,line=12::...`.

    https://docs.github.com/actions/reference/workflow-commands-for-github-actions
    """
    properties = {
        "file": "" if problem.file is None else str(problem.file),
        "line": str(problem.line) if problem.line else "",
        "title": problem.code,
    }
    listed = ",".join(f"{name}={_escape_property(value)}" for name, value in properties.items() if value)
    return f"::{problem.severity} {listed}::{_escape(problem.text)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")
