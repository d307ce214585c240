"""A virtual environment of a node above that of this process: packages that its command installs stay in it."""

import site
import sysconfig
import venv
from collections.abc import Mapping
from pathlib import Path

from azdistill.engine.local.storage import remove

# Its folder in the folder of a node. No output can have this name.
OVERLAY = ".environment"

# The environment has no pip of its own: `python -m pip` finds that of this process, whose script would install there.
_PIP = '#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n'


def create_overlay(folder: Path) -> None:
    """Create the environment in `folder`, without the packages of an earlier attempt. Those of this process can be
    imported in it."""
    remove(folder)
    venv.EnvBuilder(symlinks=True, with_pip=False).create(folder)
    for name in ("pip", "pip3"):
        script = folder / "bin" / name
        script.write_text(_PIP, encoding="utf-8")
        script.chmod(0o755)
    own = Path(sysconfig.get_path("purelib", "venv", vars={"base": str(folder), "platbase": str(folder)}))
    folders = [name for name in _site_folders() if Path(name).is_dir()]
    lines = (f"import site; site.addsitedir({name!r})\n" for name in folders)
    (own / "azdistill_parent.pth").write_text("".join(lines), encoding="utf-8")


def overlay_variables(folder: Path, path: str) -> Mapping[str, str]:
    """The variables of a command that runs in the environment. `path` is the PATH without it."""
    return {"PATH": f"{folder / 'bin'}:{path}", "VIRTUAL_ENV": str(folder)}


def _site_folders() -> list[str]:
    """The folders with the packages of this process."""
    user = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return list(dict.fromkeys([*site.getsitepackages(), *user]))
