"""The stand-in's own fixtures."""

from tests.workspace.fixtures import client, credential, storage, workspace

__all__ = ["client", "credential", "storage", "workspace"]
