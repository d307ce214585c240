"""The blob container of a workspace, to which files of this machine are uploaded."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from azdistill.azure_rest.identity import HoldsSecret
from azdistill.azure_rest.workspace import Workspace
from azdistill.contracts.errors import AzdistillError
from azdistill.engine.redaction import quote

# The datastore that every workspace has.
DATASTORE = "workspaceblobstore"

# A file is sent in blocks, several at a time. Its blob exists once the last block has arrived.
BLOCK_BYTES = 8 * 2**20
CONCURRENCY = 8
# A request is sent again after 4, 6, 10, 18 and 34 s, so that a minute without a network does not end an upload.
RETRIES = 5
BACKOFF = {"initial_backoff": 2, "increment_base": 2, "random_jitter_range": 1}

RUN_AGAIN = "run again; complete files are not sent again"
FORBIDDEN = (
    "assign your identity the role 'Storage Blob Data Contributor' on the storage account {account}, and open its "
    "network to this machine"
)


class BlobContainer(HoldsSecret):
    """The container of a workspace's DATASTORE. `address` is that of the datastore, without `/paths/`.

    Its requests have the key or SAS token of the datastore, or a token of this process's identity where the datastore
    has none or the identity may not read it. For tests, `transport` is one of azure-core. Raises AzdistillError if the
    workspace or its datastore cannot be read.
    """

    def __init__(self, workspace: Workspace, transport: Any = None) -> None:
        from azure.core.pipeline.transport import RequestsTransport
        from azure.storage.blob import ContainerClient, ExponentialRetry

        self.subject = f"datastore {DATASTORE!r} of workspace {workspace.name!r}"
        self.address = (
            f"azureml://subscriptions/{workspace.subscription}/resourcegroups/{workspace.group}/workspaces/"
            f"{workspace.name}/datastores/{DATASTORE}"
        )
        datastore = _datastore(workspace, self.subject)
        self._account = datastore["accountName"]
        credential, self._secrets = _credential(workspace, self.subject)
        self._client = ContainerClient(
            f"{datastore['protocol']}://{self._account}.blob.{datastore['endpoint']}",
            datastore["containerName"],
            credential=credential,
            max_block_size=BLOCK_BYTES,
            max_single_put_size=BLOCK_BYTES,
            retry_policy=ExponentialRetry(
                **BACKOFF, retry_total=RETRIES, retry_connect=RETRIES, retry_read=RETRIES, retry_status=RETRIES
            ),
            transport=transport or RequestsTransport(connection_verify=workspace.certificates),
        )

    def __enter__(self) -> "BlobContainer":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def check_access(self) -> None:
        """Raise AzdistillError unless the storage can be reached and read. It may still refuse to be written."""
        with self._one_line_errors():
            self._client.get_container_properties(retry_total=1)

    def sizes(self, folder: str) -> dict[str, int]:
        """Path in `folder` -> bytes, of its blobs. Raises AzdistillError when the storage refuses or is unreachable."""
        prefix = f"{folder}/"
        with self._one_line_errors():
            return {blob.name.removeprefix(prefix): blob.size for blob in self._client.list_blobs(prefix)}

    def upload(self, path: str, content: Path | str, progress: Callable[[int], None] = lambda sent: None) -> None:
        """Write a file or a text as the blob `path`. `progress` gets the bytes of the file that were sent.

        Raises AzdistillError as `sizes` does, and leaves no incomplete blob.
        """
        with self._one_line_errors():
            if isinstance(content, str):
                self._client.upload_blob(path, content.encode(), overwrite=True)
                return
            with content.open("rb") as file:
                self._client.upload_blob(
                    path,
                    file,
                    length=content.stat().st_size,
                    overwrite=True,
                    max_concurrency=CONCURRENCY,
                    progress_hook=lambda sent, _: progress(sent),
                )

    @contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        from azure.core.exceptions import AzureError

        try:
            yield
        except AzureError as error:
            status = getattr(error, "status_code", None)
            reason = getattr(error, "error_code", None) or str(error).partition("\n")[0]
            raise AzdistillError(
                f"{f'HTTP {status}: ' if status else ''}{quote(str(reason), self._secrets)}",
                code="storage_failed",
                subject=self.subject,
                fix=FORBIDDEN.format(account=self._account) if status == 403 else RUN_AGAIN,
            ) from None


def _datastore(workspace: Workspace, subject: str) -> Mapping[str, Any]:
    """Properties of DATASTORE. Source: Datastores - Get in the REST reference of Azure ML, 2024-10-01."""
    reply = workspace.request("GET", f"datastores/{DATASTORE}", subject)
    if reply.status != 200:
        raise AzdistillError(
            f"HTTP {reply.status}{': ' if reply.error else ''}{reply.error}",
            code=f"http_{reply.status}",
            subject=subject,
            fix="check MLFLOW_TRACKING_URI, and the role 'AzureML Data Scientist' of your identity on the workspace",
        )
    properties: Mapping[str, Any] = reply.content["properties"]
    return properties


def _credential(workspace: Workspace, subject: str) -> tuple[Any, list[str]]:
    """Credential of a blob client, and its secrets, which are removed from messages."""
    from azure.core.credentials import AzureSasCredential

    reply = workspace.request("POST", f"datastores/{DATASTORE}/listSecrets", subject)
    secrets = reply.content if reply.status == 200 else {}
    if key := secrets.get("key"):
        return key, [key]
    if token := secrets.get("sasToken"):
        return AzureSasCredential(token), [token]
    return workspace.credential, []
