"""Requirements of real mounts, for the summary of the tests: importing this costs nothing."""

import importlib.metadata
import os
import shutil


def mounts_are_possible() -> bool:
    """True if this machine has FUSE, namespaces, the rights to use them, and Azure ML's data runtime."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    programs = all(map(shutil.which, ("unshare", "nsenter", "mount")))
    return is_root and programs and os.access("/dev/fuse", os.R_OK | os.W_OK) and _runtime_is_installed()


def _runtime_is_installed() -> bool:
    try:
        importlib.metadata.version("azureml-dataprep-rslex")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True
