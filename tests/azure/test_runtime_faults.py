"""Each fault that occurs while a job runs on Azure ML is survived, or reported as what it is."""

import pytest

from tests.workspace.runtime_faults import RUNTIME_FAULTS

CASES = [pytest.param(fault, id=fault.name, marks=[pytest.mark.slow] * fault.slow) for fault in RUNTIME_FAULTS]


@pytest.mark.parametrize("fault", CASES)
def test_a_fault_of_a_running_job_is_survived_or_reported(workspace, client, tmp_path, fault):
    assert fault.is_handled(workspace, client, tmp_path)
