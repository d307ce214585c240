"""The `az` commands that the verbs of scripts/cd can issue, by their dry runs and by their source."""

import ast
import contextlib
import functools
import io
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.cd.__main__ import parser
from scripts.cd.az import AzureCli
from tests.cd.az_reference import ROOT, command_of, commands_in_page

GROUP = "--group g --subscription s"
WORKSPACE = f"{GROUP} --workspace w"
PIPELINE = "type: pipeline\ndisplay_name: small\ninputs: {seed: 1}\njobs: {}\n"


@functools.cache
def issued() -> tuple[tuple[str, ...], ...]:
    """Arguments of the commands that dry runs of all verbs print."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "pipeline.yml").write_text(PIPELINE)
        (folder / "dev.bicepparam").write_text("")
        verbs = [
            "setup",
            "login",
            f"infra --parameters {folder}/dev.bicepparam {GROUP}",
            f"train --job {folder} --input seed=2 --results {folder} {WORKSPACE}",
            f"cancel --job-name small-1 {WORKSPACE}",
            f"deploy --job job.yaml --model azureml:m:3 --answers small-1 {WORKSPACE}",
            f"promote --model m --version 3 --job-name small-1 --results {folder} --registry r {WORKSPACE}",
        ]
        text = io.StringIO()
        with contextlib.redirect_stdout(text):
            for verb in verbs:
                arguments = parser().parse_args([*verb.split(), "--dry-run"])
                arguments.verb(arguments, AzureCli(dry_run=True))
    lines = [shlex.split(line) for line in text.getvalue().splitlines()]
    return tuple(tuple(words[1:]) for words in lines if words[:1] == ["az"])


def in_source() -> set[str]:
    """Names of the commands that the source calls as `az("ml", "job", ...)`, or returns as a list of arguments."""
    return {name for path in (ROOT / "scripts" / "cd").glob("*.py") for name in _called(ast.parse(path.read_text()))}


def _called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "az"
        elements = node.args if is_call else node.elts if isinstance(node, ast.List) else []
        words = []
        for element in elements:
            if not (isinstance(element, ast.Constant) and isinstance(element.value, str)):
                break
            words.append(element.value)
        command = command_of(words) if words else None
        if command or (is_call and words):
            yield command.name if command else " ".join(words)


def pages() -> list[Path]:
    """Pages with commands for the infrastructure, the workflows and the endpoints."""
    docs = [ROOT / "docs" / name for name in ("azure-first-run.md", "cd.md", "deploy.md")]
    docs = [ROOT / "docs" / name for name in ("azure-first-run.md", "cd.md", "deploy.md")]
    return sorted([*docs, *(ROOT / "infra").rglob("*.md")])


def checked_commands() -> list[tuple[str, ...]]:
    """All commands that the tests check: of the dry runs, and of the pages."""
    return [*issued(), *(tuple(line) for page in pages() for line in commands_in_page(page.read_text()))]
