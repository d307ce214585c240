"""Help texts, which import no heavy package."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.cli.conftest import Command, Writer

VERBS = (
    "init",
    "validate",
    "schema",
    "convert",
    "compile",
    "models",
    "plan",
    "run",
    "runs",
    "logs",
    "report",
    "evaluate",
    "compare",
    "clean",
    "doctor",
    "submit",
    "publish",
    "status",
    "stream",
    "cancel",
    "outputs",
    "download",
    "deploy",
    "chat",
    "serve",
    "simulate",
    "docs",
)
HEAVY = ("torch", "transformers", "mlflow", "azure", "aiohttp", "numpy", "rich", "filelock", "ssl")
PROGRAM = f"""\
import atexit, sys
from azdistill.cli.main import main
atexit.register(lambda: print("heavy:", [name for name in {HEAVY!r} if name in sys.modules]))
main()
"""


def test_help_lists_every_verb_with_a_complete_sentence(azdistill: Command) -> None:
    done = azdistill("--help")
    assert done.code == 0
    for verb in VERBS:
        (line,) = (line for line in done.out.splitlines() if line.strip().startswith(f"{verb} "))
        assert line.endswith(".")
        assert not line.endswith("...")


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_gives_an_example_and_the_exit_codes(azdistill: Command, verb: str) -> None:
    done = azdistill(verb, "--help")
    assert done.code == 0
    assert f"Example: azdistill {verb} " in done.out
    assert "Exit codes: 0 " in done.out
    assert max(map(len, done.out.splitlines())) <= 80


def test_an_unknown_verb_or_option_is_wrong_input(azdistill: Command) -> None:
    assert azdistill("distil").code == 2
    assert azdistill("run", "--fast").code == 2


def imported(*arguments: str | Path) -> str:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_help_and_validate_import_nothing_heavy(job: Path, pipeline: Writer) -> None:
    assert imported("--help") == "heavy: []"
    assert imported("validate", job) == "heavy: []"
    assert imported("validate", pipeline({"say": "echo hello"})) == "heavy: []"


def test_the_version_is_that_of_the_package(azdistill: Command) -> None:
    done = azdistill("--version")
    assert (done.code, done.out.strip()) == (0, version("azdistill"))
