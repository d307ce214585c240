"""Errors of the verbs, in addition to those of azdistill."""

from azdistill.contracts.errors import AzdistillError


class AzFailed(AzdistillError):
    """A command of the Azure CLI failed."""

    code = "az_failed"


class AzNotFound(AzFailed):
    """The Azure CLI found no resource of that name."""

    code = "not_found"


class LoginExpired(AzFailed):
    """The login of the Azure CLI has expired."""

    code = "login_expired"


class WaitTimedOut(AzdistillError):
    """A job did not end in time and was cancelled."""

    code = "timed_out"


class DeletesRefused(AzdistillError):
    """A deployment would delete resources."""

    code = "deletes_refused"


class Conflict(AzdistillError):
    """The registry has another model of that name and version."""

    code = "conflict"
