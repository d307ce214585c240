"""Full disks, names that are too long and folders that a node removed are one sentence, and the next run continues."""

import errno
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from azdistill.contracts.errors import AzdistillError, InputError, PipelineError
from azdistill.engine.local.guards import disk_errors
from azdistill.engine.local.sweeps.tracking import TrackingFailed, TrialTracker
from tests.engine.local.conftest import Project


@contextmanager
def full_disk() -> Iterator[None]:
    """Writing to a file fails with EFBIG, as it fails with ENOSPC on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_sentence_and_the_next_run_continues(project: Project) -> None:
    project.write("pipeline.yml", "jobs: {a: {command: 'true'}, b: {command: 'true'}}")
    with full_disk(), pytest.raises(AzdistillError) as error:
        project.run()
    (problem,) = error.value.problems
    assert (problem.code, problem.subject) == ("disk_error", f"run folder {str(project.folder)!r}")
    assert project.states() == {"a": "completed", "b": "completed"}


@pytest.mark.parametrize(("home", "words"), [("pipeline.yml", "is a file"), ("/proc/azdistill", "cannot be created")])
def test_a_home_folder_that_cannot_be_created_is_one_sentence(project: Project, home: str, words: str) -> None:
    project.write("pipeline.yml", "jobs: {a: {command: 'true'}}")
    project.home = project.root / home
    with pytest.raises(InputError, match=f"AZDISTILL_HOME .*{words}"):
        project.run()


@pytest.mark.parametrize(
    ("file", "home", "subject"),
    [
        ("home/mlflow.db", "home", "AZDISTILL_HOME"),
        ("run/a/log.txt", "home", "run folder"),
        ("run/a/log.txt", ".", "run folder"),
        ("run/.dry-run/mlflow.db", "run/.dry-run", "run folder"),
    ],
)
def test_an_error_names_the_folder_that_can_be_replaced(tmp_path: Path, file: str, home: str, subject: str) -> None:
    with pytest.raises(AzdistillError) as error, disk_errors(tmp_path / "run", tmp_path / home):
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / file))
    assert error.value.problems[0].subject.startswith(subject)


def test_a_node_may_remove_its_folder(project: Project) -> None:
    project.write("pipeline.yml", """
settings: {continue_on_step_failure: true}
jobs:
  removed: {command: "rm -r ../../removed", outputs: {out: {type: uri_folder}}}
  failed: {command: "rm -r ../../failed; exit 1"}
  file: {command: "rm -r ../../file; touch ../../file; exit 1"}
  replaced: {command: "cd ..; rm -r log.txt node.json; mkdir log.txt node.json .node.json; exit 1"}
  other: {command: "true"}
""")  # fmt: skip
    for _ in range(2):
        states = project.states()
        assert states.pop("other") in ("completed", "reused")
        assert set(states.values()) == {"failed"}


@pytest.mark.parametrize(
    ("kind", "command"),
    [("uri_file", "mkdir ${{outputs.out}}"), ("uri_folder", "rm -r ${{outputs.out}}; touch ${{outputs.out}}")],
)
def test_an_output_of_another_kind_is_cleared_for_the_next_attempt(project: Project, kind: str, command: str) -> None:
    project.write("pipeline.yml", f"jobs: {{a: {{command: '{command}; exit 1', outputs: {{out: {{type: {kind}}}}}}}}}")
    assert project.states() == {"a": "failed"}
    assert project.states() == {"a": "failed"}


def test_names_that_are_too_long_are_problems(project: Project) -> None:
    name = "a" * 256
    project.write("pipeline.yml", f"jobs: {{{name}: {{command: 'true', outputs: {{{name}: {{type: uri_file}}}}}}}}")
    with pytest.raises(PipelineError) as refused:
        project.run()
    assert {problem.code for problem in refused.value.problems} == {"invalid_name"}
    inner = f"{{type: pipeline, jobs: {{{name[1:]}: {{command: 'true', environment: 'azureml:a:1'}}}}}}"
    project.write("inner.yml", inner)
    project.write("pipeline.yml", "jobs: {outer: {type: pipeline, component: inner.yml}}")
    with pytest.raises(AzdistillError) as error:
        project.run()
    assert [problem.code for problem in error.value.problems] == ["disk_error"]


def test_a_file_with_the_name_of_an_included_folder_is_one_sentence(project: Project) -> None:
    project.write("code/parts", "x")
    project.write("parts/a.py", "x")
    project.write("c.yml", "{type: command, command: 'true', code: code, additional_includes: [parts]}")
    project.write("pipeline.yml", "jobs: {a: {component: c.yml}}")
    with pytest.raises(PipelineError) as error:
        project.run()
    assert {(problem.code, problem.line) for problem in error.value.problems} == {("duplicate_name", 1)}


@pytest.mark.slow  # imports MLflow
@pytest.mark.parametrize("address", ["sqlite:///broken.db", "postgresql+pg8000://u:sekret@h/x"])
def test_a_broken_database_of_mlflow_is_one_sentence(
    project: Project, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.chdir(project.root)
    project.write("broken.db", "no database" * 500)
    with pytest.raises(TrackingFailed) as error:
        TrialTracker({"MLFLOW_TRACKING_URI": address}, "sweep")
    assert "\n" not in str(error.value)
    assert "sekret" not in str(error.value)
