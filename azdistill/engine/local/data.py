"""Local copies of data that lies elsewhere: which address is which file or folder of this machine."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from azdistill.engine.errors import InputError
from azdistill.engine.local.assets import asset
from azdistill.engine.yaml_document import read_document

DATASTORE = re.compile(r"azureml://(?:subscriptions/.*/)?datastores/([\w-]+)/paths/(.+)")

_LONG_STORE = re.compile(r"azureml://subscriptions/.*/(datastores/.+)")
_WHOLE_STORE = re.compile(r"azureml://datastores/[\w-]+")
_OF_AN_ADDRESS = re.compile(r"(?:https?|wasbs?|abfss?|adl)://")


def mapped(address: str, copies: Mapping[str, Path]) -> Path | None:
    """The local copy of an address, None when nobody named one.

    The keys of `copies` are names (`iris:1`, `iris@latest`, `iris` for any version, with or without `azureml:`) and
    addresses, whole or the folders that they lie in. The most exact one counts.
    """
    known = {_plain(key): path for key, path in copies.items()}
    for name in _names(address):
        if name in known:
            return known[name].absolute()
    whole = _plain(address)
    above = [key for key in known if "://" in key and whole.startswith(f"{key}/")]
    longest = max(above, key=len, default=None)
    return known[longest].absolute() / whole.removeprefix(f"{longest}/") if longest else None


def key_of(address: str) -> str:
    """The most exact name that a copy of `address` can be given by. What follows a `?` may be a secret."""
    return _query_off(address)


def _names(address: str) -> Iterator[str]:
    yield _plain(address)
    if registered := asset(address):
        yield from registered.names


def _plain(address: str) -> str:
    """One way to write the same place."""
    short = _LONG_STORE.sub(r"azureml://\1", _query_off(address)).rstrip("/")
    return f"{short}/paths" if _WHOLE_STORE.fullmatch(short) else short


def _query_off(address: str) -> str:
    return re.split(r"[?#]", address, maxsplit=1)[0] if _OF_AN_ADDRESS.match(address) else address


def copy_of(text: str) -> tuple[str, Path]:
    """`NAME=PATH` as a name and a path. An address may hold a `=`: the first one counts that a path follows which is
    there. Raises InputError when there is none."""
    parts = text.split("=")
    cuts = [("=".join(parts[:at]), Path("=".join(parts[at:])).expanduser()) for at in range(1, len(parts))]
    found = next((cut for cut in cuts if cut[0] and str(cut[1]) != "." and cut[1].exists()), None)
    if found is None:
        raise InputError(f"--data {text!r}: {_why(cuts)}")
    return found


def _why(cuts: list[tuple[str, Path]]) -> str:
    if not cuts or not cuts[0][0]:
        return "expected NAME=PATH, or a YAML file of names and paths"
    return f"no such file or folder: {str(cuts[0][1])!r}"


def read_copies(path: Path) -> dict[str, Path]:
    """The names and paths of a mapping file; a path is relative to the file.

    Raises InputError with file and line for what is no path, or isn't there.
    """
    document = read_document(path, InputError, "mapping file")
    found = {}
    for name, given in document.value.items():
        copy = path.parent / Path(given).expanduser() if isinstance(given, str) else None
        if copy is None or not copy.exists():
            line = document.line((name,))
            raise InputError(
                "no such file or folder next to this file", file=path, line=line, field=(name,), value=given
            )
        found[name] = copy
    return found
