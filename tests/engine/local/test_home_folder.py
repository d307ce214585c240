"""The folder that runs share is the same wherever a run is started."""

import os
from pathlib import Path

import pytest

from azdistill.engine.local.storage import HOME_VARIABLE, home_folder


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    (tmp_path / "project/jobs/first").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "project"


def test_it_is_found_above_the_file_from_any_current_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".azdistill").mkdir()
    for current in (project, project / "jobs/first", project.parent / "elsewhere"):
        monkeypatch.chdir(current)
        assert home_folder(project / "jobs/first").samefile(project / ".azdistill")
        assert home_folder(Path(os.path.relpath(project / "jobs/first"))).samefile(project / ".azdistill")
    (project / "jobs/first/.azdistill").mkdir()
    assert home_folder(project / "jobs/first").samefile(project / "jobs/first/.azdistill")


def test_without_one_it_is_in_the_current_folder_or_in_that_of_a_file_elsewhere(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    assert home_folder(project / "jobs/first") == Path(".azdistill")
    monkeypatch.chdir(project.parent / "elsewhere")
    assert home_folder(project / "jobs/first") == project / "jobs/first/.azdistill"
    assert home_folder(project / "missing") == Path(".azdistill")
    monkeypatch.setenv(HOME_VARIABLE, "/data/home")
    assert home_folder(project / "jobs/first") == Path("/data/home")


def test_a_folder_of_another_user_is_not_used(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project / "jobs")
    (project / ".azdistill").mkdir()
    other = (project / ".azdistill").stat().st_uid + 1
    assert home_folder(project / "jobs/first", user=other) == Path(".azdistill")
    assert home_folder(project / "jobs/first").samefile(project / ".azdistill")
