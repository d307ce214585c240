"""azdistill clean: delete runs that are not in use, after a confirmation."""

import io
import sys
from pathlib import Path

import pytest

from azdistill.contracts.layout import RUN_MODEL
from azdistill.contracts.train import CHECKPOINTS_PATH, job_folder
from azdistill.engine.local.guards import locked
from azdistill.engine.local.storage import datastore_path, home_folder
from tests.cli.conftest import Command
from tests.cli.run_folders import a_run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(folder: Path) -> Path:
    path = a_run(folder / "runs/old", prepare="completed", train="interrupted")
    (path / "train/checkpoints/checkpoint-4").mkdir(parents=True)
    (path / "train/checkpoints/checkpoint-4/weights").write_bytes(b"x" * 1_500_000)
    return path


def test_runs_are_deleted_by_folder_or_name(azdistill: Command, run: Path) -> None:
    second = a_run(Path("elsewhere"), prepare="completed")
    done = azdistill("clean", "old", "elsewhere", "runs/old", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out == "deleted runs/old (1.5 MB)\ndeleted elsewhere (0.0 MB)\n"
    assert not run.exists()
    assert not second.exists()


def test_only_the_checkpoints_are_deleted(azdistill: Command, run: Path) -> None:
    datastore = datastore_path(CHECKPOINTS_PATH.replace("workspaceblobstore", "other"), home_folder())
    assert datastore
    for job in (job_folder(run / RUN_MODEL), "of-another-run"):
        (datastore / "hash" / job).mkdir(parents=True)
        (datastore / "hash" / job / "weights").write_bytes(b"x" * 1_000_000)
    done = azdistill("clean", "old", "--checkpoints", "--yes")
    assert (done.code, done.out) == (0, "deleted the checkpoints of runs/old (2.5 MB)\n")
    assert list((run / "train/checkpoints").iterdir()) == []
    assert [path.name for path in datastore.glob("*/*")] == ["of-another-run"]
    assert (run / "prepare/node.json").is_file()


@pytest.mark.parametrize("option", ["--checkpoints", "--yes"])
def test_what_links_in_a_run_lead_to_is_not_deleted(azdistill: Command, run: Path, folder: Path, option: str) -> None:
    (folder / "other/checkpoints").mkdir(parents=True)
    (folder / "other/checkpoints/precious").touch()
    (run / "link").symlink_to(folder / "other")
    (run / "train/checkpoints/link").symlink_to(folder / "other")
    assert azdistill("clean", "old", option, "--yes").code == 0
    assert (folder / "other/checkpoints/precious").is_file()
    assert not (run / "train/checkpoints/link").exists()


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_it_asks_for_confirmation(
    azdistill: Command, run: Path, monkeypatch: pytest.MonkeyPatch, answer: str, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    done = azdistill("clean", "old")
    assert (done.code, run.exists()) == (code, code == 1)
    assert "runs/old (1.5 MB)\ndelete? [y/N]:" in done.out


def test_without_a_terminal_nothing_is_deleted(azdistill: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = azdistill("clean", "old")
    assert (done.code, done.err) == (2, "azdistill: no terminal to ask for confirmation; add --yes\n")
    assert run.exists()


def test_if_one_run_is_in_use_nothing_is_deleted(azdistill: Command, run: Path) -> None:
    unused = a_run(Path("other"), prepare="completed")
    with locked(run):
        done = azdistill("clean", "other", "old", "--yes")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "run folder 'runs/old': in use by a run" in done.err
    assert run.exists()
    assert unused.exists()


def test_another_folder_is_not_deleted(azdistill: Command, folder: Path) -> None:
    (folder / "thesis").mkdir()
    done = azdistill("clean", "thesis", "--yes")
    assert (done.code, done.out) == (2, "")
    assert "thesis: not a run folder" in done.err
    assert (folder / "thesis").is_dir()
