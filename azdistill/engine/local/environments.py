"""Which Python each node runs in: this one, one that stands for its environment, or one made for it."""

import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from azdistill.engine.errors import AzdistillError, InputError
from azdistill.engine.local.assets import asset
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.recipes import Recipe, recipe
from azdistill.engine.pipeline.model import Environment, Node
from azdistill.engine.problems import suggest

COMPLETE = "complete"
"""Written last: a virtual environment without it was cut short, and is made again."""

logger = logging.getLogger("azdistill.engine")

_VERSION = "import platform; print(platform.python_version())"
_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Interpreter:
    """A Python that is not the one of this process. `identity` is what counts for reuse."""

    python: Path
    identity: str

    @property
    def variables(self) -> Mapping[str, str]:
        """Its `bin` first on PATH, and VIRTUAL_ENV as its `activate` sets it."""
        folder = self.python.parent.parent
        path = os.pathsep.join([str(self.python.parent), os.environ.get("PATH", "")])
        return {"PATH": path} | ({"VIRTUAL_ENV": str(folder)} if (folder / "pyvenv.cfg").is_file() else {})


@dataclass(frozen=True)
class Made:
    """An environment to be made: its name, what is in it, and where it lies."""

    name: str
    recipe: Recipe
    folder: Path

    @property
    def interpreter(self) -> Interpreter:
        return Interpreter(
            self.folder / "bin" / "python", f"made for it, {self.folder.name} (Python {platform.python_version()})"
        )


class Environments:
    """The interpreters of the nodes of one pipeline. Nothing is made before `make`."""

    def __init__(self, nodes: Mapping[str, Node], options: RunOptions) -> None:
        """Raises InputError for an interpreter that can't be run, PipelineError for a definition that can't be read."""
        self._options = options
        self._given = {_name(name): _interpreter(name, path) for name, path in options.interpreters.items()}
        self._to_make: dict[str, Made] = {}
        self._unmade: dict[str, None] = {}
        self._of = {name: found for name, node in nodes.items() if (found := self._choose(node))}

    def interpreter(self, node: str) -> Interpreter | None:
        """None is the interpreter of this process."""
        return self._of.get(node)

    def make(self) -> None:
        """Make what is not there yet. Raises AzdistillError when pip can't install it."""
        for name in self._unmade:
            logger.info(f"environment {name}: no pip packages to make it from; it is this interpreter")
        for made in self._to_make.values():
            _make(made)

    def _choose(self, node: Node) -> Interpreter | None:
        environment = node.component.environment
        for name in _names(environment):
            if name in self._given:
                return self._given[name]
        return self._made(node, environment) if self._options.make_environments else None

    def _made(self, node: Node, environment: Environment) -> Interpreter | None:
        found, name = recipe(environment, node.component.folder), environment.name or node.name
        if found is None or not found.lines:
            self._unmade[name] = None
            return None
        made = Made(name, found, self._options.home.absolute() / "environments" / found.digest)
        return self._to_make.setdefault(found.digest, made).interpreter


def check_names(interpreters: Iterable[str], nodes: Iterable[Node]) -> None:
    """Raises InputError for a name that no node's environment has: the node would run in another one."""
    known = {name for node in nodes for name in _names(node.component.environment)}
    for name in interpreters:
        if _name(name) not in known:
            raise InputError(f"--env {name!r}: no node has an environment of that name; {suggest(name, known)}")


def _names(environment: Environment) -> Iterator[str]:
    """What an environment may be called, the most exact first."""
    registered = asset(environment.name) or asset(f"azureml:{environment.name}")
    names = registered.names if registered else (environment.name,)
    yield from (name for name in names if name and not name.startswith("azureml:"))


def _name(given: str) -> str:
    return given.removeprefix("azureml:")


def _interpreter(name: str, path: Path) -> Interpreter:
    """`path` is an interpreter, or the folder of a virtual environment."""
    said = f"--env {name}={str(path)!r}"
    python = path / "bin" / "python" if path.is_dir() else Path(shutil.which(path) or path)
    python = python.absolute()  # and never resolved: the link tells which environment it is of
    if not (python.parent / "python").exists():
        raise InputError(f"{said}: no python there; give an interpreter, or the folder of a virtual environment")
    try:
        done = subprocess.run([python, "-c", _VERSION], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as problem:
        raise InputError(f"{said}: can't be run as a Python interpreter: {problem}") from None
    return Interpreter(python, f"{python} (Python {done.stdout.strip()})")


def _make(made: Made) -> None:
    """A virtual environment can't be moved, so it is made in its place, and the mark that it is whole comes last."""
    made.folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(made.folder.with_suffix(".lock")):
        if (made.folder / COMPLETE).is_file():
            return
        if made.recipe.conda_only:
            left_out = ", ".join(made.recipe.conda_only)
            logger.info(f"environment {made.name}: warning: only conda has {left_out}; it is made without")
        logger.info(f"environment {made.name}: making it in {made.folder}")
        _install(made)
        (made.folder / COMPLETE).touch()


def _install(made: Made) -> None:
    log = made.folder.with_suffix(".log")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements, log.open("w") as output:
        requirements.write(made.recipe.text)
        requirements.flush()
        python = str(made.interpreter.python)
        for arguments in (
            [sys.executable, "-m", "venv", "--clear", str(made.folder)],
            [python, "-m", "pip", "install", "--disable-pip-version-check", "-r", requirements.name],
        ):
            done = subprocess.run(
                arguments,
                cwd=made.recipe.folder,
                env={name: value for name, value in os.environ.items() if name not in _OURS},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            if done.returncode:
                raise AzdistillError(_why(made, log))


def _why(made: Made, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    told = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no word")
    return f"environment {made.name}: can't be made: {told}; see {log}, or give --env {made.name}=PYTHON"
