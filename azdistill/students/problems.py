"""What other libraries say of a folder they can't read or write, as one line for the user.

Reading raises errors of many kinds (pickle, JSON, sizes, custom code), and all of them mean that the
folder is to blame. Writing does so in three ways: Python's own, torch's and safetensors'.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azdistill.contracts.errors import AzdistillError, DataError


@contextmanager
def reading(folder: Path, what: str) -> Iterator[None]:
    """Raises DataError that says which student has no usable `what`."""
    try:
        yield
    except Exception as problem:
        raise DataError(f"student {str(folder)!r}: no usable {what} ({_line(problem)}); {_move(problem)}") from problem


@contextmanager
def writing(folder: Path, what: str) -> Iterator[None]:
    """Raises AzdistillError that says where `what` can't be written."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as problem:
        raise AzdistillError(
            f"{what} can't be written to {str(folder)!r} ({_line(problem)}); make room there and run again"
        ) from problem


def _move(problem: Exception) -> str:
    if "trust_remote_code" in str(problem):
        return "code from a model's folder is never run: take a model that transformers knows by itself"
    return "copy the whole folder of a chat model that transformers can load"


def _line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return f"{type(problem).__name__}: {' '.join(lines[:2])}"[:300].rstrip(" .:")
