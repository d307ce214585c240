"""Errors of transformers, torch and safetensors as one line for the user."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from azdistill.contracts.errors import AzdistillError, DataError


@contextmanager
def loading(folder: Path, what: str) -> Iterator[None]:
    """Turn any error inside the block into a DataError that names the student's folder.

    transformers raises many types (pickle, JSON, sizes, custom code), and all of them mean that the folder can't be
    used.
    """
    try:
        yield
    except Exception as error:
        if _lacks_memory(error):
            raise
        needs_code = "trust_remote_code" in str(error)
        raise DataError(
            f"can't load the {what} ({_one_line(error)})",
            subject=f"student {str(folder)!r}",
            code="needs_remote_code" if needs_code else "unusable_student",
            fix="azdistill never runs code from a model folder: choose a model that transformers supports itself"
            if needs_code
            else "copy the complete folder of a chat model that transformers can load",
        ) from error


@contextmanager
def saving(folder: Path, what: str) -> Iterator[None]:
    """Turn an error while writing `what` to `folder` into an AzdistillError. Other errors are bugs and pass through."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:  # of Python, torch and safetensors
        if _lacks_memory(error):
            raise
        raise unwritable(folder, what, error) from error


@contextmanager
def fitting_memory(fix: str) -> Iterator[None]:
    """Turn torch's error for too little memory inside the block into an AzdistillError."""
    try:
        yield
    except RuntimeError as error:
        if not _lacks_memory(error):
            raise
        device = "GPU" if isinstance(error, torch.OutOfMemoryError) else "machine"
        message = f"the {device} has too little memory ({_one_line(error)})"
        raise AzdistillError(message, code="out_of_memory", fix=fix) from error


def _lacks_memory(error: Exception) -> bool:
    """True for torch's error when a GPU, or the machine, has too little memory."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def unwritable(path: Path, what: str, error: Exception) -> AzdistillError:
    return AzdistillError(
        f"{what} can't be written to {str(path)!r} ({_one_line(error)})",
        code="write_failed",
        fix="free disk space there and run again",
    )


def _one_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {' '.join(lines[:2])}"[:300].rstrip(" .:")
