"""Check the environments of a bundle: base image, packages that are too old, and the NVIDIA driver that CUDA needs."""

import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from azdistill.azure.checks.result import CheckResult, failed, ok, unknown
from azdistill.contracts.errors import InputError
from azdistill.contracts.gpus import minimum_driver
from azdistill.contracts.layout import ENVIRONMENTS
from azdistill.engine.yaml_document import read_document

# An older azureml-mlflow crashes when a job saves its first artifact, hours after the start.
OLDEST_AZUREML_MLFLOW = (1, 62)

# Azure ML's own base images, and those that Microsoft listed as supported in November 2026.
BASE_IMAGES = "mcr.microsoft.com/azureml/openmpi"
SUPPORTED_IMAGES = (
    "openmpi4.1.0-ubuntu22.04",
    "openmpi5.0-ubuntu24.04",
    "openmpi5.0-cuda12.4-ubuntu22.04",
    "openmpi5.0-cuda12.5-ubuntu22.04",
    "openmpi5.0-cuda12.6-ubuntu24.04",
    "openmpi5.0-cuda12.8-ubuntu24.04",
    "openmpi5.0-cuda13.1-ubuntu24.04",
)

# Branch of Azure's GRID driver in May 2026. The NV series has it; drivers of other VM sizes are not published.
# Source: https://learn.microsoft.com/azure/virtual-machines/linux/n-series-driver-setup
GRID_VMS, GRID_DRIVER = "standard_nv", 570

README = "environments/README.md"


def check_environments(bundle: Path, sizes: Collection[str]) -> Iterator[CheckResult]:
    """One result for each problem of an environment, or one result ok. `sizes` are the VM sizes of the nodes."""
    for path in sorted(bundle.glob(f"{ENVIRONMENTS}/*/environment.yml")):
        environment = read_document(path, InputError, "environment file").value
        image, packages = str(environment.get("image", "")), _packages(path.parent, environment)
        checked = f"environment {environment.get('name', path.parent.name)!r}"
        problems = [*_image(checked, image), *_mlflow(checked, packages), *_driver(checked, packages, sizes)]
        yield from problems or [ok(checked, _summary(image, packages))]


def _packages(folder: Path, environment: Mapping[str, Any]) -> dict[str, str]:
    """The pinned pip packages of an environment's conda file."""
    if not isinstance(name := environment.get("conda_file"), str):
        return {}
    conda = read_document(folder / name, InputError, "conda file").value
    sections = [entry.get("pip") or () for entry in conda.get("dependencies") or () if isinstance(entry, Mapping)]
    pins = (re.match(r"([\w.-]+)\s*[=~>]=\s*([\w.]+)", str(line)) for lines in sections for line in lines)
    return {pin[1].lower(): pin[2] for pin in pins if pin}


def _image(checked: str, image: str) -> Iterator[CheckResult]:
    """Check a base image. One without a date in its tag is the latest one when Azure ML builds the environment."""
    repository, _, tag = image.partition(":")
    if not image.startswith(BASE_IMAGES):
        return
    if repository.rpartition("/")[2] not in SUPPORTED_IMAGES:
        message = f"{repository} was not on Microsoft's list of supported base images in November 2026"
        yield unknown(checked, "unsupported_image", message, f"choose another image: {README}")
    elif tag in ("", "latest"):
        message = f"image {image} has no dated tag: the same job runs on different images"
        yield unknown(checked, "unpinned_image", message, f"name a tag: {README}")


def _mlflow(checked: str, packages: Mapping[str, str]) -> Iterator[CheckResult]:
    version = packages.get("azureml-mlflow")
    if version and tuple(map(int, re.findall(r"\d+", version)[:2])) < OLDEST_AZUREML_MLFLOW:
        message = f"azureml-mlflow {version} cannot save artifacts with mlflow 3"
        yield failed(checked, "old_package", message, "require azureml-mlflow>=1.62")


def _driver(checked: str, packages: Mapping[str, str], sizes: Collection[str]) -> Iterator[CheckResult]:
    """The driver of the NV series against what the CUDA of the environment's torch needs."""
    cuda = _cuda(packages)
    needed = minimum_driver(cuda) if cuda else 0
    grid = sorted(size for size in sizes if size.lower().startswith(GRID_VMS))
    if grid and needed > GRID_DRIVER:
        message = f"{grid[0]} had driver {GRID_DRIVER} in May 2026, and CUDA {cuda} needs {needed} or newer"
        fix = f"choose another VM size, or torch for an older CUDA: {README}"
        yield unknown(checked, "driver_too_old", message, fix)


def _cuda(packages: Mapping[str, str]) -> str | None:
    """Major version of the CUDA that the locked torch brings."""
    names = filter(None, (re.fullmatch(r"nvidia-cudnn-cu(\d+)", name) for name in packages))
    return next((name[1] for name in names), None)


def _summary(image: str, packages: Mapping[str, str]) -> str:
    cuda = _cuda(packages)
    driver = f"; CUDA {cuda} needs driver {minimum_driver(cuda)} or newer" if cuda else ""
    return f"image {image.rpartition('/')[2]}, {len(packages)} locked packages{driver}"
