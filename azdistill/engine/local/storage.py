"""Map inputs and outputs with Azure ML addresses to paths of this machine."""

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from azdistill.engine.errors import InputError, PipelineError
from azdistill.engine.local.data import DATASTORE_ADDRESS, find_copy, without_query
from azdistill.engine.local.downloads import download_path, is_url
from azdistill.engine.pipeline.labels import unsafe_path
from azdistill.engine.pipeline.model import Data, OutputSetting
from azdistill.engine.problems import FieldPath

HOME_VARIABLE, HOME_NAME = "AZDISTILL_HOME", ".azdistill"
DEFAULT_DATASTORE = "workspaceblobstore"

_RUN_NAME = re.compile(r"\$\{\{\s*name\s*\}\}")
_EXPRESSION = re.compile(r"\$\{\{\s*(name|default_datastore|output_name)\s*\}\}")


def home_folder(start: Path = Path(), user: int | None = None) -> Path:
    """The folder that runs share: datastores, registered components, environments, the model registry.

    It is $AZDISTILL_HOME, else the first folder `.azdistill` in the folder `start` or above it, so that a job has the
    same one wherever it is started. If there is none, it is one in the current folder if `start` is inside it, else in
    `start`. A folder of another user than `user`, by default the current one, is not used: its answers and models would
    be trusted.
    """
    if os.environ.get(HOME_VARIABLE):
        return Path(os.environ[HOME_VARIABLE])
    absolute = Path(os.path.abspath(start))
    homes = (folder / HOME_NAME for folder in (absolute, *absolute.parents))
    # The next run starts from any folder, so a new home folder is in `start` or above it.
    is_inside = absolute.is_relative_to(os.getcwd()) or not os.access(absolute, os.W_OK)
    new = Path(HOME_NAME) if is_inside else absolute / HOME_NAME
    return next((home for home in homes if _is_own(home, user)), new)


def _is_own(folder: Path, user: int | None) -> bool:
    if not os.path.isdir(folder) or not hasattr(os, "getuid"):
        return os.path.isdir(folder)
    return folder.stat().st_uid == (os.getuid() if user is None else user)


def datastore_path(address: str, home: Path) -> Path | None:
    """`home/datastores/STORE/PATH` for a datastore address, None for any other.

    Raises InputError for a path that could name a file outside the datastore.
    """
    match = DATASTORE_ADDRESS.fullmatch(address)
    if match is None:
        return None
    if reason := unsafe_path(address):
        raise InputError(reason, code="unsafe_path", subject=address, fix="write the path without them")
    return _datastore(match[1], home) / match[2]


def output_path(setting: OutputSetting, home: Path, names: Mapping[str, str]) -> Path | None:
    """The path of an output with an address, None for an output in the run folder.

    `names` are the values of `${{name}}`, `${{default_datastore}}` and `${{output_name}}`. Raises InputError for a path
    that is not inside its datastore: the engine creates and deletes outputs, and a pipeline file must not make it do
    so anywhere else.
    """
    address = _expand(setting.path or "", names)
    path = datastore_path(address, home)
    if path is None:
        return None
    match = DATASTORE_ADDRESS.fullmatch(address)
    assert match
    # The folder of a datastore may be a link to another disk: the user of this machine made it, not the pipeline file.
    if not path.resolve().is_relative_to(_datastore(match[1], home).resolve()):
        raise InputError(
            f"a symbolic link in this path points to {str(path.resolve())!r}, outside the datastore",
            code="unsafe_path",
            subject=address,
            fix="remove the link, or link the folder of the datastore instead",
        )
    return path


def is_shared(setting: OutputSetting, names: Mapping[str, str]) -> bool:
    """True if all runs share an output: its address is fixed. `${{name}}` in it makes it an output of one run."""
    if not setting.path or _RUN_NAME.search(setting.path):
        return False
    return bool(DATASTORE_ADDRESS.fullmatch(_expand(setting.path, names)))


def input_path(data: Data, home: Path, copies: Mapping[str, Path]) -> Path | None:
    """The absolute path of an input, or the path that it is downloaded to. None for an address without a copy.

    Raises InputError for a datastore path that could name a file outside the datastore or its copy.
    """
    if not data.is_remote:
        return data.local.absolute()
    in_datastore = datastore_path(data.path, home)
    return find_copy(data.path, copies) or in_datastore or download_path(data.path, home)


def local_path(
    data: Data, home: Path, copies: Mapping[str, Path], field: FieldPath, file: Path | None = None, line: int = 0
) -> Path:
    """The absolute path of the file or folder of an input. Raises PipelineError when this machine does not have it;
    `field`, `file` and `line` are for its message."""

    def error(message: str, fix: str = "") -> PipelineError:
        return PipelineError(message, fix=fix, field=field, value=without_query(data.path), file=file, line=line)

    try:
        path = input_path(data, home, copies)
    except InputError as unsafe:
        raise error(unsafe.problems[0].message, unsafe.problems[0].fix) from None
    if path is None:
        raise error("this machine has no copy of it", f"add {data_option(data.path)}")
    if not path.exists():
        raise error("no such file or folder", _how_to_provide(data, path))
    if data.type == "uri_file" and path.is_dir():
        raise error(f"{str(path)!r} is a folder, but the input is a uri_file")
    if data.type in ("uri_folder", "mltable") and path.is_file():
        raise error(f"{str(path)!r} is a file, but the input is a {data.type}")
    return path


def data_option(address: str) -> str:
    """The command line option that provides a local copy of an address."""
    return f"--data {quote(without_query(address))}=PATH"


def remove(path: Path) -> None:
    """Delete a file or a folder, if it exists. Of a symbolic link only the link is deleted."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def engine_folder(path: Path) -> Path:
    """A folder of the engine, created if it is missing. A file or link that a node put in its place is deleted: behind
    a link, the engine would write outside the run folder."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    path.mkdir(parents=True, exist_ok=True)
    return path


def engine_file(path: Path) -> Path:
    """The path of a file that the engine writes. Its folder is created; a link or folder in its place is deleted."""
    engine_folder(path.parent)
    if path.is_symlink() or path.is_dir():
        remove(path)
    return path


def _datastore(name: str, home: Path) -> Path:
    return home.absolute() / "datastores" / name


def _expand(address: str, names: Mapping[str, str]) -> str:
    return _EXPRESSION.sub(lambda match: names[match[1]], address)


def _how_to_provide(data: Data, path: Path) -> str:
    if not data.is_remote:
        return ""
    option = f"add {data_option(data.path)}"
    return option if is_url(data.path) else f"put a copy at {path}, or {option}"
