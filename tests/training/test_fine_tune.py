"""Training as a whole: the same seed is the same student, interrupted or not; what goes wrong is said."""

import shutil

import pytest
import torch

from azdistill.contracts.errors import AzdistillError
from azdistill.students.loading import load_student
from azdistill.students.template import encode_rows
from azdistill.training.batches import IGNORED, collate
from azdistill.training.checkpoints import MARK, last_checkpoint
from azdistill.training.fine_tune import fine_tune
from tests.training.conftest import CONFIG, rows

TRAIN, HELD = rows(64), rows(12, first=64)


def weights(tuned):
    return {name: weight.clone() for name, weight in tuned.student.model.state_dict().items()}


def same(first, second):
    return all(map(torch.equal, first.values(), second.values()))


@pytest.fixture(scope="module")
def whole(student, tmp_path_factory):
    """A training that nothing interrupted; its checkpoints stay."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    return fine_tune(TRAIN, HELD, student, CONFIG, folder, "w"), folder


def test_it_learns(whole, student):
    tuned, _ = whole
    losses = [point["loss"] for point in tuned.history]
    assert losses[-1] < losses[0] / 2
    figures = tuned.figures
    assert (figures.train_rows, figures.validation_rows, figures.resumed_from_step) == (64, 12, 0)
    assert figures.supervised_tokens == 2 * sum(row.learned for row in encoded(tuned))
    assert figures.steps == tuned.history[-1]["step"]
    assert 0 <= figures.padding < 0.05
    assert min(figures.seconds, figures.tokens_per_s, figures.peak_memory_bytes, figures.parameters) > 0


def encoded(tuned, given=TRAIN):
    return encode_rows(tuned.student.tokenizer, [row.messages for row in given])


def test_the_validation_loss_is_a_mean_over_tokens(whole):
    tuned, _ = whole
    model, held = tuned.student.model, encoded(tuned, HELD)
    total = 0.0
    for row in held:
        ids = torch.tensor([row.ids])
        labels = torch.where(torch.arange(ids.shape[1]) < ids.shape[1] - row.learned, IGNORED, ids)
        total += model(input_ids=ids, labels=labels).loss.item() * row.learned
    assert tuned.figures.validation_loss == pytest.approx(total / sum(row.learned for row in held), rel=1e-5)
    assert len({collate([row], 0)["input_ids"].shape for row in held}) > 1


def test_the_same_seed_is_the_same_student(whole, student, tmp_path):
    again = fine_tune(TRAIN, HELD, student, CONFIG, tmp_path, "w")
    assert same(weights(whole[0]), weights(again))
    assert again.history == whole[0].history
    other = fine_tune(TRAIN, HELD, student, CONFIG.model_copy(update={"seed": 6}), tmp_path / "6", "w")
    assert not same(weights(whole[0]), weights(other))


@pytest.mark.parametrize("per_epoch", [1, 3])
def test_a_resumed_training_ends_with_the_same_weights(whole, student, tmp_path, per_epoch):
    """At the end of an epoch and in the middle of one: order of rows, schedule, optimizer and dropout go on."""
    config = CONFIG.model_copy(update={"checkpoints_per_epoch": per_epoch})
    fine_tune(TRAIN, HELD, student, config, tmp_path, "w")
    newest = last_checkpoint(tmp_path, "w")
    shutil.rmtree(newest)
    resumed = fine_tune(TRAIN, HELD, student, config, tmp_path, "w")
    assert 0 < resumed.figures.resumed_from_step < resumed.figures.steps == whole[0].figures.steps
    assert same(weights(whole[0]), weights(resumed))
    assert {point["step"] for point in whole[0].history} <= {point["step"] for point in resumed.history}
    assert resumed.figures.validation_loss == whole[0].figures.validation_loss
    assert resumed.figures.supervised_tokens == whole[0].figures.supervised_tokens


def test_a_training_whose_model_was_never_saved_goes_on_at_its_end(whole, student, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "checkpoints")
    again = fine_tune(TRAIN, HELD, student, CONFIG, folder, "w")
    assert again.figures.resumed_from_step == again.figures.steps
    assert (again.figures.tokens_per_s, again.figures.train_loss) == (0, whole[0].figures.train_loss)
    assert same(weights(whole[0]), weights(again))


@pytest.mark.parametrize("epochs", [0.3, 1.5])
def test_parts_of_epochs_are_trained_and_validated_to_their_end(student, tmp_path, epochs):
    tuned = fine_tune(TRAIN, HELD, student, CONFIG.model_copy(update={"num_epochs": epochs}), tmp_path)
    last = tuned.history[-1]
    assert last["step"] == tuned.figures.steps
    assert (last["loss"], last["validation_loss"]) == (tuned.figures.train_loss, tuned.figures.validation_loss)


def test_half_a_checkpoint_and_one_of_other_work_are_never_used(whole, tmp_path):
    folder = shutil.copytree(whole[1], tmp_path / "checkpoints")
    first, second = sorted(folder.iterdir(), key=lambda path: int(path.name.rpartition("-")[2]))
    (second / MARK).write_text('{"work": "w", "st')
    (folder / "checkpoint-notes").mkdir()
    assert last_checkpoint(folder, "w") == first
    assert not second.exists()
    assert last_checkpoint(folder, "other") is None
    assert [path.name for path in folder.iterdir()] == ["checkpoint-notes"]


def test_a_student_that_diverges_is_no_student(student, tmp_path):
    config = CONFIG.model_copy(update={"learning_rate": 0.01, "gradient_clip": 1e30, "num_epochs": 4})
    loaded = load_student(student)
    with torch.no_grad():
        next(loaded.model.parameters()).mul_(float("inf"))
    loaded.save(tmp_path / "broken", "float32")
    with pytest.raises(AzdistillError, match=r"training: (loss|grad_norm) is nan at step \d+.*learning_rate=0.01$"):
        fine_tune(TRAIN, HELD, tmp_path / "broken", config, tmp_path / "checkpoints", "w")
    assert last_checkpoint(tmp_path / "checkpoints", "w") is None
