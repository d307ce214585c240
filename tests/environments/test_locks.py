"""The locks of the environments: complete, consistent with their sources, and what the steps import is in them.

Azure ML builds an image from environment.yml and conda.yml. Offline, the metadata of the packages that are installed
here stands for PyPI's; `test_each_lock_resolves` asks PyPI.
"""

import ast
import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.markers import Environment, default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from azdistill.job.components import STEPS, step_of
from azdistill.job.snapshot import closure
from environments import lock, sbom

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = lock.environments()

# Packages of a lock that are not installed here: what only torch for CUDA 12 needs.
CUDA_ONLY = re.compile(r"nvidia-.+-cu12|triton|cuda-bindings|cuda-pathfinder")

# Environments with packages that the tests do not run with.
UNTESTED = {"vllm"}

# Installed for what loads them by name, not by an import of a step.
PLUGINS = {
    "azureml-mlflow": "mlflow's client for azureml:// addresses",
    "mlflow-skinny": "mlflow",
    "accelerate": "transformers' Trainer",
    "bitsandbytes": "weights in 4 bits, loaded by transformers",
    "pandas": "mlflow.pyfunc",
    "vllm": "step predict, in the environment that has it",
    "lark": "required by vllm in one version",
    "opentelemetry-proto": "required by exporters of vllm in one version",
}

TARGET: Environment = {
    **default_environment(),
    "python_version": "3.11",
    "python_full_version": lock.PYTHON,
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "sys_platform": "linux",
    "os_name": "posix",
}


def document(name: str, file: str = "conda.yml") -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((ROOT / "environments" / name / file).read_text())
    return content


def pins(name: str) -> dict[str, Version]:
    """The versions of a lock, by normalised name."""
    lines = lock.packages(name)
    return {canonicalize_name(line.partition("==")[0]): Version(line.partition("==")[2]) for line in lines}


def source(name: str) -> list[Requirement]:
    lines = (ROOT / "environments" / f"{name}.in").read_text().splitlines()
    return [Requirement(text) for line in lines if (text := line.partition("#")[0].strip())]


def cuda_only(packages: Iterable[str]) -> set[str]:
    return {package for package in packages if CUDA_ONLY.fullmatch(package)}


