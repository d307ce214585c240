"""Folders of the repository that the wheel carries too: environments, and the quickstart."""

from pathlib import Path

from azdistill.job.snapshot import PACKAGE, ROOT

INSTALLED = PACKAGE / "_assets"


def asset(name: str) -> Path:
    """The folder `name` of the repository: in a checkout beside the package, in an installed package among its data."""
    installed = INSTALLED / name
    return installed if installed.is_dir() else ROOT / name
