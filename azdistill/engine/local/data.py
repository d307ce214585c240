"""Local copies of remote data: map registered names and addresses to files and folders of this machine."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from azdistill.engine.errors import InputError
from azdistill.engine.local.assets import parse_asset
from azdistill.engine.yaml_document import read_document

DATASTORE_ADDRESS = re.compile(r"azureml://(?:subscriptions/.*/)?datastores/([\w-]+)/paths/(.+)")

_LONG_DATASTORE = re.compile(r"\Aazureml://subscriptions/.*/(datastores/.+)")
_DATASTORE_ROOT = re.compile(r"azureml://datastores/[\w-]+")
_URL_WITH_QUERY = re.compile(r"(?:https?|wasbs?|abfss?|adl)://")
# In other URLs than these, a name before `@` is a container.
_USER_INFO = re.compile(r"(?<=http://|ttps://)[^/]*@")


def find_copy(address: str, copies: Mapping[str, Path]) -> Path | None:
    """The local copy of an address, absolute. None when `copies` has none.

    The keys of `copies` are names (`iris:1`, `iris@latest`, `iris` for any version, with or without `azureml:`) and
    addresses, complete or of a folder that contains it. The most exact key wins.
    """
    paths = {_normalize(key): path for key, path in copies.items()}
    for name in _names(address):
        if name in paths:
            return paths[name].absolute()
    normalized = _normalize(address)
    folders = [key for key in paths if "://" in key and normalized.startswith(f"{key}/")]
    folder = max(folders, key=len, default=None)
    return paths[folder].absolute() / normalized.removeprefix(f"{folder}/") if folder else None


def without_query(address: str) -> str:
    """The address without what may hold a secret: query, fragment, user and password. It is the most exact key of a
    copy."""
    if not _URL_WITH_QUERY.match(address):
        return address
    return _USER_INFO.sub("", re.split(r"[?#]", address, maxsplit=1)[0])


def _names(address: str) -> Iterator[str]:
    yield _normalize(address)
    if asset := parse_asset(address):
        yield from asset.names


def _normalize(address: str) -> str:
    """One spelling of an address: the short form, without query and trailing slash."""
    short = _LONG_DATASTORE.sub(r"azureml://\1", without_query(address)).rstrip("/")
    return f"{short}/paths" if _DATASTORE_ROOT.fullmatch(short) else short


def parse_copy(text: str) -> tuple[str, Path]:
    """Parse `NAME=PATH`. The name may contain `=`: the first split whose path exists wins. Raises InputError when
    none does."""
    parts = text.split("=")
    splits = [("=".join(parts[:at]), Path(os.path.expanduser("=".join(parts[at:])))) for at in range(1, len(parts))]
    if not splits or not splits[0][0]:
        raise InputError("must be NAME=PATH, or a YAML file of names and paths", subject=f"--data {text!r}")
    for name, path in splits:
        if name and str(path) != "." and os.path.exists(path):
            return name, path
    raise InputError(f"no such file or folder: {str(splits[0][1])!r}", subject=f"--data {text!r}")


def read_copies(path: Path) -> dict[str, Path]:
    """Read a YAML file of names and paths; a path is relative to the file.

    Raises InputError with file and line for a value that is not the path of an existing file or folder.
    """
    document = read_document(path, InputError, "mapping file")
    copies = {}
    for name, value in document.value.items():
        copy = path.parent / os.path.expanduser(value) if isinstance(value, str) else None
        if copy is None or not os.path.exists(copy):
            line = document.line((name,))
            fix = "paths are relative to this file"
            raise InputError("no such file or folder", file=path, line=line, field=(name,), value=value, fix=fix)
        copies[name] = copy
    return copies
