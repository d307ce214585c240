"""This machine: interpreter, packages with their versions, GPU. Nothing heavy is imported to look."""

import operator
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from azdistill.azure.checks.check import Check

PACKAGE = "azdistill"
EXTRAS = {
    "azure": "nothing can be sent to a workspace from here",
    "train": "no student learns or answers on this machine",
    "eval": "no student is evaluated on this machine",
    "local": "no student is registered on this machine",
}
"""Extra -> what does not work without it. What `local` has of the others is told with them."""
WHY = {"azureml-mlflow": "older ones crash when mlflow 3 saves an artifact"}
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)>=(?P<least>[\d.]+); extra == ['\"](?P<extra>\w+)['\"]")
BOUNDS = {">=": operator.ge, "<": operator.lt}
MEMORY = ("--query-gpu=name,memory.total", "--format=csv,noheader")
LONGEST_LOOK_S = 30.0

Versions = Callable[[str], str]
"""The version of a package; raises PackageNotFoundError for one that isn't installed."""


def check_machine() -> Iterator[Check]:
    """Interpreter, system where that matters, azdistill, its extras, GPU."""
    yield interpreter(sys.version_info[:2], metadata(PACKAGE)["Requires-Python"])
    if sys.platform == "win32":
        yield Check("system", "unknown", "no run on this machine was tried on Windows", "use WSL", "wsl --install")
    yield Check(PACKAGE, "ok", version(PACKAGE))
    yield from extras(requires(PACKAGE) or [])
    yield gpu()


def interpreter(mine: tuple[int, int], required: str) -> Check:
    """`required` is what the package's metadata say: `<3.14,>=3.11`."""
    bounds = re.findall(r"(>=|<)(\d+)\.(\d+)", required)
    told = f"{platform.python_version()}, {sys.executable}"
    if all(BOUNDS[sign](mine, (int(major), int(minor))) for sign, major, minor in bounds):
        return Check("python", "ok", told)
    command = "python3.12 -m venv .venv && .venv/bin/pip install azdistill"
    return Check("python", "wrong", f"{told}; azdistill takes {required}", "make an environment of another", command)


def extras(declared: Iterable[str], versions: Versions = version) -> Iterator[Check]:
    """One finding an extra; `declared` are the requirements in the package's metadata."""
    found = [match for text in declared if (match := REQUIREMENT.fullmatch(text))]
    told: set[str] = set()
    for extra in EXTRAS:
        wanted = {one["name"]: one["least"] for one in found if one["extra"] == extra and one["name"] not in told}
        told |= wanted.keys()
        yield _extra(extra, wanted, {name: _version(name, versions) for name in wanted})


def _extra(extra: str, wanted: Mapping[str, str], here: Mapping[str, str | None]) -> Check:
    """An old package is wrong; a missing one may be one that nobody here needs."""
    what, command = f"extra {extra}", f"pip install '{PACKAGE}[{extra}]'"
    if old := [_told(name, version, wanted[name]) for name, version in here.items() if _is_old(version, wanted[name])]:
        return Check(what, "wrong", ", ".join(old), "update", command)
    if missing := [name for name, version in here.items() if version is None]:
        told = f"not installed: {', '.join(missing)}, so {EXTRAS[extra]}"
        return Check(what, "unknown", told, "to have it", command)
    return Check(what, "ok", ", ".join(f"{name} {version}" for name, version in here.items()))


def _told(name: str, version: str | None, least: str) -> str:
    return f"{name} {version}, where {least} is the oldest" + (f" ({WHY[name]})" if name in WHY else "")


def _version(name: str, versions: Versions) -> str | None:
    try:
        return versions(name)
    except PackageNotFoundError:
        return None


def _is_old(version: str | None, least: str) -> bool:
    return version is not None and _release(version) < _release(least)


def _release(version: str) -> list[int]:
    """The numbers of a version, without trailing zeros and what follows (`.post6`, `+cpu`)."""
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def gpu(versions: Versions = version) -> Check:
    """What the driver tells; whether torch can use a GPU shows in torch's version."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return Check("GPU", "ok", "none (no nvidia-smi on PATH), so runs on this machine take the CPU")
    try:
        seen = subprocess.run([tool, *MEMORY], capture_output=True, text=True, timeout=LONGEST_LOOK_S, check=True)
    except (OSError, subprocess.SubprocessError) as problem:
        return Check("GPU", "unknown", f"nvidia-smi can't tell ({problem})", "look at the driver", "nvidia-smi")
    told = "; ".join(seen.stdout.splitlines())
    torch = _version("torch", versions) or ""
    if torch.endswith("+cpu"):
        told = f"{told}, which torch {torch} can't use"
        return Check("GPU", "unknown", told, "install it with CUDA", "pip install --force-reinstall torch")
    return Check("GPU", "ok", told)
