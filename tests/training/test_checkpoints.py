"""Checkpoints: only undamaged ones of the same inputs are resumed, and only those of this training are deleted."""

import logging
import os
import shutil
from pathlib import Path

import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from azdistill.contracts.errors import InputError
from azdistill.training.callbacks import SaveOnSchedule, has_stopped_early
from azdistill.training.checkpoints import (
    MARKER,
    checkpoints_of_jobs,
    complete_checkpoint,
    damaged_file,
    delete_all,
    delete_checkpoints,
    find_best,
    last_checkpoint,
    start_checkpoint,
    step_of,
)
from azdistill.training.fine_tune import fine_tune
from tests.damaged import CONTENTS
from tests.training.conftest import CONFIG, rows

QUICK = CONFIG.model_copy(update={"num_epochs": 1, "checkpoints_per_epoch": 4})


def write_checkpoint(folder, step, inputs_hash="same", complete=True):
    checkpoint = folder / f"checkpoint-{step}"
    start_checkpoint(checkpoint, inputs_hash)
    for name in ("model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json"):
        (checkpoint / name).write_text(f"{name} of step {step}")
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
    write_checkpoint(folder, 12, inputs_hash="of another training")
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
    (write_checkpoint(tmp_path, 50) / MARKER).write_text('{"inputs_hash": "same", "state": "complete", "files": [1]}')
    assert last_checkpoint(tmp_path, "same") == newest
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-30", "checkpoint-8"]
    assert last_checkpoint(tmp_path, "third") is None
    assert names(tmp_path) == ["checkpoint-10", "checkpoint-30", "checkpoint-8"]


def overwrite(path):
    path.write_bytes(bytes(path.stat().st_size))


DAMAGE = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "zeros": overwrite,
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt", "trainer_state.json"])
def test_a_damaged_checkpoint_is_reported_once_and_the_one_before_it_is_resumed(tmp_path, caplog, name, damage):
    before = write_checkpoint(tmp_path, 8)
    DAMAGE[damage](write_checkpoint(tmp_path, 10) / name)
    with caplog.at_level(logging.WARNING, "azdistill.training"):
        assert last_checkpoint(tmp_path, "same") == before
    (message,) = caplog.messages
    assert message.startswith(f"train: checkpoint-10: {name} is damaged")
    assert names(tmp_path) == ["checkpoint-8"]


def flipped(path):
    """The content of a file with one other bit, for each of its bytes."""
    content = path.read_bytes()
    for position in range(len(content)):
        yield content[:position] + bytes([content[position] ^ 1 << position % 8]) + content[position + 1 :]


def test_a_damaged_marker_is_reported_and_the_checkpoint_before_it_is_resumed(tmp_path, caplog):
    before = write_checkpoint(tmp_path, 8)
    newest = write_checkpoint(tmp_path, 10)
    intact = newest / MARKER
    for content in [*CONTENTS.values(), *flipped(intact)]:
        intact.write_bytes(content)
        shutil.copytree(newest, tmp_path / "kept")
        caplog.clear()
        resumed = last_checkpoint(tmp_path, "same")
        if resumed == newest:  # white space, or a field name that is not read
            assert damaged_file(newest) is None
        else:
            assert resumed == before
            assert [message.partition(" is damaged")[0] for message in caplog.messages] == [
                f"train: checkpoint-10: {MARKER}"
            ]
            assert names(tmp_path) == ["checkpoint-8", "kept"]
        shutil.rmtree(newest, ignore_errors=True)
        (tmp_path / "kept").rename(newest)


def test_the_files_of_a_checkpoint_are_on_the_disk_before_its_mark(tmp_path, monkeypatch):
    synced, marked, fsync = [], [], os.fsync

    def record(handle):
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        marked.append((tmp_path / "checkpoint-3" / MARKER).read_text().count("complete"))
        fsync(handle)

    start_checkpoint(tmp_path / "checkpoint-3", "same")
    (tmp_path / "checkpoint-3" / "state").mkdir()
    for name in ("model.safetensors", "state/optimizer.bin"):
        (tmp_path / "checkpoint-3" / name).write_text(name)
    monkeypatch.setattr(os, "fsync", record)
    complete_checkpoint(tmp_path / "checkpoint-3", "same")
    *files, marker = synced
    assert sorted(files) == ["checkpoint-3", "model.safetensors", "optimizer.bin", "state"]
    assert marker.startswith(f".{MARKER}.")
    assert set(marked) == {1}  # `incomplete`


