"""What Azure says went wrong, in one line with the next move."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from azdistill.contracts.errors import AzdistillError, InputError

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

LONGEST_DETAIL = 300

MOVES = {
    401: "sign in to the tenant of the subscription: az login --tenant TENANT",
    403: "have the role 'AzureML Data Scientist' given to you on the workspace, and 'Storage Blob Data Contributor' on "
    "its storage account",
    404: "check config.json, and the subscription that you are signed in to: az account show",
    409: "run again: what was sent before is found",
    429: "Azure asks for patience; run again in a minute: nothing is sent twice",
}
REGISTRY_MOVES = {
    **MOVES,
    403: "have the role 'AzureML Registry User' given to you on the registry",
    404: "check its name against those that there are: az ml registry list",
    409: "somebody else put it there at this moment: run again",
    429: "Azure asks for patience; run again in a minute: what is there is left alone",
}
"""By status, of a workspace and of a registry."""
LATER = "Azure is not well; run again later: nothing is sent twice"


@contextmanager
def asking(what: str, moves: Mapping[int, str] = MOVES) -> Iterator[None]:
    """What Azure refuses while `what` is done becomes an error for the user: InputError for who asks or what was
    asked for, AzdistillError for what passes by itself. `moves` are what to do, by status."""
    from azure.ai.ml.exceptions import MlException
    from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

    try:
        yield
    except ClientAuthenticationError as problem:
        raise InputError(f"{what}: not signed in ({_short(problem)}); {moves[401]}") from None
    except HttpResponseError as problem:
        raise _refused(what, problem, moves) from None
    except MlException as problem:
        raise InputError(f"{what}: {_short(problem)}") from None
    except AzureError as problem:
        raise AzdistillError(
            f"{what}: Azure can't be reached ({_short(problem)}); check the network, then run again"
        ) from None


def _refused(what: str, problem: "HttpResponseError", moves: Mapping[int, str]) -> AzdistillError:
    status = problem.status_code or 0
    detail = f"{what}: HTTP {status} ({_short(problem)})"
    if status in moves:
        kind = AzdistillError if status in (409, 429) else InputError
        return kind(f"{detail}; {moves[status]}")
    if status >= 500:
        return AzdistillError(f"{detail}; {LATER}")
    return InputError(f"{detail}; correct what it names, then run again")


def _short(problem: BaseException) -> str:
    """The first sentence or two: the SDK appends headers, ids and advice about itself."""
    told = getattr(problem, "reason", None) or str(problem)
    error = getattr(problem, "error", None)
    told = getattr(error, "message", None) or told
    return in_one_line(told)


def in_one_line(told: object) -> str:
    line = " ".join(str(told).split()).rstrip(".;")
    return line if len(line) <= LONGEST_DETAIL else line[: LONGEST_DETAIL - 3] + "..."
