"""The workspace's storage account: containers in Azurite, and the URLs and tokens that open them."""

import datetime

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.workspace.azurite import ACCOUNT, Azurite


class Blobs:
    """Reads and writes with the account's key; hands out container SAS tokens."""

    def __init__(self, azurite: Azurite) -> None:
        self.azurite = azurite
        self._service = BlobServiceClient(azurite.account_url, azurite.key, connection_verify=str(azurite.certificate))

    def __enter__(self) -> "Blobs":
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def create(self, container: str) -> None:
        self._service.create_container(container)

    def url(self, container: str, blob: str = "") -> str:
        """Where a container or a blob is for a client with a token."""
        return f"{self.azurite.account_url}/{container}{'/' + blob if blob else ''}?{self.sas(container)}"

    def sas(self, container: str) -> str:
        token: str = generate_container_sas(
            ACCOUNT,
            container,
            self.azurite.key,
            permission=ContainerSasPermissions(read=True, write=True, list=True, create=True, add=True),
            expiry=datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1),
        )
        return token

    def write(self, container: str, blob: str, content: bytes) -> None:
        self._service.get_blob_client(container, blob).upload_blob(content, overwrite=True)

    def names(self, container: str, prefix: str = "") -> list[str]:
        """Names after `prefix` of the blobs under it."""
        client = self._service.get_container_client(container)
        return [name.removeprefix(prefix) for name in client.list_blob_names(name_starts_with=prefix)]

    def stamps(self, container: str) -> dict[str, datetime.datetime]:
        """Name -> when it was last written."""
        client = self._service.get_container_client(container)
        return {blob.name: blob.last_modified for blob in client.list_blobs()}

    def contents(self, container: str, prefix: str = "") -> dict[str, bytes]:
        """Name after `prefix` -> bytes of every blob under it."""
        client = self._service.get_container_client(container)
        return {name: client.download_blob(prefix + name).readall() for name in self.names(container, prefix)}
