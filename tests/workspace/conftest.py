"""The stand-in's own fixtures."""

from tests.workspace.fixtures import client, credential, registry, storage, workspace

__all__ = ["client", "credential", "registry", "storage", "workspace"]
