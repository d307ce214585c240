"""Training: the same seed gives the same student, interrupted or not; a failed training gives none."""

import logging
import random
import shutil

import numpy as np
import pytest
import torch
from transformers.utils import logging as transformers_logging

from azdistill.contracts.errors import AzdistillError
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_rows
from azdistill.training.batches import IGNORE_INDEX, collate
from azdistill.training.checkpoints import last_checkpoint
from azdistill.training.fine_tune import fine_tune
from tests.training.conftest import CONFIG, rows

TRAIN, VALIDATION = rows(64), rows(12, first=64)


def weights(tuned):
    return {name: weight.clone() for name, weight in tuned.student.model.state_dict().items()}


def are_equal(first, second):
    return all(map(torch.equal, first.values(), second.values()))


@pytest.fixture(scope="module")
def uninterrupted(student, tmp_path_factory):
    """A complete training, and the folder of its checkpoints."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("uninterrupted")
    return fine_tune(TRAIN, VALIDATION, student, CONFIG, folder, "inputs"), folder


def test_the_loss_falls_and_the_metrics_describe_the_training(uninterrupted):
    tuned, _ = uninterrupted
    losses = [point["loss"] for point in tuned.history]
    assert losses[-1] < 0.6 * losses[0]
    metrics = tuned.metrics
    assert (metrics.train_rows, metrics.validation_rows, metrics.resumed_from_step) == (64, 12, 0)
    assert metrics.supervised_tokens == 2 * sum(row.num_target_tokens for row in tokenized(tuned, TRAIN))
    assert metrics.steps == tuned.history[-1]["step"]
    assert 0 <= metrics.padding < 0.05
    assert min(metrics.seconds, metrics.tokens_per_s, metrics.peak_memory_bytes, metrics.parameters) > 0


def tokenized(tuned, train_rows):
    return tokenize_rows(tuned.student.tokenizer, [row.messages for row in train_rows])


def test_the_validation_loss_is_a_mean_over_tokens(uninterrupted):
    tuned, _ = uninterrupted
    validation_rows = tokenized(tuned, VALIDATION)
    loss_sum = 0.0
    for row in validation_rows:
        ids = torch.tensor([row.input_ids])
        is_target = torch.arange(ids.shape[1]) >= ids.shape[1] - row.num_target_tokens
        labels = torch.where(is_target, ids, IGNORE_INDEX)
        loss_sum += tuned.student.model(input_ids=ids, labels=labels).loss.item() * row.num_target_tokens
    mean = loss_sum / sum(row.num_target_tokens for row in validation_rows)
    assert tuned.metrics.validation_loss == pytest.approx(mean, rel=1e-5)
    assert len({collate([row], 0)["input_ids"].shape for row in validation_rows}) > 1


def test_the_same_seed_gives_the_same_student(uninterrupted, student, tmp_path):
    repeated = fine_tune(TRAIN, VALIDATION, student, CONFIG, tmp_path, "inputs")
    assert are_equal(weights(uninterrupted[0]), weights(repeated))
    assert repeated.history == uninterrupted[0].history
    other_seed = CONFIG.model_copy(update={"seed": 6})
    other_student = fine_tune(TRAIN, VALIDATION, student, other_seed, tmp_path / "6", "inputs")
    assert not are_equal(weights(uninterrupted[0]), weights(other_student))


@pytest.mark.parametrize("checkpoints_per_epoch", [1, 3])
def test_a_resumed_training_ends_with_the_same_weights(uninterrupted, student, tmp_path, checkpoints_per_epoch):
    """At the end of an epoch and within one: order of rows, schedule, optimizer and dropout are restored."""
    complete = uninterrupted[0]
    config = CONFIG.model_copy(update={"checkpoints_per_epoch": checkpoints_per_epoch})
    fine_tune(TRAIN, VALIDATION, student, config, tmp_path, "inputs")
    shutil.rmtree(last_checkpoint(tmp_path, "inputs"))
    resumed = fine_tune(TRAIN, VALIDATION, student, config, tmp_path, "inputs")
    assert 0 < resumed.metrics.resumed_from_step < resumed.metrics.steps == complete.metrics.steps
    assert are_equal(weights(complete), weights(resumed))
    assert {point["step"] for point in complete.history} <= {point["step"] for point in resumed.history}
    assert resumed.metrics.validation_loss == complete.metrics.validation_loss
    assert resumed.metrics.supervised_tokens == complete.metrics.supervised_tokens


def test_a_training_whose_last_checkpoint_is_complete_trains_no_further_step(uninterrupted, student, tmp_path):
    complete, folder = uninterrupted
    resumed = fine_tune(TRAIN, VALIDATION, student, CONFIG, shutil.copytree(folder, tmp_path / "copy"), "inputs")
    assert resumed.metrics.resumed_from_step == resumed.metrics.steps
    assert (resumed.metrics.tokens_per_s, resumed.metrics.train_loss) == (0, complete.metrics.train_loss)
    assert are_equal(weights(complete), weights(resumed))


@pytest.mark.parametrize("epochs", [0.3, 1.5])
def test_fractions_of_epochs_are_trained_and_validated_to_their_end(student, tmp_path, epochs):
    tuned = fine_tune(TRAIN, VALIDATION, student, CONFIG.model_copy(update={"num_epochs": epochs}), tmp_path)
    last = tuned.history[-1]
    assert last["step"] == tuned.metrics.steps
    assert (last["loss"], last["validation_loss"]) == (tuned.metrics.train_loss, tuned.metrics.validation_loss)


@pytest.mark.parametrize(
    ("settings", "differs_by"),
    [
        ({"gradient_checkpointing": True}, 1e-5),
        ({"gradient_accumulation_steps": 3}, 0.3),
        ({"packing": True}, 0.3),
        ({"packing": True, "gradient_accumulation_steps": 2, "attn_implementation": "eager"}, 0.3),
    ],
)
def test_settings_of_memory_and_speed_give_about_the_same_training(
    uninterrupted, student, tmp_path, settings, differs_by
):
    expected = uninterrupted[0].history[-1]["validation_loss"]
    tuned = fine_tune(TRAIN, VALIDATION, student, CONFIG.model_copy(update=settings), tmp_path)
    assert abs(tuned.history[-1]["validation_loss"] - expected) < differs_by * expected
    assert tuned.student.model.config.use_cache


def test_a_student_that_diverges_is_an_error_and_no_checkpoint(student, tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 0.01, "gradient_clip": 1e30, "num_epochs": 4})
    loaded = load_student(student)
    with torch.no_grad():
        next(loaded.model.parameters()).mul_(float("inf"))
    loaded.save(tmp_path / "infinite", "float32")
    with pytest.raises(AzdistillError, match=r"(loss|grad_norm) is nan at step \d+") as error:
        fine_tune(TRAIN, VALIDATION, tmp_path / "infinite", config, tmp_path / "checkpoints", "inputs")
    (problem,) = error.value.problems
    assert (problem.code, problem.field, problem.value) == ("diverged", ("train", "learning_rate"), 0.01)
    assert last_checkpoint(tmp_path / "checkpoints", "inputs") is None


def test_training_changes_no_settings_of_the_process(student, tmp_path, capfd):
    """Neither log levels, progress bars, threads nor random generators; and it prints nothing."""
    loggers = [logging.getLogger(name) for name in ("", "azdistill", "transformers", "mlflow", "alembic")]

    def settings():
        levels = [logger.level for logger in loggers]
        generators = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
        return levels, transformers_logging.is_progress_bar_enabled(), torch.get_num_threads(), generators

    transformers_logging.set_verbosity_info()
    transformers_logging.enable_progress_bar()
    torch.set_num_threads(2)
    before = settings()
    capfd.readouterr()
    try:
        tuned = fine_tune(TRAIN[:8], [], student, CONFIG.model_copy(update={"num_epochs": 0.5}), tmp_path)
        tuned.student.save(tmp_path / "saved", "bfloat16")
        assert settings() == before
        assert capfd.readouterr() == ("", "")
    finally:
        transformers_logging.set_verbosity_warning()
        transformers_logging.disable_progress_bar()