def test_a_link_to_a_checkpoint_is_neither_resumed_nor_deleted(tmp_path):
    target = write_checkpoint(tmp_path / "elsewhere", 10)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "checkpoint-10").symlink_to(target)
    before = contents(tmp_path)
    assert last_checkpoint(tmp_path / "own", "same") is None
    delete_checkpoints(tmp_path / "own", "same")
    assert contents(tmp_path) == before


def test_a_damaged_checkpoint_of_another_job_is_left_alone(tmp_path):
    DAMAGE["cut"](write_checkpoint(tmp_path / "other", 10) / "optimizer.pt")
    before = contents(tmp_path)
    assert last_checkpoint(tmp_path / "own", "same", [tmp_path / "other"]) is None
    assert contents(tmp_path) == before


def test_checkpoints_of_other_jobs_are_resumed_if_newer_and_never_deleted(tmp_path):
    own, other = tmp_path / "own", tmp_path / "other"
    write_checkpoint(own, 8)
    write_checkpoint(other, 9)
    write_checkpoint(other, 10, complete=False)
    write_checkpoint(other, 11, inputs_hash="other")
    before = contents(other)
    assert last_checkpoint(own, "same", [other]) == other / "checkpoint-9"
    assert contents(other) == before
    delete_all(tmp_path, own, "same", checkpoints_of_jobs(tmp_path, "same"))
    assert names(tmp_path) == ["other"]
    assert names(other) == ["checkpoint-10", "checkpoint-11"]


def test_the_checkpoints_of_a_job_that_trains_the_same_at_this_moment_are_kept(tmp_path):
    """Else it could not be resumed, and would save its last weights in place of the best ones."""
    own, ended, running = (tmp_path / name for name in ("own", "ended", "running"))
    for job in (own, ended, running):
        write_checkpoint(job, 8)
    at_start = checkpoints_of_jobs(tmp_path, "same")
    write_checkpoint(own, 9)
    write_checkpoint(running, 9)
    delete_all(tmp_path, own, "same", at_start)
    assert names(tmp_path) == ["running"]
    assert names(running) == ["checkpoint-8", "checkpoint-9"]


def test_foreign_files_are_neither_resumed_nor_deleted(tmp_path):
    foreign = write_foreign(tmp_path)
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, step)
    delete_checkpoints(tmp_path, "same", keep=2)
    assert [name for name in names(tmp_path) if name in ("checkpoint-1", "checkpoint-2", "checkpoint-3")] == [
        "checkpoint-2",
        "checkpoint-3",
    ]
    assert last_checkpoint(tmp_path, "other") is None
    delete_checkpoints(tmp_path, "same")
    assert contents(tmp_path) == foreign


def test_of_an_older_best_checkpoint_the_weights_are_kept_and_never_resumed(tmp_path):
    for step in (1, 2, 3, 4):
        write_checkpoint(tmp_path, step)
        delete_checkpoints(tmp_path, "same", keep=2, best=1)
    assert names(tmp_path) == ["checkpoint-1", "checkpoint-3", "checkpoint-4"]
    assert names(tmp_path / "checkpoint-1") == [MARKER, "model.safetensors", "trainer_state.json"]
    assert find_best(tmp_path, "same", 1) == tmp_path / "checkpoint-1"
    shutil.copytree(tmp_path, tmp_path / "copy")
    for path in (tmp_path / "copy").glob("checkpoint-[34]/model.safetensors"):
        path.unlink()
    assert last_checkpoint(tmp_path / "copy", "same") is None
    DAMAGE["zeros"](tmp_path / "checkpoint-1" / "model.safetensors")
    assert find_best(tmp_path, "same", 1) is None
    assert find_best(tmp_path, "same", 2) is None


def test_the_best_weights_of_a_job_before_are_copied(tmp_path):
    resumed = write_checkpoint(tmp_path / "other", 9)
    write_checkpoint(tmp_path / "other", 8)
    before = contents(tmp_path / "other")
    best = find_best(tmp_path / "own", "same", 8, resumed)
    assert names(best) == [MARKER, "model.safetensors", "trainer_state.json"]
    shutil.rmtree(tmp_path / "other" / "checkpoint-8")
    assert find_best(tmp_path / "own", "same", 8, resumed) == best
    assert contents(resumed).items() <= before.items()


def test_a_training_leaves_foreign_checkpoints_alone_and_keeps_two_of_its_own(student, tmp_path):
    foreign = write_foreign(tmp_path)
    tuned = fine_tune(rows(64), [], student, QUICK, tmp_path, "same")
    assert {path: data for path, data in contents(tmp_path).items() if path in foreign} == foreign
    own = [path.parent.name for path in tmp_path.glob(f"*/{MARKER}") if path not in foreign]
    assert len(own) == 2
    assert f"checkpoint-{tuned.metrics.steps}" in own


