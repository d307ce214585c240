"""A virtual environment of a node above its interpreter: packages that its command installs stay in it."""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from azdistill.engine.job_variables import TRACKING_DATABASE, TRACKING_TOKEN
from azdistill.engine.local.pythons import Python
from azdistill.engine.local.storage import remove
from azdistill.engine.local.variables import TRACKING_URI

# Its folder in the folder of a node. No output can have this name.
OVERLAY = ".environment"
# In the home folder: for each `bin` of an interpreter, scripts that run those of it in the environment of a node.
SCRIPTS = "scripts"

# The first lines of the scripts of an interpreter name it, and it does not see what a node installs.
_SCRIPT = '#!/bin/sh\nexec "$VIRTUAL_ENV/bin/python" {} "$@"\n'
# An environment without pip: that of this process installs in it.
_OTHER_PIP = '#!/bin/sh\nexec {} -m pip --python "$VIRTUAL_ENV/bin/python" "$@"\n'
_CONDA = """#!/bin/sh
case " $* " in
*" -n "*|*" -p "*|*" --name"*|*" --prefix"*) ;;
*" install "*|*" update "*|*" upgrade "*|*" remove "*|*" uninstall "*)
  echo "azdistill: {name} would change an environment of this machine: name one with -n, or use pip" >&2
  exit 1 ;;
esac
exec {path} "$@"
"""
_CONDAS = ("conda", "mamba", "micromamba")
# A script starts with its interpreter, in one of its first lines.
_HEAD_BYTES = 512


def create_overlay(folder: Path, base: Python, tracking: tuple[str, str] | None) -> None:
    """Create the environment in `folder`, which is absolute, without the packages of an earlier attempt.

    The packages of `base` can be imported in it. It has the layout of `venv`, which copies files that no command needs.

    Where MLflow is installed in it, the first address of `tracking` is replaced by the second one when Python starts.
    """
    remove(folder)
    binaries, packages = folder / "bin", folder / base.packages
    binaries.mkdir(parents=True)
    packages.mkdir(parents=True)
    if sys.platform == "linux":  # packages with compiled modules are in `lib64` on some systems
        (folder / "lib64").symlink_to("lib")
    major, minor, _ = base.version.split(".", 2)
    for name in ("python", f"python{major}", f"python{major}.{minor}"):
        (binaries / name).symlink_to(base.executable)
    home = Path(base.executable).parent
    settings = f"home = {home}\ninclude-system-site-packages = false\nversion = {base.version}\n"
    (folder / "pyvenv.cfg").write_text(settings, encoding="utf-8")
    lines = [f"import site; site.addsitedir({name!a})\n" for name in base.site_folders if Path(name).is_dir()]
    lines += [_tracking_line(packages, *tracking)] if tracking else []
    (packages / "azdistill_parent.pth").write_text("".join(lines), encoding="utf-8")


def _tracking_line(packages: Path, database: str, server: str) -> str:
    is_installed = f"os.path.isdir({str(packages / 'mlflow')!a})"
    is_database = f"os.environ.get({TRACKING_URI!a}) == {database!a}"
    token = f"os.environ.get({TRACKING_TOKEN!a}, '')"
    variables = f"{TRACKING_URI}={server!a}, {TRACKING_DATABASE}={database!a}"
    variables += f", MLFLOW_TRACKING_TOKEN={token}, MLFLOW_TRACKING_USERNAME=''"
    return f"import os; {is_installed} and {is_database} and os.environ.update({variables})\n"


def overlay_variables(folder: Path, scripts: Path, path: str) -> dict[str, str]:
    """The variables of a command that runs in the environment. `path` is the PATH without it."""
    return {"PATH": os.pathsep.join([str(folder / "bin"), str(scripts), path]), "VIRTUAL_ENV": str(folder)}


def scripts_folder(home: Path, base: Python) -> Path:
    """The scripts of an interpreter, which run in the environment of the node that calls them. Created once."""
    condas = {name: path for name in _CONDAS if (path := shutil.which(name))}
    key = f"{base.binaries} {base.binaries.stat().st_mtime_ns} {condas}"
    folder = home.absolute() / SCRIPTS / hashlib.sha256(key.encode()).hexdigest()[:16]
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=folder.parent))
        conda_scripts = {name: _CONDA.format(name=name, path=quote(path)) for name, path in condas.items()}
        for name, text in {**dict(_scripts(base)), **conda_scripts}.items():
            (new / name).write_text(text, encoding="utf-8")
            (new / name).chmod(0o755)
        try:
            new.rename(folder)
        except OSError:  # another run was faster
            remove(new)
    return folder


def _scripts(base: Python) -> Iterator[tuple[str, str]]:
    major, minor, _ = base.version.split(".", 2)
    for path in base.binaries.iterdir():
        if path.is_file() and _runs_in(path, base.binaries):
            yield path.name, _SCRIPT.format(quote(str(path)))
    pip = _SCRIPT.format("-m pip") if base.has_pip else _OTHER_PIP.format(quote(sys.executable))
    for name in ("pip", f"pip{major}", f"pip{major}.{minor}"):  # also without a script of that name
        yield name, pip


def _runs_in(script: Path, binaries: Path) -> bool:
    with script.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return head.startswith(b"#!") and os.fsencode(binaries / "python") in head
