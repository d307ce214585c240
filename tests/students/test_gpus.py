"""Train and predict stop at their start when the GPUs that the job rented cannot be used."""

import pytest
import torch

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.gpus import REQUIRED_GPUS
from azdistill.engine.job_variables import RUN_ID
from azdistill.students.gpus import check_gpus, fix, installed_driver
from tests.job_variables import job_variables

# No machine of these tests has so many: torch cannot use them with and without a GPU.
RENTED = {REQUIRED_GPUS: "99", **job_variables()}
DRIVERS = {
    "570.195.03": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.195.03  Sat Sep 20 00:00:00 UTC 2025\n"
    "GCC version:  gcc version 12.3.0 (Ubuntu 12.3.0-1ubuntu1~22.04)\n",
    "580.65.06": "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (dvs-builder)\n",
}


@pytest.mark.parametrize("version", DRIVERS)
def test_the_driver_is_read_from_the_kernel(tmp_path, version):
    (tmp_path / "version").write_text(DRIVERS[version])
    assert installed_driver(tmp_path / "version") == version
    assert installed_driver(tmp_path / "none") is None


def test_a_rented_gpu_that_torch_cannot_use_is_an_error_with_driver_and_cuda_version(tmp_path):
    (tmp_path / "version").write_text(DRIVERS["570.195.03"])
    with pytest.raises(AzdistillError) as error:
        check_gpus(RENTED, tmp_path / "version")
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("gpu_unusable", (REQUIRED_GPUS,), 99)
    assert f"torch {torch.__version__}" in problem.message
    assert "driver 570.195.03" in problem.message
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("environ", [{}, job_variables(), {REQUIRED_GPUS: "4"}, {REQUIRED_GPUS: "4", RUN_ID: "local"}])
def test_a_local_run_and_a_node_without_a_gpu_need_none(environ):
    check_gpus(environ)


def test_a_trial_of_a_sweep_has_the_number_from_its_input():
    with pytest.raises(AzdistillError) as error:
        check_gpus(job_variables(), required_of_trial=99)
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("gpu_unusable", ("required_gpus",), 99)
    check_gpus({}, required_of_trial=99)


@pytest.mark.parametrize(
    ("driver", "cuda", "advice"),
    [
        ("570.195.03", None, "install torch with CUDA"),
        (None, "12.8", "compute.gpu_instance_type"),
        ("570.195.03", "13.0", "CUDA 13.0 needs driver 580"),
        ("515.65.01", "12.8", "CUDA 12.8 needs driver 525"),
        ("570.195.03", "12.8", "choose another VM size"),
    ],
)
def test_the_fix_depends_on_driver_and_cuda(driver, cuda, advice):
    assert advice in fix(driver, cuda)


@pytest.mark.gpu
def test_a_usable_gpu_passes_and_a_missing_second_one_is_found():
    check_gpus({**RENTED, REQUIRED_GPUS: "1"})
    with pytest.raises(AzdistillError, match="of 99 GPUs"):
        check_gpus(RENTED)
