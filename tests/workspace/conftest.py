"""Fixtures of the simulated workspace."""

from tests.workspace.fixtures import client, credential, registry, storage, workspace

__all__ = ["client", "credential", "registry", "storage", "workspace"]
