"""azdistill init: a valid job folder; and the ready jobs of a fresh clone."""

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.files import read_rows
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import Prompt
from azdistill.data.prepare import prepare
from azdistill.job.loading import load_job
from azdistill.job.plan import step_configs
from azdistill.job.scaffold.folder import TASKS
from azdistill.job.schema import job_schema
from tests.cli.conftest import Command
from tests.small_job import QUICKSTART


@pytest.mark.parametrize("task", TASKS)
def test_the_job_and_its_rows_are_valid(azdistill: Command, task: str, tmp_path: Path) -> None:
    done = azdistill("init", "my-job", "--task", task)
    assert (done.code, done.err) == (0, "")
    placeholder = azdistill("validate", "my-job/job.yaml")
    assert placeholder.code == 2
    assert "job.yaml:16: teacher.teachers.0.endpoint='https://YOUR-RESOURCE." in placeholder.err
    written = Path("my-job/job.yaml")
    written.write_text(written.read_text().replace("YOUR-RESOURCE", "foundry-7"))
    assert azdistill("validate", "my-job/job.yaml").code == 0
    job = load_job("my-job/job.yaml")
    files = {"train": Path(job.data.training_data), "test": Path(job.data.test_data or "")}
    config = step_configs(job)["prepare"]
    assert isinstance(config, PrepareConfig)
    counts = prepare(files, config, tmp_path / "prompts", Path(job.task_file) if job.task_file else None)
    assert (counts["train"] + counts["validation"], counts["test"]) == (4, 2)
    assert (counts["rejected"], counts["left_out"]) == (0, {})
    assert all(row.gold for row in read_rows(tmp_path / "prompts" / "prompts.jsonl", Prompt) if row.split == "test")


def test_it_prints_the_next_commands(azdistill: Command) -> None:
    done = azdistill("init", "my job")
    assert done.out.splitlines() == [
        "wrote my job/job.yaml",
        "try it:   azdistill run 'my job/job.yaml' --dry-run",
        "check it: azdistill validate 'my job/job.yaml', once it has the endpoint of your teacher",
    ]
    names = {path.name for path in Path("my job").iterdir()}
    assert names == {"job.yaml", "job.schema.json", "training_data.jsonl", "test_data.jsonl", "README.md", ".gitignore"}
    assert load_job("my job/job.yaml").name == "my-job"
    again = azdistill("init", "my job")
    assert again.err == "azdistill: folder 'my job' contains 'README.md'; name a new or empty folder\n"


def test_the_teacher_of_a_new_job_cannot_be_asked(azdistill: Command) -> None:
    azdistill("init", "my-job")
    for path in ("my-job/job.yaml", "my-job"):
        refused = azdistill("run", path, "--until", "teacher").err.splitlines()[-1]
        assert refused.startswith("my-job/job.yaml:16: teacher.teachers.0.endpoint='https://YOUR-RESOURCE.services.")
    assert "YOUR-RESOURCE is a placeholder" in azdistill("plan", "my-job/job.yaml").out
    assert "YOUR-RESOURCE is a placeholder" in azdistill("doctor", "my-job/job.yaml", "--offline").out
    assert azdistill("run", "my-job/job.yaml", "--until", "prepare").code == 0


def commands_of(readme: Path) -> list[list[str]]:
    """The arguments of the commands in the first code block."""
    block = readme.read_text().split("```")[1]
    return [shlex.split(line)[1:] for line in block.splitlines() if line.startswith("azdistill ")]


@pytest.mark.parametrize("options", [["--task", "own"], ["--example", "support"]])
def test_the_readme_lists_the_files_and_its_commands_work(
    azdistill: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    """Of the commands, those that take seconds are run, and the options of the others are read."""
    azdistill("init", "job", *options)
    readme = folder / "job" / "README.md"
    files = {path.name for path in readme.parent.iterdir()} - {"README.md", ".gitignore"}
    assert {row.split("`")[1].rstrip("/") for row in readme.read_text().splitlines() if row.startswith("| `")} == files
    monkeypatch.chdir(folder / "job")
    commands = commands_of(readme)
    is_example = "support" in options
    assert [command[0] for command in commands] == (
        ["validate", "run", "chat"] if is_example else ["run", "validate", "plan"]
    )
    job = folder / "job" / "job.yaml"
    job.write_text(job.read_text().replace("YOUR-RESOURCE", "foundry-7"))
    for command in commands:
        explains = ["--explain"] if command[0] == "run" else []
        if command[0] != "chat" and "--dry-run" not in command:
            assert azdistill(*command, *explains).code == 0
    name = load_job("job.yaml").name
    assert commands[2][:2] in (["chat", name], ["plan", "job.yaml"])


def test_an_editor_finds_the_schema_beside_the_job(azdistill: Command) -> None:
    azdistill("init", "my-job")
    header = Path("my-job/job.yaml").read_text().splitlines()[0]
    assert header == "# yaml-language-server: $schema=./job.schema.json"
    assert json.loads(Path("my-job/job.schema.json").read_text()) == job_schema()


def test_choices_are_taken(azdistill: Command, folder: Path) -> None:
    (folder / "model").mkdir()
    done = azdistill("init", "deep/job", "--task", "qa", "--teacher", "gpt-oss-120b", "--student", "model")
    assert done.code == 0
    job = load_job("deep/job/job.yaml")
    assert (job.task, job.teacher.teachers[0].model) == ("qa", "gpt-oss-120b")
    assert Path(job.student.model).resolve() == folder / "model"


def test_a_licence_duty_of_a_choice_is_told(azdistill: Command) -> None:
    done = azdistill("init", "job", "--teacher", "llama-3.3-70b")
    assert done.code == 0
    assert "warning: teacher.teachers.0.model='llama-3.3-70b': licence llama3.3" in done.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--task", "sumarization"], "--task 'sumarization': no such choice; did you mean 'summarization'?"),
        (
            ["--student", "phi4mini"],
            "--student 'phi4mini': no such folder, and no model of the catalog; did you mean phi-4-mini?",
        ),
        (["--student", "smollm2-135m"], "hf download HuggingFaceTB/SmolLM2-135M-Instruct --local-dir smollm2-135m"),
        (["--example", "shop"], "--example 'shop': no such choice; it has support"),
    ],
)
def test_an_unknown_choice_is_one_line_and_nothing_is_written(
    azdistill: Command, options: list[str], message: str
) -> None:
    done = azdistill("init", "job", *options)
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert message in done.err
    assert not Path("job").exists()


