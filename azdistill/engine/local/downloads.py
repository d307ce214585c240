"""Download inputs at http and https addresses, each once, into the home folder."""

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
from azdistill.engine.local.data import without_query
from azdistill.engine.redaction import quote, url_secrets

logger = logging.getLogger("azdistill.engine")

# Next to a download, written last: size and modification time of the complete file.
COMPLETE_MARKER = ".complete"
# Seconds that a server may send nothing.
TIMEOUT_S = 30.0
# Limits of one download: a server may send slowly, or without end.
MAX_BYTES, MAX_SECONDS = 100_000_000_000, 6 * 3600.0
# Seconds between two log messages about a download.
PROGRESS_INTERVAL_S = 10.0

_CHUNK_BYTES = 1 << 20
_MB = 1e6


def is_url(address: str) -> bool:
    """True for an http or https address, which can be downloaded."""
    return address.lower().startswith(("http://", "https://"))


def download_path(address: str, home: Path) -> Path | None:
    """`home/downloads/HASH/NAME` for an http address, NAME from its path; None for any other address."""
    if not is_url(address):
        return None
    name = re.sub(r"[^\w.-]", "_", unquote(without_query(address)).rpartition("/")[2]).lstrip(".") or "data"
    return home.absolute() / "downloads" / hashlib.sha256(address.encode()).hexdigest()[:16] / name


def is_downloaded(path: Path) -> bool:
    """True if `path` holds a complete download that has not changed since."""
    try:
        return (path.parent / COMPLETE_MARKER).read_text() == _stamp(path)
    except OSError:
        return False


def download(address: str, path: Path, timeout: float = TIMEOUT_S) -> None:
    """Download `address` to `path`, unless another run has done so. `path` never holds a partial file.

    Raises AzdistillError when the download fails.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.parent / ".lock"):
        if not is_downloaded(path):
            partial = path.parent / ".partial"
            try:
                _fetch(address, partial, timeout)
                partial.replace(path)
                (path.parent / COMPLETE_MARKER).write_text(_stamp(path))
            finally:
                partial.unlink(missing_ok=True)


def _stamp(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _fetch(address: str, partial: Path, timeout: float) -> None:
    shown, secrets = without_query(address), url_secrets(address)
    try:
        with urlopen(address, timeout=timeout) as response, partial.open("wb") as file:
            _copy(response, file, shown)
    except HTTPError as error:
        error.close()
        reason = f"the server answered {error.code} {quote(error.reason, secrets)}"
    except URLError as error:
        reason = quote(str(error.reason), secrets)
    except (TimeoutError, ConnectionError, SSLError, HTTPException, ValueError) as error:
        reason = quote(str(error), secrets) or type(error).__name__
    else:
        return
    raise AzdistillError(
        f"the download failed: {reason}",
        code="download_failed",
        subject=shown,
        fix=f"try again, or add --data {shown}=PATH",
    )


def _copy(response: HTTPResponse, file: BinaryIO, shown: str) -> None:
    """Raises ConnectionError when the connection ends before the file does, ValueError for a file that is too large,
    and TimeoutError when it takes too long."""
    size = int(response.headers.get("Content-Length") or 0)
    _check_size(size)
    total = f"{size / _MB:.1f} MB" if size else "unknown size"
    logger.info(f"downloading {shown}: {total}")
    started = logged = monotonic()
    while chunk := response.read1(_CHUNK_BYTES):
        file.write(chunk)
        _check_size(file.tell())
        if monotonic() - started > MAX_SECONDS:
            raise TimeoutError(f"it takes longer than {MAX_SECONDS / 3600:g} hours")
        if monotonic() - logged >= PROGRESS_INTERVAL_S:
            logger.info(f"downloading {shown}: {file.tell() / _MB:.1f} of {total}")
            logged = monotonic()
    if size and file.tell() != size:
        raise ConnectionError(f"the connection ended after {file.tell()} of {size} bytes")


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        raise ValueError(f"the file has more than {MAX_BYTES / 1e9:g} GB")
