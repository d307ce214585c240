"""Where Azure ML addresses lie on this machine."""

import os
import re
from pathlib import Path

from azdistill.contracts.errors import PipelineError
from azdistill.pipeline.documents import Data, OutputSetting

HOME_VARIABLE = "AZDISTILL_HOME"

_DATASTORE = re.compile(r"azureml://(?:subscriptions/.*/)?datastores/([\w-]+)/paths/(.+)")


def home_folder() -> Path:
    """The folder of what runs share: datastores, and the model registry."""
    return Path(os.environ.get(HOME_VARIABLE) or ".azdistill")


def datastore_path(address: str, home: Path) -> Path | None:
    """`home/datastores/STORE/PATH` for a datastore address, None for any other."""
    found = _DATASTORE.fullmatch(address)
    return home.absolute() / "datastores" / found[1] / found[2] if found else None


def shared_path(setting: OutputSetting, home: Path) -> Path | None:
    """Where an output at a fixed address lies, None when it has a place of its own in each run.

    `${{name}}` is the name of the run.
    """
    return datastore_path(setting.path, home) if setting.path and "${{" not in setting.path else None


def local_path(data: Data, home: Path, field: str) -> Path:
    """The file or folder behind an input, absolute. Raises PipelineError when it is not on this machine."""
    path = data.local if not data.is_remote else datastore_path(data.path, home)
    if path is None:
        raise PipelineError(f"{field}={data.path!r}: not on this machine; {_way_out(field)}")
    if not path.exists():
        where = f"; put a copy at {path}, or {_way_out(field)}" if data.is_remote else ""
        raise PipelineError(f"{field}={data.path!r}: no such file or folder{where}")
    return path.absolute()


def _way_out(field: str) -> str:
    if field.startswith("inputs."):
        return f"give a local copy: --set {field}=PATH"
    return "make it an input of the pipeline, and --set that to a local copy"
