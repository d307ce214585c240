"""Storage account of the simulated workspace: containers in Azurite, and SAS tokens for them."""

import datetime

from azure.storage.blob import BlobServiceClient, ContainerSasPermissions, generate_container_sas

from tests.workspace.azurite import ACCOUNT, Azurite


class Blobs:
    """Read and write blobs with the account's key, and create SAS tokens of containers."""

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
        """URL of a container or a blob, with a SAS token."""
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
        """Names of the blobs that start with `prefix`, without it."""
        client = self._service.get_container_client(container)
        return [name.removeprefix(prefix) for name in client.list_blob_names(name_starts_with=prefix)]

    def last_modified(self, container: str) -> dict[str, datetime.datetime]:
        """Name -> time of the last write."""
        client = self._service.get_container_client(container)
        return {blob.name: blob.last_modified for blob in client.list_blobs()}

    def contents(self, container: str, prefix: str = "") -> dict[str, bytes]:
        """Name without `prefix` -> bytes, of the blobs that start with `prefix`."""
        client = self._service.get_container_client(container)
        return {name: client.download_blob(prefix + name).readall() for name in self.names(container, prefix)}
