"""A virtual environment of a node above that of this process: packages that its command installs stay in it."""

import site
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from azdistill.engine.local.storage import remove
from azdistill.engine.local.variables import TRACKING_URI

# Its folder in the folder of a node. No output can have this name.
OVERLAY = ".environment"

# The environment has no pip of its own: `python -m pip` finds that of this process, whose script would install there.
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def create_overlay(folder: Path, tracking: tuple[str, str] | None) -> None:
    """Create the environment in `folder`, which is absolute, without the packages of an earlier attempt. Those of this
    process can be imported in it.

    Where MLflow is installed in it, the first address of `tracking` is replaced by the second one when Python starts.
    """
    remove(folder)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text(_PIP, encoding="utf-8")
        script.chmod(0o755)
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}))
    folders = [name for name in _site_folders() if Path(name).is_dir()]
    lines = (f"import site; site.addsitedir({name!a})\n" for name in folders)
    text = "".join(lines) + (_tracking_line(own, *tracking) if tracking else "")
    (own / "azdistill_parent.pth").write_text(text, encoding="utf-8")


def _tracking_line(own: Path, database: str, server: str) -> str:
    is_installed = f"os.path.isdir({str(own / 'mlflow')!a})"
    is_database = f"os.environ.get({TRACKING_URI!a}) == {database!a}"
    return f"import os; {is_installed} and {is_database} and os.environ.update({TRACKING_URI}={server!a})\n"


def overlay_variables(folder: Path, path: str) -> Mapping[str, str]:
    """The variables of a command that runs in the environment. `path` is the PATH without it."""
    return {"PATH": f"{folder / 'bin'}:{path}", "VIRTUAL_ENV": str(folder)}


def _site_folders() -> list[str]:
    """The folders with the packages of this process."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return list(dict.fromkeys([*site.getsitepackages(), *user]))
