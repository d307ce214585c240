"""Fine-tuning next to a white-box teacher: its logits, hidden states and attention."""

import shutil

import pytest
import torch

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.train import LossWeights
from azdistill.students.loading import load_student
from azdistill.training.batches import collate, collate_packed
from azdistill.training.fine_tune import fine_tune
from azdistill.training.layer_terms import layer_terms
from azdistill.training.loss import loss_in_forward
from azdistill.training.objective import TrainingObjective
from azdistill.training.rows import tokenize_training_rows
from azdistill.training.white_box import load_teachers
from tests.students import tiny
from tests.training.conftest import CONFIG, rows

ALL_LOSSES = LossWeights(text=0, logits=1, hidden_states=0.5, attention=0.25)
QUICK = CONFIG.model_copy(update={"num_epochs": 1, "attn_implementation": "eager", "losses": ALL_LOSSES})
TERMS = {"logits", "hidden_states", "attention"}
TRAIN = rows(24)


@pytest.fixture(scope="module")
def plain_student(tmp_path_factory):
    """A student without dropout, whose outputs repeat."""
    return tiny.write(tmp_path_factory.mktemp("student"), "smollm")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A wider and deeper model of the family, with other padding of its vocabulary."""
    size = {"hidden_size": 48, "num_hidden_layers": 3, "vocab_size": len(tiny.tokenizer()) + 20}
    return tiny.write(tmp_path_factory.mktemp("teacher"), "qwen2", seed=3, **size)


def weights(tuned):
    return tuned.student.model.state_dict()


def test_a_teacher_that_is_the_student_teaches_nothing(plain_student, tmp_path):
    config = QUICK.model_copy(update={"learning_rate": 1e-9})  # AdamW divides gradients by their size, rounding too
    tuned = fine_tune(TRAIN, [], plain_student, config, tmp_path, white_box=[plain_student])
    assert tuned.metrics.loss_terms.keys() == TERMS
    assert max(map(abs, tuned.metrics.loss_terms.values())) < 1e-6


def test_the_student_learns_from_a_larger_model_of_its_family(plain_student, teacher, tmp_path):
    config = QUICK.model_copy(update={"num_epochs": 6})
    tuned = fine_tune(TRAIN, rows(4, 50), plain_student, config, tmp_path, white_box=[teacher])
    points = [point for point in tuned.history if "loss" in point]
    first, last = points[0]["terms"], points[-1]["terms"]
    assert all(last[term] < 0.9 * first[term] for term in TERMS)
    assert sum(last.values()) == pytest.approx(points[-1]["loss"], rel=1e-4)
    assert weights(tuned).keys() == load_student(plain_student).model.state_dict().keys()


def test_the_terms_of_several_teachers_are_added_by_their_weights(plain_student, teacher, tmp_path):
    def first_loss(config, *teachers):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        tuned = fine_tune(TRAIN[:8], [], plain_student, config, folder, white_box=teachers)
        return next(point for point in tuned.history if "loss" in point)["terms"]["logits"]

    config = QUICK.model_copy(update={"losses": LossWeights(text=0, logits=1), "batch_size": 8})
    both = config.model_copy(update={"white_box_weights": "1,0.5"})
    assert first_loss(both, teacher, plain_student) == pytest.approx(first_loss(config, teacher), rel=1e-5)
    assert first_loss(both, plain_student, teacher) == pytest.approx(first_loss(config, teacher) / 2, rel=1e-5)


def test_the_loss_does_not_depend_on_the_division_of_a_batch(plain_student, teacher):
    student, config = load_student(plain_student, attn_implementation="eager"), QUICK
    tokenized = tokenize_training_rows(TRAIN[:12], student.tokenizer, CONFIG)
    teachers = load_teachers([teacher], student, config)
    count = tokenized.num_target_tokens
    with (
        layer_terms(student.model, teachers, config) as layers,
        loss_in_forward(student.model, TrainingObjective(config), teachers, layers),
    ):
        complete = student.model(**collate(tokenized, 0))
        parts = [collate(tokenized[start : start + 3], 0) for start in (0, 3, 6, 9)]
        losses = [student.model(**part, num_items_in_batch=count)["loss"] for part in parts]
        packed = student.model(**collate_packed(tokenized))["terms"]
    assert sum(losses).item() == pytest.approx(complete["loss"].item(), rel=1e-5)
    for term in ("logits", "hidden_states"):
        assert packed[term].item() == pytest.approx(complete["terms"][term].item(), rel=1e-4)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_training_ends_with_the_same_weights(student, teacher, tmp_path, method):
    """The projections of hidden states are trained, so a checkpoint has them and their state in the optimizer."""
    config = QUICK.model_copy(update={"method": method, "checkpoints_per_epoch": 2})
    complete = fine_tune(TRAIN, [], student, config, tmp_path, "inputs", white_box=[teacher])
    shutil.rmtree(max(tmp_path.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1])))
    resumed = fine_tune(TRAIN, [], student, config, tmp_path, "inputs", white_box=[teacher])
    assert 0 < resumed.metrics.resumed_from_step < resumed.metrics.steps
    assert all(map(torch.equal, weights(complete).values(), weights(resumed).values()))


def test_gradient_checkpointing_gives_the_same_training(plain_student, teacher, tmp_path):
    first, second = (
        fine_tune(
            TRAIN,
            [],
            plain_student,
            QUICK.model_copy(update={"gradient_checkpointing": is_on}),
            tmp_path / str(is_on),
            white_box=[teacher],
        )
        for is_on in (False, True)
    )
    assert first.metrics.loss_terms == pytest.approx(second.metrics.loss_terms, rel=1e-4)


def test_refused(plain_student, teacher, tmp_path):
    with pytest.raises(InputError, match="needs a white-box teacher"):
        fine_tune(TRAIN, [], plain_student, QUICK, tmp_path)
    wrong = QUICK.model_copy(update={"white_box_weights": "1,1"})
    with pytest.raises(InputError, match="has 2 weights, and there are 1 white-box teachers"):
        fine_tune(TRAIN, [], plain_student, wrong, tmp_path, white_box=[teacher])
    wrong = QUICK.model_copy(update={"layer_map": "1:4"})
    with pytest.raises(InputError, match="the teacher has no layer 4: its layers are 1 to 3"):
        fine_tune(TRAIN, [], plain_student, wrong, tmp_path, white_box=[teacher])


def test_a_row_with_a_token_that_the_teacher_lacks_is_refused(tmp_path, teacher):
    folder = tiny.write(tmp_path / "student", "smollm", vocab_size=len(tiny.tokenizer()) + 1)
    tokenizer = load_student(folder).tokenizer
    tokenizer.add_tokens(["blue"])
    tokenizer.save_pretrained(folder)
    with pytest.raises(DataError, match="of the training rows, 'blue', is unknown to a white-box teacher"):
        fine_tune(TRAIN, [], folder, QUICK, tmp_path, white_box=[teacher])
