"""Folders of the repository that the wheel contains as data: environments and the quickstart."""

from pathlib import Path

from azdistill.job.snapshot import PACKAGE, ROOT

INSTALLED = PACKAGE / "_assets"


def asset(name: str) -> Path:
    """Path of a folder of the repository: in a checkout, or in the data of an installed package."""
    installed = INSTALLED / name
    return installed if installed.is_dir() else ROOT / name
