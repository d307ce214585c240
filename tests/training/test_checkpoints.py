"""Checkpoints: only complete ones of the same inputs are resumed, and only those of azdistill are deleted."""

import pytest

from azdistill.contracts.errors import InputError
from azdistill.training.checkpoints import (
    MARKER,
    complete_checkpoint,
    delete_all,
    delete_checkpoints,
    last_checkpoint,
    start_checkpoint,
)
from azdistill.training.fine_tune import fine_tune
from tests.training.conftest import CONFIG, rows

QUICK = CONFIG.model_copy(update={"num_epochs": 1, "checkpoints_per_epoch": 4})


def write_checkpoint(folder, step, inputs_hash="same", complete=True):
    checkpoint = folder / f"checkpoint-{step}"
    start_checkpoint(checkpoint, inputs_hash)
    (checkpoint / "model.safetensors").write_text("weights")
    if complete:
        complete_checkpoint(checkpoint, inputs_hash)
    return checkpoint


def write_foreign(folder):
    """Write files of other programs into a folder. Returns all files with their content."""
    (folder / "checkpoint-500").mkdir(parents=True)
    (folder / "checkpoint-500" / "model.safetensors").write_text("of another program")
    (folder / "checkpoint-500-merged").mkdir()
    (folder / "checkpoint-500-merged" / "config.json").write_text("{}")
    (folder / "checkpoint-notes.txt").write_text("lr 1e-4 was best")
    (folder / "checkpoint-7").write_text("a file")
    return contents(folder)


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_complete_checkpoint_of_the_same_inputs_is_resumed(tmp_path):
    write_checkpoint(tmp_path, 8)
    newest = write_checkpoint(tmp_path, 10)
    write_checkpoint(tmp_path, 20, complete=False)
    write_checkpoint(tmp_path, 30, inputs_hash="other")
    (write_checkpoint(tmp_path, 40) / MARKER).write_text('{"inputs_hash": "same", "compl')
    assert last_checkpoint(tmp_path, "same") == newest
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-8"]
    assert last_checkpoint(tmp_path, "third") is None
    assert names(tmp_path) == []


def test_checkpoints_of_other_jobs_are_resumed_if_newer_and_never_deleted(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    write_checkpoint(own, 8)
    write_checkpoint(other, 9)
    write_checkpoint(other, 10, complete=False)
    write_checkpoint(other, 11, inputs_hash="other")
    before = contents(other)
    assert last_checkpoint(own, "same", [other]) == other / "checkpoint-9"
    assert contents(other) == before
    delete_all(tmp_path, own, "same")
    assert names(tmp_path) == ["other"]
    assert names(other) == ["checkpoint-10", "checkpoint-11"]


def test_foreign_files_are_neither_resumed_nor_deleted(tmp_path):
    foreign = write_foreign(tmp_path)
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    delete_checkpoints(tmp_path, keep=2)
    assert [name for name in names(tmp_path) if name in ("checkpoint-1", "checkpoint-2", "checkpoint-3")] == [
        "checkpoint-2",
        "checkpoint-3",
    ]
    assert last_checkpoint(tmp_path, "other") is None
    delete_checkpoints(tmp_path)
    assert contents(tmp_path) == foreign


def test_a_training_leaves_foreign_checkpoints_alone_and_keeps_two_of_its_own(student, tmp_path):
    foreign = write_foreign(tmp_path)
    tuned = fine_tune(rows(64), [], student, QUICK, tmp_path, "same")
    assert {path: data for path, data in contents(tmp_path).items() if path in foreign} == foreign
    own = [path.parent.name for path in tmp_path.glob(f"*/{MARKER}")]
    assert len(own) == 2
    assert f"checkpoint-{tuned.metrics.steps}" in own


def test_a_training_that_would_overwrite_a_foreign_checkpoint_does_not_start(student, tmp_path):
    steps = fine_tune(rows(64), [], student, QUICK, tmp_path / "first", "same").metrics.steps
    foreign = tmp_path / "second" / f"checkpoint-{steps}"
    foreign.mkdir(parents=True)
    (foreign / "model.safetensors").write_text("of another program")
    before = contents(tmp_path / "second")
    with pytest.raises(InputError) as error:
        fine_tune(rows(64), [], student, QUICK, tmp_path / "second", "same")
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("foreign_checkpoint", ("checkpoints",), str(foreign))
    assert contents(tmp_path / "second") == before


def test_a_folder_without_marker_is_used_when_it_is_empty(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    checkpoint = write_checkpoint(tmp_path, 3)
    assert last_checkpoint(tmp_path, "same") == checkpoint


def test_an_incomplete_checkpoint_of_the_same_step_is_replaced(tmp_path):
    (write_checkpoint(tmp_path, 3, complete=False) / "optimizer.pt").write_text("partial")
    assert names(write_checkpoint(tmp_path, 3)) == [MARKER, "model.safetensors"]