@pytest.mark.parametrize("options", [[], ["--example", "support"]])
def test_a_folder_that_holds_something_is_left_alone(azdistill: Command, folder: Path, options: list[str]) -> None:
    (folder / "rows.csv").write_text("mine")
    done = azdistill("init", ".", *options)
    assert (done.code, done.err) == (2, "azdistill: folder '.' contains 'rows.csv'; name a new or empty folder\n")
    assert [path.name for path in folder.iterdir()] == ["rows.csv"]
    assert "is a file" in azdistill("init", "rows.csv", *options).err


def test_the_example_is_a_job_with_its_rows_and_its_student(azdistill: Command) -> None:
    done = azdistill("init", "shop", "--example", "support")
    assert (done.code, done.err) == (0, "")
    assert done.out.endswith("run it:   azdistill run shop/job.yaml\n")
    job = load_job("shop/job.yaml")
    assert (job.teacher.teacher_route, job.student.weights) == ("simulated", "random")
    assert len(Path(job.data.training_data).read_text().splitlines()) == 5000
    text = Path("shop/job.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=./job.schema.json\n# Customer support")
    assert "pipelines/" not in text
    assert Path("shop/generate.py").is_file()


@pytest.mark.parametrize("job", ["quickstart", "support"])
def test_a_fresh_clone_says_how_to_generate_the_data(
    azdistill: Command, folder: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    shutil.copytree(QUICKSTART.parent, folder / "pipelines", ignore=shutil.ignore_patterns("data", "smollm"))
    done = azdistill("validate", f"pipelines/{job}/job.yaml", "--format", "json")
    problems = json.loads(done.out)
    assert done.code == 2
    assert {problem["field"] for problem in problems} == {"data.training_data", "data.test_data"}
    command = "python pipelines/quickstart/generate.py --out pipelines/quickstart/data"
    assert {(problem["code"], problem["fix"], problem["command"]) for problem in problems} == {
        ("file_not_found", "generate it", command)
    }
    subprocess.run([sys.executable, *shlex.split(command)[1:]], check=True, capture_output=True)
    assert azdistill("validate", f"pipelines/{job}/job.yaml").code == 0


def test_models_of_a_fresh_clone_are_not_said_to_be_generated_with_the_data(azdistill: Command, folder: Path) -> None:
    shutil.copytree(QUICKSTART.parent / "signals", folder / "signals", ignore=shutil.ignore_patterns("data"))
    done = azdistill("validate", "signals/logits/job.yaml", "--format", "json")
    by_field = {problem["field"]: (problem["message"], problem["command"]) for problem in json.loads(done.out)}
    assert by_field["white_box.0.model"] == ("no such folder", "")
    assert by_field["data.training_data"] == (
        "no such file",
        "python signals/generate.py --out signals/data",
    )


@pytest.mark.parametrize("command", [("init",), ("compile", "small/job.yaml", "-o"), ("schema", "-o")])
def test_a_path_that_cannot_be_written_is_one_line(azdistill: Command, command: tuple[str, ...]) -> None:
    assert azdistill("init", "small").code == 0
    done = azdistill(*command, "small/job.yaml/new")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert done.err.startswith("small/job.yaml/new: ")
    assert done.err.endswith("; give a path that can be written\n")


@pytest.mark.parametrize("option", ["--task", "--teacher", "--student"])
def test_an_example_has_no_choices(azdistill: Command, option: str) -> None:
    refused = azdistill("init", "shop", "--example", "support", option, "qa")
    assert (refused.code, refused.err) == (
        2,
        f"azdistill: {option} 'qa': an example has its own task, teacher and student; remove {option} or --example\n",
    )
    assert not Path("shop").exists()
