"""Result of one check, and the look-up that most checks start with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from azdistill.azure.errors import translate_errors
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.problems import Problem

Status = Literal["ok", "problem", "unknown"]
NOT_IN_WORKSPACE = "the workspace has none of that name"


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    `checked` names what was checked (`connection 'deepseek'`). `detail` says what was seen where that is ok. `problem`
    describes the error, or why the status is unknown, and has a fix.
    """

    checked: str
    status: Status
    detail: str = ""
    problem: Problem | None = None

    def __str__(self) -> str:
        return str(self.problem) if self.problem else f"{self.checked}: {self.detail}"


def ok(checked: str, detail: str) -> CheckResult:
    return CheckResult(checked, "ok", detail)


def failed(checked: str, code: str, message: str, fix: str = "", command: str = "") -> CheckResult:
    """A run would fail with this problem."""
    return CheckResult(
        checked, "problem", problem=Problem(code=code, subject=checked, message=message, fix=fix, command=command)
    )


def unknown(checked: str, code: str, message: str, fix: str = "", command: str = "") -> CheckResult:
    """Not visible from here, or a problem in some cases only."""
    return from_problem(
        checked, Problem(code=code, subject=checked, message=message, fix=fix, command=command), "unknown"
    )


def from_problem(checked: str, problem: Problem, status: Status | None = None) -> CheckResult:
    """The result of a check that found `problem`. The status is by default unknown for a warning, and it decides
    whether the result has an error or a warning."""
    status = status or ("problem" if problem.severity == "error" else "unknown")
    if not problem.subject and problem.file is None:
        problem = replace(problem, subject=checked)
    return CheckResult(
        checked, status, problem=replace(problem, severity="error" if status == "problem" else "warning")
    )


def look_up(
    checked: str, get: Callable[[], Any], fix: str = "", command: str = "", *, missing: str = NOT_IN_WORKSPACE
) -> tuple[Any, CheckResult | None]:
    """The asset that `get` returns, or the result of a failed look-up: Azure does not have it, or did not answer."""
    from azure.core.exceptions import ResourceNotFoundError

    try:
        with translate_errors(checked):
            try:
                return get(), None
            except ResourceNotFoundError:
                return None, failed(checked, "not_found", missing, fix, command)
    except AzdistillError as error:
        return None, from_problem(checked, error.problems[0], "unknown")
