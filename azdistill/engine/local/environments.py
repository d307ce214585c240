"""Choose the Python interpreter of each node: this one, one that the user provides, or a new virtual environment."""

import logging
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from azdistill.engine.errors import AzdistillError, InputError
from azdistill.engine.local.assets import parse_asset
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.overlay import OVERLAY
from azdistill.engine.local.pythons import Python, describe_python
from azdistill.engine.local.requirements import Requirements, read_requirements
from azdistill.engine.pipeline.model import Environment, Node
from azdistill.engine.problems import suggest

logger = logging.getLogger("azdistill.engine")

# Written last: a virtual environment without this file is incomplete and is created again.
COMPLETE_MARKER = "complete"

# A command that installs packages: of Python, in an environment of conda, or in the system.
_PIP = re.compile(r"\bpip[\d.]*\s+(-\S+\s+)*install\b")
_CONDA = re.compile(r"\b(conda|mamba|micromamba)\s+(-\S+\s+)*(install|update|create|env|run|activate)\b")
_SYSTEM = re.compile(r"\b(apt-get|apt|yum|dnf|apk)\s+(-\S+\s+)*(install|update|upgrade|add)\b")
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
# Variables of this process that would change what another interpreter imports.
_PYTHON_VARIABLES = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter other than that of this process. `identity` is part of the reuse key of its nodes."""

    python: Path
    identity: str

    @property
    def variables(self) -> Mapping[str, str]:
        """PATH with its `bin` first, and VIRTUAL_ENV as `activate` sets it."""
        folder = self.python.parent.parent
        path = os.pathsep.join([str(self.python.parent), os.environ.get("PATH", "")])
        return {"PATH": path} | ({"VIRTUAL_ENV": str(folder)} if (folder / "pyvenv.cfg").is_file() else {})


@dataclass(frozen=True)
class VirtualEnvironment:
    """A virtual environment to create: the name of the environment, its packages, and its folder."""

    name: str
    requirements: Requirements
    folder: Path

    @property
    def interpreter(self) -> Interpreter:
        """Its Python, once it is created."""
        python = self.folder / "bin" / "python"
        return Interpreter(python, f"virtual environment {self.folder.name} (Python {platform.python_version()})")

    def create(self) -> None:
        """Create it, unless another run has done so. Raises AzdistillError when pip fails.

        A virtual environment cannot be moved: it is created in its final folder, with a marker file written last.
        """
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder.with_suffix(".lock")):
            if (self.folder / COMPLETE_MARKER).is_file():
                return
            if conda_only := ", ".join(self.requirements.conda_only):
                logger.warning(f"environment {self.name}: warning: pip cannot install {conda_only}; not installed")
            logger.info(f"environment {self.name}: creating a virtual environment in {self.folder}")
            self._install()
            (self.folder / COMPLETE_MARKER).touch()

    def _install(self) -> None:
        log = self.folder.with_suffix(".log")
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as requirements, log.open("w") as output:
            requirements.write(self.requirements.text)
            requirements.flush()
            python = str(self.interpreter.python)
            for arguments in (
                [sys.executable, "-m", "venv", "--clear", str(self.folder)],
                [python, "-m", "pip", "install", "--disable-pip-version-check", "-r", requirements.name],
            ):
                done = subprocess.run(
                    arguments,
                    cwd=self.requirements.folder,
                    env={name: value for name, value in os.environ.items() if name not in _PYTHON_VARIABLES},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                if done.returncode:
                    raise self._failed(log)

    def _failed(self, log: Path) -> AzdistillError:
        lines = log.read_text(errors="replace").splitlines()
        reason = next((line for line in lines if line.startswith("ERROR:")), lines[-1] if lines else "no output")
        return AzdistillError(
            f"cannot be created: {reason}",
            code="environment_failed",
            subject=f"environment {self.name}",
            fix=f"see {log}, or add --env {self.name}=PYTHON",
        )


class Environments:
    """The interpreters of the nodes of one pipeline. Nothing is created before `create`."""

    def __init__(self, nodes: Mapping[str, Node], options: RunOptions) -> None:
        """Raises InputError for an interpreter that cannot run, PipelineError for an unreadable definition."""
        self._options = options
        self._provided = {_short(name): _interpreter(name, path) for name, path in options.interpreters.items()}
        self._to_create: dict[str, VirtualEnvironment] = {}
        self._without_packages: dict[str, None] = {}
        self._by_node = {name: python for name, node in nodes.items() if (python := self._choose(node))}
        self._commands = {name: node.component.command for name, node in nodes.items()}

    def interpreter(self, node: str) -> Interpreter | None:
        """The interpreter of a node. None means that of this process."""
        return self._by_node.get(node)

    def python(self, node: str) -> Python:
        """The interpreter of a node, which must be created."""
        interpreter = self._by_node.get(node)
        return describe_python(interpreter.python if interpreter else None)

    def has_overlay(self, node: str) -> bool:
        """True if a node has a virtual environment above its interpreter: always above that of this process, and above
        others where its command installs packages."""
        return node not in self._by_node or bool(_PIP.search(self._commands[node]))

    def missing_module(self, node: Node, log: Iterable[str]) -> str | None:
        """Advice about the last missing module in the log of a failed node; None if it has none."""
        modules = [match[1] for line in log if (match := _MISSING_MODULE.match(line))]
        if not modules:
            return None
        if interpreter := self._by_node.get(node.name):
            return f"the node ran in {interpreter.python}: install the package of {modules[-1]} there"
        environment = node.component.environment
        options = ["--make-environments"] if environment.conda is not None or environment.build else []
        options += [f"--env {name}=PYTHON" for name in list(_names(environment))[-1:]]
        fix = " or add ".join([f"install the package of {modules[-1]} there,", *options]).rstrip(",")
        return f"the node ran in the Python of azdistill, {sys.executable}, not in its environment: {fix}"

    def create(self) -> None:
        """Create the virtual environments that do not exist yet. Raises AzdistillError when pip fails."""
        for name in self._without_packages:
            logger.info(f"environment {name}: lists no pip packages; its nodes run in this interpreter")
        for environment in self._to_create.values():
            environment.create()
        for name, command in self._commands.items():
            for warning in _installation_warnings(command):
                logger.warning(f"{name}: warning: its command {warning}")

    def _choose(self, node: Node) -> Interpreter | None:
        environment = node.component.environment
        for name in _names(environment):
            if name in self._provided:
                return self._provided[name]
        return self._new(node, environment) if self._options.make_environments else None

    def _new(self, node: Node, environment: Environment) -> Interpreter | None:
        requirements = read_requirements(environment, node.component.folder)
        name = environment.name or node.name
        if requirements is None or not requirements.lines:
            self._without_packages[name] = None
            return None
        digest = requirements.digest
        folder = self._options.home.absolute() / "environments" / digest
        return self._to_create.setdefault(digest, VirtualEnvironment(name, requirements, folder)).interpreter


def check_names(interpreters: Iterable[str], nodes: Iterable[Node]) -> None:
    """Raises InputError for a name that no node's environment has: the node would run in another interpreter."""
    known = {name for node in nodes for name in _names(node.component.environment)}
    for name in interpreters:
        if _short(name) not in known:
            raise InputError(
                "no node has an environment of that name", subject=f"--env {name!r}", fix=suggest(name, known)
            )


