"""azdistill clean: only what is a run, is not in use, and only when a person agrees."""

import io
import sys
from pathlib import Path

import pytest

from azdistill.engine.local.guards import locked
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


def test_runs_are_removed_by_folder_or_name(azdistill: Command, run: Path) -> None:
    other = a_run(Path("elsewhere"), prepare="completed")
    done = azdistill("clean", "old", "elsewhere", "runs/old", "--yes")
    assert (done.code, done.err) == (0, "")
    assert done.out == "removed runs/old (1.5 MB)\nremoved elsewhere (0.0 MB)\n"
    assert not run.exists()
    assert not other.exists()


def test_checkpoints_alone_may_go(azdistill: Command, run: Path) -> None:
    done = azdistill("clean", "old", "--checkpoints", "--yes")
    assert (done.code, done.out) == (0, "removed the checkpoints of runs/old (1.5 MB)\n")
    assert list((run / "train/checkpoints").iterdir()) == []
    assert (run / "prepare/node.json").is_file()


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("n\n", 1), ("\n", 1)])
def test_a_person_is_asked(
    azdistill: Command, run: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal(said))
    done = azdistill("clean", "old")
    assert (done.code, run.exists()) == (code, code == 1)
    assert "runs/old (1.5 MB)\nremove? [y/N]:" in done.out


def test_where_nobody_can_answer_nothing_goes(azdistill: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    done = azdistill("clean", "old")
    assert (done.code, done.err) == (2, "azdistill: nobody can be asked whether to remove that; say --yes\n")
    assert run.exists()


def test_a_run_in_use_is_left_alone_and_so_is_all_else(azdistill: Command, run: Path) -> None:
    other = a_run(Path("other"), prepare="completed")
    with locked(run):
        done = azdistill("clean", "other", "old", "--yes")
    assert (done.code, done.out, done.err.count("\n")) == (2, "", 1)
    assert "run folder 'runs/old' is in use by a run" in done.err
    assert run.exists()
    assert other.exists()


def test_a_folder_that_is_no_run_is_left_alone(azdistill: Command, folder: Path) -> None:
    (folder / "thesis").mkdir()
    done = azdistill("clean", "thesis", "--yes")
    assert (done.code, done.out) == (2, "")
    assert "'thesis': no run lies here" in done.err
    assert (folder / "thesis").is_dir()
