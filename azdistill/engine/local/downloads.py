"""Inputs at http and https addresses, each fetched once and kept in the home."""

import hashlib
import logging
import re
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLError
from time import monotonic
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote
from urllib.request import urlopen

from filelock import FileLock

from azdistill.engine.errors import AzdistillError
from azdistill.engine.local.data import key_of

logger = logging.getLogger("azdistill.engine")

MARK = ".complete"
"""Beside a download, written last: size and time of the file as it was left."""

TIMEOUT_S = 30.0
"""How long a server may be silent."""

PERIOD_S = 10.0
"""Time between two lines about a download."""

_PIECE = 1 << 20
_MB = 1e6


def is_download(address: str) -> bool:
    return address.lower().startswith(("http://", "https://"))


def download_path(address: str, home: Path) -> Path | None:
    """`home/downloads/HASH/NAME` for an http address, NAME being the file's own; None for any other address."""
    if not is_download(address):
        return None
    name = re.sub(r"[^\w.-]", "_", unquote(key_of(address)).rpartition("/")[2]).lstrip(".") or "data"
    return home.absolute() / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16] / name


def is_here(path: Path) -> bool:
    """Whether a download lies at `path`, whole and as it was left."""
    try:
        return (path.parent / MARK).read_text() == _stamp(path)
    except OSError:
        return False


def _stamp(path: Path) -> str:
    found = path.stat()
    return f"{found.st_size} {found.st_mtime_ns}"


def download(address: str, path: Path, timeout: float = TIMEOUT_S) -> None:
    """Fetch `address` to `path`, unless another run has done so meanwhile. Nothing partial is ever at `path`.

    Raises AzdistillError when it can't be had.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / ".lock"):
        if not is_here(path):
            partial = path.parent / ".partial"
            try:
                _fetch(address, partial, timeout)
                partial.replace(path)
                (path.parent / MARK).write_text(_stamp(path))
            finally:
                partial.unlink(missing_ok=True)


def _fetch(address: str, partial: Path, timeout: float) -> None:
    shown = key_of(address)
    try:
        with urlopen(address, timeout=timeout) as answer, partial.open("wb") as file:
            _copy(answer, file, shown)
    except HTTPError as problem:
        problem.close()
        raise _unreachable(shown, f"the server answers {problem.code} {problem.reason}") from None
    except URLError as problem:
        raise _unreachable(shown, str(problem.reason)) from None
    except (TimeoutError, ConnectionError, SSLError, HTTPException, ValueError) as problem:
        raise _unreachable(shown, str(problem) or type(problem).__name__) from None


def _unreachable(shown: str, why: str) -> AzdistillError:
    return AzdistillError(f"{shown}: can't be downloaded: {why}; try again, or add --data {shown}=PATH")


def _copy(answer: HTTPResponse, file: BinaryIO, shown: str) -> None:
    """Raises ConnectionError when the connection ends before the file does."""
    size = int(answer.headers.get("Content-Length") or 0)
    whole = f"{size / _MB:.1f} MB" if size else "unknown size"
    logger.info(f"downloading {shown}: {whole}")
    spoke = monotonic()
    while piece := answer.read(_PIECE):
        file.write(piece)
        if monotonic() - spoke >= PERIOD_S:
            logger.info(f"downloading {shown}: {file.tell() / _MB:.1f} of {whole}")
            spoke = monotonic()
    if size and file.tell() != size:
        raise ConnectionError(f"the connection ended after {file.tell()} of {size} bytes")