def _installation_warnings(command: str) -> Iterator[str]:
    """Warnings of the packages that a command installs, with the place."""
    if _PIP.search(command):
        yield f"installs packages; they are for this node only, in {OVERLAY} of its folder"
    if conda := _CONDA.search(command):
        if shutil.which(conda[1]):
            yield f"calls {conda[1]}, which has environments of this machine, not of the node"
        else:
            fix = "run its environment with --env or --make-environments"
            yield f"calls {conda[1]}, which this machine does not have; {fix}"
    if system := _SYSTEM.search(command):
        yield f"calls {system[1]}: on Azure ML it changes the node's container, here this machine, and only as root"


def _names(environment: Environment) -> Iterator[str]:
    """Names of an environment, the most exact first."""
    asset = parse_asset(environment.name) or parse_asset(f"azureml:{environment.name}")
    names = asset.names if asset else (environment.name,)
    yield from (name for name in names if name and not name.startswith("azureml:"))


def _short(name: str) -> str:
    return name.removeprefix("azureml:")


def _interpreter(name: str, path: Path) -> Interpreter:
    """`path` is an interpreter, or the folder of a virtual environment."""
    option = f"--env {name}={str(path)!r}"
    python = path / "bin" / "python" if path.is_dir() else Path(shutil.which(path) or path)
    python = python.absolute()  # not resolved: Python finds its virtual environment by the path of the link
    if not (python.parent / "python").exists():
        fix = "name an interpreter, or the folder of a virtual environment"
        raise InputError("no Python interpreter in this path", subject=option, fix=fix)
    try:
        version = describe_python(python).version
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InputError(f"cannot be run as a Python interpreter: {error}", subject=option) from None
    return Interpreter(python, f"{python} (Python {version})")
