"""Errors with a message for the user, and their exit codes.

::

    AzdistillError               exit code 1: the work could not be done
    ├── InputError               exit code 2: the input is wrong; no money was spent
    │   ├── SpecError            a job file or DistillationJob
    │   ├── DataError            a data file or a row count
    │   └── PipelineError        a pipeline or component YAML file
    ├── EndpointError            a teacher endpoint failed permanently (key, model, URL)
    ├── NodeFailed               a node of a pipeline exited with non-zero
    ├── Interrupted              exit code 130: stopped by Ctrl-C or SIGTERM, can be continued
    ├── GateRefused              exit code 3: the student did not pass its gates
    └── GateUnknown              exit code 4: the decision of the gates cannot be read

Each carries `problems` (see `azdistill.engine.problems`); its text is their rendering, one line a problem. Anything
that is not an `AzdistillError` is a bug and keeps its traceback.
"""

from azdistill.engine.errors import AzdistillError as AzdistillError
from azdistill.engine.errors import DataError as DataError
from azdistill.engine.errors import InputError as InputError
from azdistill.engine.errors import Interrupted as Interrupted
from azdistill.engine.errors import NodeFailed as NodeFailed
from azdistill.engine.errors import PipelineError as PipelineError


class SpecError(InputError):
    """A job file or a `DistillationJob` is wrong."""

    code = "invalid_job"


class EndpointError(AzdistillError):
    """A teacher endpoint failed permanently: a retry cannot succeed."""

    code = "endpoint_failed"


class GateRefused(AzdistillError):
    """The student did not pass its gates and is not registered."""

    exit_code = 3
    code = "gate_refused"


class GateUnknown(AzdistillError):
    """The decision of the gates cannot be read: neither success nor refusal."""

    exit_code = 4
    code = "gate_unknown"