@cache
def constraints() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {canonicalize_name(line.partition("==")[0]): Version(line.partition("==")[2]) for line in lines}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_the_image_has_a_date_and_everything_has_one_version(name: str) -> None:
    assert re.fullmatch(r"mcr\.microsoft\.com/azureml/[\w.-]+:\d{8}\.v\d+", document(name, "environment.yml")["image"])
    conda = document(name)
    assert conda["channels"] == ["conda-forge", "nodefaults"]
    assert conda["dependencies"][:-1] == [f"python={lock.PYTHON}", f"pip={lock.PIP}"]
    lines = lock.packages(name)
    assert lines == conda["dependencies"][-1]["pip"]
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[a-z0-9.]+", line)] == []
    assert len(pins(name)) == len(lines)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_has_the_versions_of_its_source_and_those_that_the_tests_run_with(name: str) -> None:
    locked, tested = pins(name), constraints()
    assert [str(line) for line in source(name) if locked[canonicalize_name(line.name)] not in line.specifier] == []
    differ = {package for package, version in locked.items() if tested.get(package) != version}
    differ -= {canonicalize_name(line.name) for line in source(name) if str(line.specifier).startswith("==")}
    assert {package for package in differ if package in tested or name not in UNTESTED} - cuda_only(differ) == set()


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_what_a_locked_package_requires_is_locked(name: str) -> None:
    locked = pins(name)
    required = [
        (package, requirement)
        for package, version in locked.items()
        if package not in cuda_only(locked) and constraints().get(package) == version
        for requirement in requirements(package, version)
    ]
    wrong = [
        f"{package}: {requirement}"
        for package, requirement in required
        if (version := locked.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(version, prereleases=True)
    ]
    assert len(required) > len(locked.keys() & constraints().keys())
    assert wrong == []


def test_every_constraint_but_torch_has_hashes() -> None:
    """pip installs nothing from a file in which one requirement has no hash."""
    blocks = re.split(r"^(?=\S)", lock.HASHES.read_text(), flags=re.MULTILINE)
    hashed = {}
    for block in filter(None, blocks):
        requirement, *digests = [line.strip().removesuffix("\\").strip() for line in block.splitlines()]
        assert digests
        assert [text for text in digests if not re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", text)] == []
        name, _, version = requirement.partition("==")
        hashed[canonicalize_name(name)] = Version(version)
    assert hashed == {name: version for name, version in constraints().items() if name != lock.WITHOUT_HASHES}


@pytest.mark.pypi
def test_a_bill_of_materials_lists_every_locked_package(tmp_path: Path) -> None:
    sbom.write(tmp_path)
    for name, packages in sbom.requirements().items():
        bill = json.loads((tmp_path / f"{name}.cdx.json").read_text())
        listed = {f"{component['name']}=={component['version']}".lower() for component in bill["components"]}
        assert bill["bomFormat"] == "CycloneDX"
        assert listed == {line.split()[0].lower() for line in packages.splitlines() if re.match(r"\w", line)}


def requirements(package: str, version: Version) -> list[Requirement]:
    """Requirements of an installed package on the target, without extras."""
    installed = distribution(package)
    assert Version(installed.version).public == version.public
    listed = [Requirement(line) for line in installed.requires or []]
    return [line for line in listed if line.marker is None or line.marker.evaluate({**TARGET, "extra": ""})]


# With the variant of a step that has another snapshot.
WITH_VARIANTS = (*STEPS, "train_scored")


@pytest.mark.parametrize("step", WITH_VARIANTS)
def test_what_a_step_imports_is_locked(step: str) -> None:
    for environment in (step_of(step).environment, *OTHER_ENVIRONMENTS.get(step, ())):
        locked = pins(environment)
        missing = {
            module
            for module in imported(step)
            if not {canonicalize_name(provider) for provider in providers()[module]} & locked.keys()
        }
        assert missing == set(), environment


@cache
def providers() -> Mapping[str, list[str]]:
    """The packages that provide each top-level module."""
    return packages_distributions()


# Other environments of a step, and the package that the step imports only there.
OTHER_ENVIRONMENTS = {"predict": ("vllm",), "train_scored": ("vllm",)}
OPTIONAL = {"vllm"}


@cache
def imported(step: str) -> set[str]:
    """Top-level modules of other packages that the step's snapshot imports, in functions too."""
    names = set()
    for path in closure(step_of(step).module):
        for node in ast.walk(ast.parse((ROOT / path).read_text())) if path.suffix == ".py" else ():
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"azdistill"} - OPTIONAL


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_every_package_of_a_source_is_used(name: str) -> None:
    steps = [step for step in WITH_VARIANTS if name in (step_of(step).environment, *OTHER_ENVIRONMENTS.get(step, ()))]
    used = {
        canonicalize_name(provider) for step in steps for module in imported(step) for provider in providers()[module]
    }
    assert {canonicalize_name(line.name) for line in source(name)} - used - PLUGINS.keys() == set()


def test_the_page_lists_every_step_with_its_environment() -> None:
    table = re.findall(r"^\| `(\w+)` \| ([\w, ]+) \|", (lock.FOLDER / "README.md").read_text(), re.MULTILINE)
    listed = {step: name for name, steps in table for step in steps.split(", ")}
    assert listed == {step: step_of(step).environment for step in STEPS}


@pytest.mark.pypi
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_each_lock_resolves_on_linux_x86_64_to_itself(name: str) -> None:
    """Given to the resolver, the pins are complete and consistent. Needs PyPI; reads metadata only."""
    lines = lock.packages(name)
    assert lock.resolve("\n".join(lines)) == lines
