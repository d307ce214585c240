"""azdistill validate: a job, a bundle or a pipeline, right or with every finding at once."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import JOB, Command, Writer, command


def test_a_right_job_is_one_friendly_line(azdistill: Command, job: Path) -> None:
    done = azdistill("validate", job)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"{job}: right; job small: DeepSeek-V3.2 teaches {job.parent / 'student'} (conversation)\n"


def test_every_finding_of_a_job_is_told_with_its_line(azdistill: Command, job: Path) -> None:
    job.write_text(JOB.replace("task: conversation", "task: talk") + "training:\n  learning_rate: 7\n")
    done = azdistill("validate", job)
    assert (done.code, done.out) == (2, "")
    task, rate = done.err.splitlines()
    assert task.startswith(f"{job}:2: task='talk': ")
    assert rate.startswith(f"{job}:13: training.learning_rate=7")


def test_a_bundle_is_right_as_compile_writes_it(azdistill: Command, job: Path) -> None:
    assert azdistill("compile", job, "-o", "bundle").code == 0
    done = azdistill("validate", "bundle")
    assert (done.code, done.err) == (0, "")
    assert done.out == "bundle/pipeline.yml: right; nothing that Azure ML would refuse\n"


def test_every_finding_of_a_pipeline_is_told_with_its_line(azdistill: Command, pipeline: Writer) -> None:
    wrong = pipeline({"one": command("echo ${{inputs.a}}"), "two": command("echo ${{inputs.b}}")})
    done = azdistill("validate", wrong)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 2
    assert all(line.startswith(f"{wrong}:") for line in done.err.splitlines())


def test_a_warning_goes_to_the_standard_error_and_leaves_the_exit_code_alone(
    azdistill: Command, pipeline: Writer
) -> None:
    done = azdistill("validate", pipeline({"say": command("echo hello", colour="blue")}))
    assert done.code == 0
    assert ": warning: jobs.say.colour: unknown field" in done.err
    assert done.err.count("\n") == 1
    assert done.out.endswith(": right; nothing that Azure ML would refuse\n")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "holds no mapping"),
        (b"name: caf\xe9\n", "not UTF-8 at byte 9"),
        (b"name: [\n", ":2: not YAML"),
        (b"- a list\n", "holds no mapping"),
    ],
)
@pytest.mark.parametrize("verb", ["validate", "run"])
def test_a_file_that_cannot_be_read_is_one_line(
    azdistill: Command, folder: Path, verb: str, content: bytes, said: str
) -> None:
    (folder / "job.yaml").write_bytes(content)
    done = azdistill(verb, "job.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("azdistill: job.yaml")
    assert said in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["validate", "run"])
@pytest.mark.parametrize(("path", "said"), [("nothing.yaml", "No such file"), (".", "no pipeline.yml in this folder")])
def test_a_path_that_leads_nowhere_is_one_line(azdistill: Command, verb: str, path: str, said: str) -> None:
    done = azdistill(verb, path)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_programs_read_the_findings_as_a_list(azdistill: Command, job: Path) -> None:
    job.write_text(JOB.replace("task: conversation", "task: talk") + "training:\n  learning_rate: 7\n")
    done = azdistill("validate", job, "--format", "json")
    assert (done.code, done.err) == (2, "")
    task, rate = json.loads(done.out)
    assert (task["severity"], task["file"], task["line"], task["field"]) == ("error", str(job), 2, "task")
    assert rate["text"].startswith("training.learning_rate=7: expected at most 0.01")


def test_what_is_right_is_an_empty_list_for_programs(azdistill: Command, job: Path, pipeline: Writer) -> None:
    assert azdistill("validate", job, "--format", "json").out == "[]\n"
    assert azdistill("validate", pipeline({"say": command("echo hello")}), "--format", "json").out == "[]\n"


def test_warnings_are_in_the_list_and_leave_the_exit_code_alone(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("validate", pipeline({"say": command("echo hello", colour="blue")}), "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert [finding["severity"] for finding in json.loads(done.out)] == ["warning"]


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [("name: [\n", 2, "not YAML ("), ("- a\n", 0, "holds no mapping"), (None, 0, "No such file")],
)
def test_a_file_that_cannot_be_read_is_a_finding_too(
    azdistill: Command, folder: Path, content: str | None, line: int, said: str
) -> None:
    if content:
        (folder / "job.yaml").write_text(content)
    done = azdistill("validate", "job.yaml", "--format", "json")
    assert (done.code, done.err) == (2, "")
    (finding,) = json.loads(done.out)
    assert (finding["file"], finding["line"], finding["field"]) == ("job.yaml", line, "")
    assert finding["text"].startswith(said)