@pytest.mark.parametrize(
    ("marked", "step", "code"),
    [
        (False, 10, "foreign_checkpoint"),
        (True, 10, "checkpoint_of_another_training"),
        (True, 7, "checkpoint_of_another_training"),
        (False, 8, None),
        (False, 14, None),
    ],
)
def test_a_training_that_would_overwrite_a_foreign_checkpoint_does_not_start(student, tmp_path, marked, step, code):
    """10 steps, with checkpoints every third (epochs) and every seventh."""
    config = CONFIG.model_copy(update={"num_epochs": 1, "checkpoints_per_epoch": 4, "checkpoint_steps": 7})
    foreign = tmp_path / f"checkpoint-{step}"
    foreign.mkdir()
    if marked:
        foreign = write_checkpoint(tmp_path, step, inputs_hash="of another training")
    (foreign / "model.safetensors").write_text("not ours")
    before = contents(tmp_path)
    if code is None:
        assert fine_tune(rows(64), [], student, config, tmp_path, "same").metrics.steps == 10
    else:
        with pytest.raises(InputError) as error:
            fine_tune(rows(64), [], student, config, tmp_path, "same")
        (problem,) = error.value.problems
        assert (problem.code, problem.field, problem.value) == (code, ("checkpoints",), str(foreign))
    assert before.items() <= contents(tmp_path).items()


def test_a_folder_without_marker_is_used_when_it_is_empty(tmp_path):
    (tmp_path / "checkpoint-3").mkdir()
    checkpoint = write_checkpoint(tmp_path, 3)
    assert last_checkpoint(tmp_path, "same") == checkpoint


def test_an_incomplete_checkpoint_of_the_same_step_is_replaced(tmp_path):
    (write_checkpoint(tmp_path, 3, complete=False) / "partial").write_text("partial")
    assert "partial" not in names(write_checkpoint(tmp_path, 3))


def saved_steps(folder, steps, seconds_per_step, **config):
    """The steps that SaveOnSchedule saves, with a clock that it reads."""
    now, args = [0.0], TrainingArguments(output_dir=str(folder), use_cpu=True, report_to="none")
    schedule = SaveOnSchedule(CONFIG.model_copy(update=config), "same", lambda: now[0])
    state, control, saved = TrainerState(), TrainerControl(), []
    schedule.on_train_begin(args, state, control)
    for step in range(1, steps + 1):
        now[0] += seconds_per_step
        state.global_step, control.should_save = step, False
        schedule.on_step_end(args, state, control)
        if control.should_save:
            saved.append(step)
            schedule.on_save(args, state, control)
    return saved


@pytest.mark.parametrize(
    ("config", "saved"),
    [
        ({}, []),
        ({"checkpoint_steps": 8}, [8, 16]),
        ({"checkpoint_minutes": 1}, [6, 12, 18]),
        ({"checkpoint_minutes": 1, "checkpoint_steps": 8}, [6, 8, 14, 16]),  # the time counts from the last one
    ],
)
def test_checkpoints_are_saved_by_time_and_by_step(tmp_path, config, saved):
    assert saved_steps(tmp_path, 20, 10, **config) == saved


def test_a_checkpoint_by_time_waits_for_a_step_that_no_other_program_has_saved(tmp_path):
    foreign = write_foreign(tmp_path)
    assert saved_steps(tmp_path, 10, 10, checkpoint_minutes=7 / 6) == [8]
    assert contents(tmp_path) == foreign


@pytest.mark.parametrize(
    ("losses", "patience", "stops"),
    [([3, 2, 2.5], 1, True), ([3, 2, 2.5], 2, False), ([3, 2, 2.5, 2], 2, True), ([3, 2, 1], 1, False), ([], 1, False)],
)
def test_a_training_stops_early_after_validations_that_are_not_better(losses, patience, stops):
    log = [{"loss": 1.0}, *({"eval_loss": loss} for loss in losses)]
    assert has_stopped_early(log, patience) == stops
    assert not has_stopped_early(log, None)


def test_training_reads_no_pickles(student, tmp_path, monkeypatch):
    """A checkpoint folder is data: torch.load must not run code from it."""
    fine_tune(rows(64), [], student, QUICK, tmp_path, "same")
    shutil.rmtree(max(tmp_path.glob("checkpoint-*"), key=step_of))
    loaded, load = [], torch.load
    monkeypatch.setattr(torch, "load", lambda *paths, **options: (loaded.append(options), load(*paths, **options))[1])
    assert fine_tune(rows(64), [], student, QUICK, tmp_path, "same").metrics.resumed_from_step > 0
    assert len(loaded) == 3  # optimizer, schedule, random generators
    assert all(options["weights_only"] is True for options in loaded)
