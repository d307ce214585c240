"""Errors of a base install for commands that need an extra. Its missing modules are hidden in a separate process."""

import json
import re
import shutil
import subprocess
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest

import azdistill
from azdistill.contracts.extras import MODULES
from tests.cli.conftest import JOB

# Modules that a package of the base install or of an extra installs, and those that azdistill does not install.
WITHOUT_EXTRA = {"annotated_types", "click", "marshmallow", "pydantic_core", "pytest", "vllm", "yaml"}

IMPORT = re.compile(r"^ *(?:from|import) (\w+)(?:\.\S+)*(?: import .*| as \w+)?$", re.MULTILINE)
STUDENT = Path(__file__).parents[2] / "pipelines" / "quickstart" / "student"

# Runs one command after the other without the modules of all extras, and prints how each ended.
WITHOUT_EXTRAS = """
import contextlib, io, json, shlex, sys
from azdistill.cli.main import main
from azdistill.contracts.extras import MODULES
sys.modules.update({name: None for names in MODULES.values() for name in names})
for line in sys.stdin:
    sys.argv = ["azdistill", *shlex.split(line)]
    with contextlib.redirect_stderr(io.StringIO()) as stderr, contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([line.strip(), code, stderr.getvalue().strip()]), flush=True)
"""


ROW = {"messages": [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Good day"}]}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A folder with a job, its rows and student, and a Parquet file."""
    shutil.copytree(STUDENT, tmp_path / "student")
    (tmp_path / "job.yaml").write_text(JOB)
    for name in ("rows.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(json.dumps(ROW) + "\n")
    (tmp_path / "rows.parquet").write_bytes(b"PAR1PAR1")
    return tmp_path


def test_each_command_names_the_extra_that_it_needs_in_one_line(job: Path) -> None:
    extras = {
        "run .": "local",
        "run . --dry-run": "local",
        "chat student -m hello": "train",
        "serve student": "train",
        "simulate --model student": "train",
        "evaluate -m student -d rows.jsonl": "local",
        "compare student student": "local",
        "data show rows.parquet": "data",
        "data show rows.jsonl --student student": "train",
        "publish . --registry shared": "azure",
    }
    process = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRAS],
        input="\n".join(extras),
        cwd=job,
        capture_output=True,
        text=True,
        check=True,
    )
    results = [json.loads(line) for line in process.stdout.splitlines()]
    assert [command for command, _, _ in results] == list(extras)
    for command, code, error in results:
        last = error.splitlines()[-1]
        assert code == 2, (command, error)
        assert f"pip install 'azdistill[{extras[command]}]'" in last, (command, error)
        assert "Traceback" not in error
    assert not (job / "runs" / "small" / "teacher").exists()


def test_every_package_is_of_the_base_install_or_of_an_extra() -> None:
    base = {re.split(r"[<>=; \[]", line)[0] for line in requires("azdistill") or () if "extra ==" not in line}
    known = {*base, *sys.stdlib_module_names, "azdistill", *WITHOUT_EXTRA}
    known |= {name for names in MODULES.values() for name in names}
    imports = {
        (name, path.name)
        for path in Path(azdistill.__file__).parent.rglob("*.py")
        for name in re.findall(
            r"^ *(?:from|import) (\w+)(?:\.\S+)*(?: import .*| as \w+)?$", path.read_text(), re.MULTILINE
        )
    }
    assert {(name, file) for name, file in imports if name not in known} == set()
