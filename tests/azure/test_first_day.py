"""Each fault of the first day is reported before anything is sent."""

import pytest

from azdistill.azure.checks.bundle import check_bundle
from tests.cd.az_reference import commands_in_shell, problem_of
from tests.workspace.first_day import CLUSTERS, FAULTS, FirstDayFault, check_with, nothing, prepare
from tests.workspace.first_day_page import PAGE, row


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_reported_before_anything_is_sent(tmp_path, client, workspace, fault: FirstDayFault):
    results = check_with(fault, workspace, client, tmp_path)
    report = fault.report(results)
    assert report, "\n".join(map(str, results))
    command = report.problem.command if report.problem else ""
    assert [problem for line in commands_in_shell(command) if (problem := problem_of(line))] == []
    assert not workspace.requests.of("PUT")
    assert row(fault, report) in PAGE.read_text(encoding="utf-8"), "run `make golden`"


JOBS = {str(fault.sections): fault.sections for fault in FAULTS if fault.plant is not nothing}


@pytest.mark.parametrize("sections", [{"compute": CLUSTERS}, *JOBS.values()], ids=str)
def test_without_a_fault_no_problem_is_reported(bundle, client, workspace, sections):
    """A fault of the workspace is reported because it was planted."""
    prepare(workspace)
    results = list(check_bundle(client, bundle(**sections)))
    assert [str(result) for result in results if result.status != "ok"] == []
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
