"""A workspace for a while, and the real MLClient in front of it."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.ai.ml.constants import _common
from azure.ai.ml.operations._run_history_constants import RunHistoryConstants

from tests.workspace.azurite import Azurite
from tests.workspace.blobs import Blobs
from tests.workspace.credential import StandInCredential
from tests.workspace.server import serving
from tests.workspace.stand_in import GROUP, NAME, SUBSCRIPTION, Workspace
from tests.workspace.transport import LoopbackTransport


@contextlib.contextmanager
def fresh_workspace(storage: Azurite) -> Iterator[Workspace]:
    """An empty workspace. Fails at its end where it was asked what it doesn't know, whatever the client made of it."""
    with Blobs(storage) as blobs:
        workspace = Workspace(blobs)
        yield workspace
    if unknown := workspace.ledger.unknown():
        raise AssertionError("the stand-in was asked what it doesn't know:\n" + "\n".join(unknown))


@contextlib.contextmanager
def connected(workspace: Workspace, credential: StandInCredential, name: str = NAME) -> Iterator[MLClient]:
    """An MLClient as a user has it, but for its transport."""
    with _options(workspace) as options:
        yield MLClient(credential, SUBSCRIPTION, GROUP, name, **options)


@contextlib.contextmanager
def connected_to_registry(workspace: Workspace, credential: StandInCredential, name: str) -> Iterator[MLClient]:
    """An MLClient for a registry beside `workspace`."""
    with _options(workspace) as options:
        yield MLClient(credential, registry_name=name, **options)


@contextlib.contextmanager
def _options(workspace: Workspace) -> Iterator[dict[str, Any]]:
    with serving(workspace) as address, _blob_clients_find(workspace.blobs.azurite):
        transport = LoopbackTransport(address)
        yield {"transport": transport, "enable_telemetry": False, "show_progress": False}
        transport.close()


@contextlib.contextmanager
def _blob_clients_find(storage: Azurite) -> Iterator[None]:
    """Azurite behind the SDK's `https://ACCOUNT.blob.core.windows.net`, its certificate trusted; no wait between looks.

    The SDK makes its blob clients itself, so no transport reaches them.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(_common.STORAGE_ACCOUNT_URLS, "AzureBlob", storage.url + "/{}")
        patch.setenv("REQUESTS_CA_BUNDLE", str(storage.certificate))
        patch.setattr(RunHistoryConstants, "_WAIT_COMPLETION_POLLING_INTERVAL_MIN", 0)
        yield
