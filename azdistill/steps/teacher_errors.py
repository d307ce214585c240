"""Errors of the teacher library, for steps whose settings are in another section of the job than `teacher`."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.problems import Problem


@contextmanager
def in_section(*section: str, fields: Collection[str] | None = None) -> Iterator[None]:
    """Errors raised in the block name `section` where they named section teacher. `fields`: only for these fields."""

    def renamed(problem: Problem) -> Problem:
        first, *field = problem.field or ("",)
        applies = first == "teacher" and (fields is None or (field and field[0] in fields))
        return replace(problem, field=(*section, *field)) if applies else problem

    try:
        yield
    except AzdistillError as error:
        raise type(error)(problems=[renamed(problem) for problem in error.problems]) from None
