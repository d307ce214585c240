"""Translate exceptions of Azure's SDK into errors with a fix.

The traceback of each is logged at level DEBUG, which the command line shows with AZDISTILL_DEBUG=1.
"""

import logging
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from azdistill.contracts.errors import AzdistillError, InputError
from azdistill.engine.problems import ProblemFields
from azdistill.engine.redaction import quote

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

logger = logging.getLogger("azdistill.azure")

# Packages of Azure's SDK, and those that it reads and validates responses and YAML files with.
SDK_PACKAGES = frozenset({"azure", "azureml", "msal", "msrest", "marshmallow", "isodate", "requests", "urllib3"})
OWN_PACKAGE = "azdistill"

# Code, fix and command of a problem, by the HTTP status that Azure answered with.
Fixes = Mapping[int, ProblemFields]

WORKSPACE_FIXES: Fixes = {
    401: {
        "code": "not_signed_in",
        "fix": "sign in to the tenant of the subscription",
        "command": "az login --tenant TENANT",
    },
    403: {
        "code": "forbidden",
        "fix": "ask an owner for the role 'AzureML Data Scientist' on the workspace and 'Storage Blob Data "
        "Contributor' on its storage account",
    },
    404: {
        "code": "not_found",
        "fix": "check config.json, and the subscription that you are signed in to",
        "command": "az account show",
    },
    409: {"code": "conflict", "fix": "run again: what was already sent is found"},
    429: {"code": "throttled", "fix": "run again in a minute: nothing is sent twice"},
}
REGISTRY_FIXES: Fixes = {
    **WORKSPACE_FIXES,
    403: {"code": "forbidden", "fix": "ask an owner for the role 'AzureML Registry User' on the registry"},
    404: {"code": "not_found", "fix": "check its name in the list of registries", "command": "az ml registry list"},
    409: {"code": "conflict", "fix": "run again: someone else published it at the same moment"},
    429: {"code": "throttled", "fix": "run again in a minute: published versions are not sent again"},
}
# Statuses that can pass without a change by the user: exit code 1, not 2.
TEMPORARY = frozenset({409, 429})


@contextmanager
def translate_errors(subject: str, fixes: Fixes = WORKSPACE_FIXES) -> Iterator[None]:
    """Raise exceptions of the SDK as errors about `subject` (`job 'small-1'`).

    InputError for what the user must change (login, role, name, input), AzdistillError for temporary failures and for
    any other exception inside the SDK. An exception of azdistill's own code is a bug and is not translated.
    """
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        with _logging_tracebacks(subject):
            yield
    except AzdistillError:
        raise
    except ClientAuthenticationError as error:
        fields: ProblemFields = {**fixes[401], "subject": subject}
        raise InputError(f"not signed in ({_detail(error)})", **fields) from None
    except HttpResponseError as error:
        raise _refused(subject, error, fixes) from None
    except MlException as error:
        raise InputError(_detail(error), subject=subject, code="refused_by_sdk") from None
    except AzureError as error:
        raise AzdistillError(
            f"Azure cannot be reached ({_detail(error)})",
            subject=subject,
            code="unreachable",
            fix="check the network, then run again",
        ) from None
    except Exception as error:
        if not _is_raised_in_sdk(error):
            raise
        raise AzdistillError(
            f"azure-ai-ml fails with {type(error).__name__} ({_detail(error)})",
            subject=subject,
            code="sdk_failed",
            fix="see the traceback with AZDISTILL_DEBUG=1; another version of azure-ai-ml may work",
        ) from None


@contextmanager
def _logging_tracebacks(subject: str) -> Iterator[None]:
    """Log the frames of an exception, without its text, which may hold a URL with a signature."""
    try:
        yield
    except Exception as error:
        frames = "".join(traceback.format_tb(error.__traceback__))
        logger.debug("%s: %s, traceback:\n%s", subject, type(error).__name__, frames)
        raise


def _is_raised_in_sdk(error: Exception) -> bool:
    """True if the error was raised in the SDK or below it. A wrong call of azdistill itself is raised in azdistill,
    except for a value that only the SDK checks."""
    packages = [
        str(frame.f_globals.get("__name__")).partition(".")[0] for frame, _ in traceback.walk_tb(error.__traceback__)
    ]
    last_own = max((index for index, name in enumerate(packages) if name == OWN_PACKAGE), default=-1)
    return not SDK_PACKAGES.isdisjoint(packages[last_own + 1 :])


def _refused(subject: str, error: "HttpResponseError", fixes: Fixes) -> AzdistillError:
    status = error.status_code or 0
    message = f"HTTP {status} ({_detail(error)})"
    fields: ProblemFields = {"code": "refused", "fix": "correct what the message names, then run again"}
    if status >= 500:
        fields = {"code": "unavailable", "fix": "Azure has an outage; run again later: nothing is sent twice"}
    fields = {**fields, **fixes.get(status, {}), "subject": subject}
    if status in TEMPORARY or status >= 500:
        return AzdistillError(message, **fields)
    return InputError(message, **fields)


def _detail(error: BaseException) -> str:
    """The service's own message, without the headers, ids and advice that the SDK appends to `str(error)`."""
    service_error = getattr(error, "error", None)
    return in_one_line(getattr(service_error, "message", None) or getattr(error, "reason", None) or error)


def in_one_line(text: object, secrets: Iterable[str] = ()) -> str:
    """Text from outside on one line, without `secrets` and its final stop, shortened."""
    return quote(str(text).strip().rstrip(".;"), secrets)
