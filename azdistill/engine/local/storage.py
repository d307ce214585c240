"""Where Azure ML addresses lie on this machine."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from types import MappingProxyType

from azdistill.engine.errors import PipelineError
from azdistill.engine.local.data import DATASTORE, key_of, mapped
from azdistill.engine.local.downloads import download_path, is_download
from azdistill.engine.pipeline.model import Data, OutputSetting

HOME_VARIABLE = "AZDISTILL_HOME"
DEFAULT_DATASTORE = "workspaceblobstore"
NO_COPIES: Mapping[str, Path] = MappingProxyType({})

_RUN_NAME = re.compile(r"\$\{\{\s*name\s*\}\}")
_NAME = re.compile(r"\$\{\{\s*(name|default_datastore|output_name)\s*\}\}")


def home_folder() -> Path:
    """The folder of what runs share: datastores, registered components, environments, and the model registry."""
    return Path(os.environ.get(HOME_VARIABLE) or ".azdistill")


def datastore_path(address: str, home: Path) -> Path | None:
    """`home/datastores/STORE/PATH` for a datastore address, None for any other."""
    found = DATASTORE.fullmatch(address)
    return home.absolute() / "datastores" / found[1] / found[2] if found else None


def output_path(setting: OutputSetting, home: Path, names: Mapping[str, str]) -> Path | None:
    """Where an output at an address lies, None when it has a place of its own in the run folder.

    `names` are what `${{name}}`, `${{default_datastore}}` and `${{output_name}}` stand for.
    """
    return datastore_path(_NAME.sub(lambda found: names[found[1]], setting.path), home) if setting.path else None


def of_one_run(setting: OutputSetting) -> bool:
    """Whether the address holds `${{name}}`, which is another one in each run."""
    return bool(setting.path and _RUN_NAME.search(setting.path))


def place(data: Data, home: Path, copies: Mapping[str, Path]) -> Path | None:
    """Where an input lies on this machine, or will once it is downloaded; absolute. None when nobody said."""
    if not data.is_remote:
        return data.local.absolute()
    return mapped(data.path, copies) or datastore_path(data.path, home) or download_path(data.path, home)


def local_path(data: Data, home: Path, field: str, copies: Mapping[str, Path] = NO_COPIES) -> Path:
    """The file or folder behind an input, absolute. Raises PipelineError when it is not on this machine."""
    path = place(data, home, copies)
    if problem := misplaced(data, path):
        raise PipelineError(f"{field}={key_of(data.path)!r}: {problem}")
    assert path is not None
    return path


def misplaced(data: Data, path: Path | None) -> str | None:
    """What is wrong with the place of an input, with the next move; None when it can be read."""
    if path is None:
        return f"not on this machine; add {as_option(data.path)}"
    if not path.exists():
        return f"no such file or folder{_way_out(data, path)}"
    if data.type == "uri_file" and path.is_dir():
        return f"{str(path)!r} is a folder, and the input is a uri_file"
    if data.type in ("uri_folder", "mltable") and path.is_file():
        return f"{str(path)!r} is a file, and the input is a {data.type}"
    return None


def _way_out(data: Data, path: Path) -> str:
    if not data.is_remote:
        return ""
    if is_download(data.path):
        return f"; add {as_option(data.path)}"
    return f"; put a copy at {path}, or add {as_option(data.path)}"


def as_option(address: str) -> str:
    """What to add to a command line to give a local copy of an address."""
    return f"--data {quote(key_of(address))}=PATH"
