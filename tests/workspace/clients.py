"""Context managers for a simulated workspace and real MLClients of it."""

import contextlib
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml._utils import _experimental
from azure.ai.ml.constants import _common
from azure.ai.ml.operations import _model_operations
from azure.ai.ml.operations._run_history_constants import RunHistoryConstants

from tests.workspace.azurite import Azurite
from tests.workspace.blobs import Blobs
from tests.workspace.credential import SimulatedCredential
from tests.workspace.server import serving
from tests.workspace.simulated import GROUP, NAME, SUBSCRIPTION, SimulatedWorkspace
from tests.workspace.transport import LoopbackTransport


@contextlib.contextmanager
def empty_workspace(storage: Azurite) -> Iterator[SimulatedWorkspace]:
    """An empty workspace. Fails at its end if any request had no route, whatever the client did with the reply."""
    with Blobs(storage) as blobs:
        workspace = SimulatedWorkspace(blobs)
        yield workspace
    if unknown := workspace.requests.unknown():
        raise AssertionError("the simulated workspace got requests that it has no route for:\n" + "\n".join(unknown))


@contextlib.contextmanager
def client_for(workspace: SimulatedWorkspace, credential: SimulatedCredential, name: str = NAME) -> Iterator[MLClient]:
    """An MLClient as a user has it, except for its transport."""
    with _options(workspace) as options:
        yield MLClient(credential, SUBSCRIPTION, GROUP, name, **options)


@contextlib.contextmanager
def registry_client_for(
    workspace: SimulatedWorkspace, credential: SimulatedCredential, name: str
) -> Iterator[MLClient]:
    """An MLClient for a registry of the tenant of `workspace`."""
    with _options(workspace) as options:
        yield MLClient(credential, registry_name=name, **options)


@contextlib.contextmanager
def _options(workspace: SimulatedWorkspace) -> Iterator[dict[str, Any]]:
    with serving(workspace) as address, _redirect_blob_clients(workspace.blobs.azurite):
        transport = LoopbackTransport(address)
        with _redirect_sharing(transport):
            yield {"transport": transport, "enable_telemetry": False, "show_progress": False}
        transport.close()


@contextlib.contextmanager
def _redirect_sharing(transport: LoopbackTransport) -> Iterator[None]:
    """Give `transport` to the client of a registry that `models.share` creates itself."""
    with pytest.MonkeyPatch.context() as patch:
        name = "get_registry_client"
        patch.setattr(_model_operations, name, partial(getattr(_model_operations, name), transport=transport))
        yield


@contextlib.contextmanager
def _redirect_blob_clients(storage: Azurite) -> Iterator[None]:
    """Redirect the SDK from `https://ACCOUNT.blob.core.windows.net` to Azurite, and let it poll without delay or
    warnings about experimental classes.

    The SDK creates its blob clients itself, without a transport of ours.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_common.STORAGE_ACCOUNT_URLS, "AzureBlob", storage.url + "/{}")
        patch.setenv("REQUESTS_CA_BUNDLE", str(storage.certificate))
        # The SDK walks the call stack before each of these warnings, which takes half a second in a test.
        patch.setattr(_experimental, "_should_skip_warning", lambda: True)
        patch.setattr(RunHistoryConstants, "_WAIT_COMPLETION_POLLING_INTERVAL_MIN", 0)
        yield
