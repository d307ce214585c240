"""Errors whose message is written for the user. `azdistill.engine.errors` shows the complete tree.

Each carries its problems as data and an exit code. Anything else that is raised is a bug and keeps its traceback.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Unpack

from azdistill.engine.problems import Authority, Problem, ProblemFields


class AzdistillError(Exception):
    """Base of every error whose message is written for the user.

    Raise it with a message and the fields of its problem::

        raise InputError("no such file", file=path, fix="paths are relative to the job file")

    or with several problems: `raise InputError(problems=problems)`.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "failed"
    refused_by: ClassVar[tuple[Authority, ...]] = ()

    def __init__(
        self, message: str = "", /, *, problems: Sequence[Problem] = (), **fields: Unpack[ProblemFields]
    ) -> None:
        fields.setdefault("code", self.code)
        fields.setdefault("refused_by", self.refused_by)
        first = (Problem(message=message, **fields),) if message else ()
        self.problems: tuple[Problem, ...] = (*first, *problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[Callable[[], "AzdistillError"], tuple[()]]:
        """Keep the problems when a worker process sends the error to its parent."""
        return partial(type(self), problems=self.problems), ()


class InputError(AzdistillError):
    """The user's input is wrong; raised before money is spent."""

    exit_code = 2
    code = "invalid_input"


class DataError(InputError):
    """A data file cannot be used."""

    code = "invalid_data"


class PipelineError(InputError):
    """A pipeline or component YAML file cannot be run."""

    code = "invalid_pipeline"
    refused_by = ("engine",)


class NodeFailed(AzdistillError):
    """A node of a pipeline exited with a non-zero code."""

    code = "node_failed"


class Interrupted(AzdistillError):
    """The work was stopped from outside and can be continued."""

    exit_code = 130
    code = "interrupted"
