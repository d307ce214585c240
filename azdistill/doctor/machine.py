"""Check this machine: Python, installed packages, GPU. No heavy package is imported."""

import operator
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from azdistill.azure.checks.result import CheckResult, failed, ok, unknown

PACKAGE = "azdistill"
# What does not work without an extra. A package of several extras is reported with the first of them.
EXTRAS = {
    "azure": "jobs cannot be submitted from here",
    "train": "students cannot be trained or run on this machine",
    "eval": "students cannot be evaluated on this machine",
    "local": "students cannot be registered on this machine",
}
REASONS = {"azureml-mlflow": "older versions crash when mlflow 3 saves an artifact"}
REQUIREMENT = re.compile(
    r"(?P<name>[\w.-]+)(?P<bounds>[<>=\d.,]+); (?:\(sys_platform != ['\"](?P<not_on>\w+)['\"]\) and )?"
    r"extra == ['\"](?P<extra>\w+)['\"]"
)
BOUND = re.compile(r"(>=|<)([\d.]+)")
COMPARE = {">=": operator.ge, "<": operator.lt}
GPU_QUERY = ("--query-gpu=name,memory.total", "--format=csv,noheader")
GPU_TIMEOUT_S = 30.0

# Returns the version of a package; raises PackageNotFoundError for one that is not installed.
VersionOf = Callable[[str], str]


def check_machine() -> Iterator[CheckResult]:
    """Results for Python, Windows, azdistill, its extras and the GPU."""
    yield check_python(sys.version_info[:2], metadata(PACKAGE)["Requires-Python"])
    if sys.platform == "win32":
        yield unknown("system", "untested_system", "local runs are not tested on Windows", "use WSL", "wsl --install")
    yield ok(PACKAGE, version(PACKAGE))
    yield from check_extras(requires(PACKAGE) or [])
    yield check_gpu()


def check_python(python: tuple[int, int], required: str) -> CheckResult:
    """`required` is Requires-Python of the package's metadata: `<3.14,>=3.11`."""
    detail = f"{platform.python_version()}, {sys.executable}"
    if _is_within(f"{python[0]}.{python[1]}", required):
        return ok("python", detail)
    command = "python3.12 -m venv .venv && .venv/bin/pip install azdistill"
    message = f"{detail}; azdistill requires {required}"
    return failed("python", "unsupported_python", message, "create an environment of another version", command)


def check_extras(requirements: Iterable[str], version_of: VersionOf = version) -> Iterator[CheckResult]:
    """One result for each extra. `requirements` are those of the package's metadata."""
    matches = [match for text in requirements if (match := REQUIREMENT.fullmatch(text))]
    matches = [match for match in matches if match["not_on"] != sys.platform]
    reported: set[str] = set()
    for extra in EXTRAS:
        bounds = {match["name"]: match["bounds"] for match in matches if match["extra"] == extra}
        bounds = {name: text for name, text in bounds.items() if name not in reported}
        reported |= bounds.keys()
        yield _check_extra(extra, bounds, {name: _installed(name, version_of) for name in bounds})


def _check_extra(extra: str, bounds: Mapping[str, str], versions: Mapping[str, str | None]) -> CheckResult:
    """A version out of bounds is a problem. A missing package may not be needed by this user: unknown."""
    checked, command = f"extra {extra}", f"pip install '{PACKAGE}[{extra}]'"
    unsupported = [
        _describe(name, version, bounds[name])
        for name, version in versions.items()
        if version is not None and not _is_within(version, bounds[name])
    ]
    if unsupported:
        message = ", ".join(unsupported)
        return failed(checked, "unsupported_version", message, "install a supported version", command)
    if missing := [name for name, version in versions.items() if version is None]:
        message = f"not installed: {', '.join(missing)}; {EXTRAS[extra]}"
        return unknown(checked, "not_installed", message, "install it if you need it", command)
    return ok(checked, ", ".join(f"{name} {version}" for name, version in versions.items()))


def _describe(name: str, version: str, bounds: str) -> str:
    reason = f" ({REASONS[name]})" if name in REASONS else ""
    return f"{name} {version}, but {bounds} is required{reason}"


def _installed(name: str, version_of: VersionOf) -> str | None:
    try:
        return version_of(name)
    except PackageNotFoundError:
        return None


def _is_within(version: str, bounds: str) -> bool:
    """True if a version is within bounds such as `<3.14,>=3.11`."""
    return all(COMPARE[sign](_release(version), _release(bound)) for sign, bound in BOUND.findall(bounds))


def _release(version: str) -> list[int]:
    """The numbers of a version, without trailing zeros and suffix (`.post6`, `+cpu`)."""
    match = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in match[0].split(".")] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers


def check_gpu(version_of: VersionOf = version) -> CheckResult:
    """GPU as reported by the driver. The version of torch says whether torch can use it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ok("GPU", "none (no nvidia-smi on PATH): local runs use the CPU")
    try:
        query = subprocess.run([program, *GPU_QUERY], capture_output=True, text=True, timeout=GPU_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return unknown("GPU", "driver_failed", f"nvidia-smi failed ({error})", "check the driver", "nvidia-smi")
    gpus = "; ".join(query.stdout.splitlines())
    torch = _installed("torch", version_of) or ""
    if torch.endswith("+cpu"):
        message = f"{gpus}, which torch {torch} cannot use"
        command = "pip install --force-reinstall torch"
        return unknown("GPU", "torch_without_cuda", message, "install torch with CUDA", command)
    return ok("GPU", gpus)
