"""Write a new job folder: a job from templates, or a complete example."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from string import Template
from typing import get_args

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import write_text
from azdistill.contracts.task import OWN, TaskName
from azdistill.engine.problems import suggest
from azdistill.job.assets import asset
from azdistill.job.catalog import built_in
from azdistill.job.paths import absent
from azdistill.job.schema import job_schema

TEMPLATES = Path(__file__).parent
TASKS: tuple[str, ...] = (*get_args(TaskName), OWN)
OWN_TASK = "my_task.py"
SCHEMA = "job.schema.json"
HEADER = f"# yaml-language-server: $schema=./{SCHEMA}\n"

# The last sample rows are test rows, which have the correct answer.
TEST_ROWS = 2

# Folder in the repository, by the name of the example.
EXAMPLES = {"support": "pipelines/quickstart"}


def start_job(folder: Path, task: str, teacher: str, student: str) -> None:
    """Write a commented job for these choices, sample rows of the task, a README and the schema.

    Raises InputError for a folder that is not empty or an unknown choice.
    """
    _check_choice("--task", task, TASKS)
    _check_empty(folder)
    for problem in absent({"student": {"model": student}}, built_in(), Path()):
        raise InputError(problems=[replace(problem, field=(), subject=f"--student {student!r}")])
    student = os.path.relpath(student, folder) if Path(student).is_dir() else student
    chosen = {"name": _name(folder), "tasks": ", ".join(TASKS[:-1]) + ", or a Python file"}
    quoted = {"task": f"./{OWN_TASK}" if task == OWN else task, "teacher": teacher, "student": student}
    chosen |= {name: json.dumps(value) for name, value in quoted.items()}
    chosen["simulation"] = Template(_template("simulation.yaml")).substitute(chosen) if task == OWN else ""
    _write(folder, task, chosen)


def bring_example(name: str, folder: Path) -> None:
    """Write an example job with its generated data and student. Raises InputError as `start_job` does."""
    _check_choice("--example", name, EXAMPLES)
    _check_empty(folder)
    source = asset(EXAMPLES[name])
    shutil.copytree(source / "student", folder / "student")
    shutil.copy(source / "generate.py", folder)
    command = [sys.executable, str(folder / "generate.py"), "--out", str(folder / "data")]
    subprocess.run(command, check=True)
    job = (source / "job.yaml").read_text(encoding="utf-8").replace(f"{EXAMPLES[name]}/", "")
    values = {"name": _name(folder), "job_name": re.findall("^name: (.+)$", job, re.MULTILINE)[0]}
    readme = Template(_template("README.example.md")).substitute(values)
    _write_common(folder, readme, HEADER + re.sub("^# yaml-language-server.*\n", "", job))


def _check_choice(option: str, value: str, known: "tuple[str, ...] | dict[str, str]") -> None:
    if value not in known:
        raise InputError(f"{option} {value!r}: no such choice; {suggest(value, known)}")


def _check_empty(folder: Path) -> None:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    entries = sorted(names, key=lambda name: (name.startswith("."), name))  # a file that `ls` shows is named first
    if entries or folder.is_file():
        reason = f"contains {entries[0]!r}" if entries else "is a file"
        raise InputError(f"folder {str(folder)!r} {reason}", fix="name a new or empty folder")


def _name(folder: Path) -> str:
    """The name of a folder as a valid job name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).lstrip("._-")[:101] or "distillation"


def _write(folder: Path, task: str, chosen: dict[str, str]) -> None:
    rows = _template(f"rows/{task}.jsonl").splitlines(keepends=True)
    write_text(folder / "training_data.jsonl", "".join(rows[:-TEST_ROWS]))
    write_text(folder / "test_data.jsonl", "".join(rows[-TEST_ROWS:]))
    if task == OWN:
        write_text(folder / OWN_TASK, _template(OWN_TASK))
    row = f"| `{OWN_TASK}` | the task: prompts of rows, and the check of answers |\n" if task == OWN else ""
    counts = {"train": str(len(rows) - TEST_ROWS), "test": str(TEST_ROWS), "task_file": row}
    plain = {name: value.strip('"') for name, value in chosen.items()}
    readme = Template(_template("README.md")).substitute(plain | counts)
    _write_common(folder, readme, Template(_template("job.yaml")).substitute(chosen))


def _write_common(folder: Path, readme: str, job: str) -> None:
    """Write the files of every job folder. The job is written last, so a folder with a job is complete."""
    write_text(folder / ".gitignore", _template("gitignore"))
    write_text(folder / "README.md", readme)
    write_text(folder / SCHEMA, json.dumps(job_schema(), indent=2) + "\n")
    write_text(folder / "job.yaml", job)


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")
