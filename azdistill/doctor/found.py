"""An error as a finding."""

from azdistill.azure.checks.check import Check, State
from azdistill.contracts.errors import AzdistillError


def from_error(what: str, problem: AzdistillError, state: State = "wrong") -> Check:
    """The message in two: what is wrong and, after the first semicolon, what to do. It needn't name `what` again."""
    detail, _, move = str(problem).removeprefix(f"{what}: ").partition("; ")
    return Check(what, state, detail, move)
