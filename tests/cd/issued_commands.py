"""The `az` commands that the verbs of scripts/cd can issue, by their dry runs and by their source."""

import ast
import contextlib
import functools
import io
import re
import shlex
import tempfile
from collections.abc import Iterator
from pathlib import Path

from scripts.cd.__main__ import parser
from scripts.cd.az import AzureCli
from tests.cd.az_reference import ROOT, command_of, commands_in_page, commands_in_shell

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


@functools.cache
def in_package() -> list[list[str]]:
    """Arguments of the commands in the texts of azdistill, such as those that `azdistill doctor` prints.

    What a function adds to a text, such as the options of the workspace, is the word VALUE.
    """
    return [
        command
        for path in sorted((ROOT / "azdistill").rglob("*.py"))
        for text in _texts(ast.parse(path.read_text(encoding="utf-8")))
        for command in commands_in_shell(text)
        if command and re.fullmatch(r"[a-z-]+", command[0])
    ]


def _texts(tree: ast.AST) -> Iterator[str]:
    """Strings of a module. A list of arguments that starts with `az` is one string."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(_text(part) for part in node.values)
        elif isinstance(node, ast.List):
            yield " ".join(_text(part) for part in node.elts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value


def _text(node: ast.AST) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else "VALUE"


def pages() -> list[Path]:
    """Pages that may contain commands."""
    folders = {folder: (ROOT / folder).rglob("*.md") for folder in ("docs", "infra", "environments", "pipelines")}
    return sorted([*ROOT.glob("*.md"), *(page for found in folders.values() for page in found)])


def checked_commands() -> list[tuple[str, ...]]:
    """All complete commands that the tests check: of the dry runs, and of the pages."""
    return [*issued(), *(tuple(line) for page in pages() for line in commands_in_page(page.read_text()))]
