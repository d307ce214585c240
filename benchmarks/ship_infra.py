"""Findings of checkov in infra/, and the role assignments that infra/ deploys, for `make bench-ship`.

checkov runs in a separate environment under .bench/, because its pinned versions conflict with ours. It is installed
there on first use, which needs PyPI.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from azdistill.azure.roles import ASSIGNMENTS
from benchmarks.peers.venvs import Peer, python_of

ROOT = Path(__file__).parent.parent
INFRA = ROOT / "infra"
SKIPS = INFRA / "checkov-skips.yaml"
CHECKOV = Peer("checkov", "checkov==3.3.30", Path("checkov"))
INSTALL_S = 600
# The principal whose roles people assign by hand: infra/README.md.
BY_HAND = "infra"


@dataclass(frozen=True, order=True)
class Finding:
    """A failed check of checkov. `file` is relative to infra/."""

    check: str
    file: str
    resource: str
    name: str


def failed_checks() -> list[Finding]:
    """Every failed check, and every file that checkov cannot parse. Raises RuntimeError where it does not install."""
    python = python_of(CHECKOV, INSTALL_S)
    options = ["--framework", "bicep", "--directory", str(INFRA), "--skip-download", "--output", "json"]
    command = [str(python.with_name("checkov")), *options]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        report: dict[str, Any] = json.loads(completed.stdout)["results"]
    except (ValueError, KeyError, TypeError):
        raise RuntimeError(
            f"checkov: no report (exit code {completed.returncode}): {completed.stderr[-500:]}"
        ) from None
    unread = [
        Finding("unreadable", str(path), "", "checkov cannot parse the file") for path in report["parsing_errors"]
    ]
    return sorted([*unread, *map(_finding, report["failed_checks"])])


def _finding(failed: dict[str, Any]) -> Finding:
    return Finding(failed["check_id"], failed["file_path"].lstrip("/"), failed["resource"], failed["check_name"])


def unexplained(findings: Sequence[Finding]) -> list[Finding]:
    """Findings that infra/checkov-skips.yaml has no reason for."""
    skips = yaml.safe_load(SKIPS.read_text(encoding="utf-8")) or {}
    return [finding for finding in findings if finding.file not in skips.get(finding.check, {}).get("files", ())]


def infra_findings() -> int:
    """Failed checks of checkov beyond infra/checkov-skips.yaml."""
    return len(unexplained(failed_checks()))


def role_assignments() -> int:
    """Role assignments of the table that the Bicep files deploy: without those by hand."""
    return sum(assignment.principal != BY_HAND for assignment in ASSIGNMENTS)
