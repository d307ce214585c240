"""checkov finds nothing in infra/ that has no reason."""

import pytest
import yaml

from benchmarks.ship_infra import SKIPS, failed_checks, unexplained

pytestmark = pytest.mark.pypi


def test_every_failed_check_has_a_reason() -> None:
    findings = failed_checks()
    assert unexplained(findings) == []
    skips = yaml.safe_load(SKIPS.read_text(encoding="utf-8"))
    assert all(skip["reason"] for skip in skips.values())
    failed = {(finding.check, finding.file) for finding in findings}
    assert {(check, file) for check, skip in skips.items() for file in skip["files"]} - failed == set()
