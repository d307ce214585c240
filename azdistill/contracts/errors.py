"""The errors that users can meet.

::

    AzdistillError               exit code 1: the work could not be done
    ├── InputError               exit code 2: what was given is wrong; nothing was spent
    │   ├── SpecError            a job file or DistillationJob
    │   ├── DataError            a data file or a row count
    │   └── PipelineError        a pipeline or component YAML file
    ├── EndpointError            a teacher endpoint refused for good (key, model, route)
    ├── NodeFailed               a node of a pipeline exited with non-zero
    ├── Interrupted              exit code 130: stopped by Ctrl-C or SIGTERM, resumable
    └── GateRefused              exit code 3: the student was not proven

A message names the boundary, the value (`!r`), the field and the next move, in
one line. Anything that is not an `AzdistillError` is a bug and keeps its traceback.
"""

from collections.abc import Sequence
from typing import ClassVar


class AzdistillError(Exception):
    """Base of every error whose message is written for the user."""

    exit_code: ClassVar[int] = 1


class InputError(AzdistillError):
    """Something the user gave is wrong; raised before money is spent."""

    exit_code = 2


class SpecError(InputError):
    """A job file or a `DistillationJob` is wrong; `found` tells place and sentence of each finding, if there are."""

    def __init__(self, message: str, found: Sequence[tuple[tuple[str | int, ...], str]] = ()) -> None:
        super().__init__(message)
        self.found = tuple(found)


class DataError(InputError):
    """A data file can't be used."""


class PipelineError(InputError):
    """A pipeline or component YAML file can't be run."""


class EndpointError(AzdistillError):
    """A teacher endpoint refused in a way that asking again can't mend."""


class NodeFailed(AzdistillError):
    """A node of a pipeline exited with a non-zero code."""


class Interrupted(AzdistillError):
    """The work was stopped from outside and can be continued."""

    exit_code = 130


class GateRefused(AzdistillError):
    """The student did not pass its gates, so it gets no name."""

    exit_code = 3
