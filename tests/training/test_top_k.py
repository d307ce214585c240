"""Fine-tuning on a teacher's stored log probabilities."""

import numpy as np
import pytest
import torch

from azdistill.contracts.errors import DataError, InputError
from azdistill.contracts.train import LossWeights
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_prompts
from azdistill.teacher.logprobs_writer import LogprobsWriter, TokenLogprobs
from azdistill.training.alignment import Aligner
from azdistill.training.batches import collate, collate_packed
from azdistill.training.fine_tune import fine_tune
from azdistill.training.loss import loss_in_forward
from azdistill.training.objective import TrainingObjective
from azdistill.training.rows import tokenize_training_rows
from azdistill.training.teacher_logprobs import TeacherLogprobs
from tests.training.conftest import CONFIG, rows

QUICK = CONFIG.model_copy(update={"num_epochs": 1})
TOP_K = {"losses": LossWeights(text=0.25, top_k=0.75)}
SHARE = 0.6  # of the teacher's probability for the character that it wrote


def key(row):
    return row.id * 4


def keyed(train):
    return [row.model_copy(update={"key": key(row)}) for row in train]


def write_logprobs(folder, train, share=SHARE):
    """A teacher that writes single characters, with probability `share`, and else `x`."""
    chosen, other = float(np.log(share)), float(np.log(1 - share))
    with LogprobsWriter(folder, top=2) as writer:
        for row in train:
            tokens = [bytes([byte]) for byte in row.messages[-1].content.encode()]
            likely = [[(token, chosen), (b"x", other)] for token in tokens]
            writer.add(key(row), TokenLogprobs(tokens, [chosen] * len(tokens), likely))
    return folder


def test_the_student_learns_the_teachers_probabilities(student, tmp_path):
    """Of text alone a student becomes certain; of likely tokens it learns how certain the teacher is."""
    train = rows(64)
    config = CONFIG.model_copy(update={"num_epochs": 20, "keep_best": False, "losses": LossWeights(text=0, top_k=1)})
    folder = write_logprobs(tmp_path / "completions", train)
    tuned = fine_tune(keyed(train), [], student, config, tmp_path / "checkpoints", completions=folder)
    assert tuned.metrics.loss_terms["top_k"] < 0.3
    assert tuned.metrics.loss_terms["text"] > 0  # the tokens that end the answers
    assert 0.5 < tuned.metrics.aligned_share < 1
    assert _probability_of_x(tuned) == pytest.approx(1 - SHARE, abs=0.15)


def _probability_of_x(tuned):
    """The student's mean probability of `x` where the teacher wrote the first character of an answer."""
    model, tokenizer = tuned.student.model, tuned.student.tokenizer
    prompts = tokenize_prompts(tokenizer, [row.messages[:-1] for row in rows(10)])
    x = tokenizer("x", add_special_tokens=False)["input_ids"][0]
    with torch.no_grad():
        values = [model(input_ids=torch.tensor([ids])).logits[0, -1].softmax(-1)[x].item() for ids in prompts]
    return sum(values) / len(values)


def test_the_terms_are_logged_and_add_up_to_the_loss(student, tmp_path):
    train = rows(32)
    config = QUICK.model_copy(update=TOP_K)
    folder = write_logprobs(tmp_path / "completions", train)
    tuned = fine_tune(keyed(train), rows(8, 32), student, config, tmp_path / "checkpoints", completions=folder)
    points = [point for point in tuned.history if "loss" in point]
    assert points
    for point in points:
        assert sum(point["terms"].values()) == pytest.approx(point["loss"], rel=1e-4)
    assert tuned.metrics.validation_loss > 0


def test_rows_without_log_probabilities_learn_from_text(student, tmp_path):
    train = rows(32)
    config = QUICK.model_copy(update=TOP_K)
    folder = write_logprobs(tmp_path / "completions", train[:16])
    tuned = fine_tune(keyed(train), [], student, config, tmp_path / "checkpoints", completions=folder)
    complete = write_logprobs(tmp_path / "complete", train)
    other = fine_tune(keyed(train), [], student, config, tmp_path / "other", completions=complete)
    assert tuned.metrics.aligned_share == pytest.approx(other.metrics.aligned_share / 2, abs=0.1)


@pytest.mark.parametrize("weights", [LossWeights(text=0.25, top_k=0.75), LossWeights(text=0, top_k=1)])
def test_the_loss_does_not_depend_on_the_division_of_a_batch(student, tmp_path, weights):
    train = rows(12)
    loaded = load_student(student)
    aligner = Aligner(TeacherLogprobs(write_logprobs(tmp_path, train[:7])), loaded.tokenizer)
    tokenized = tokenize_training_rows(keyed(train), loaded.tokenizer, CONFIG, aligner=aligner)
    objective = TrainingObjective(CONFIG.model_copy(update={"losses": weights}))
    with loss_in_forward(loaded.model.eval(), objective):
        complete = loaded.model(**collate(tokenized, 0))["loss"]
        count = tokenized.num_target_tokens
        parts = [collate(tokenized[start : start + 3], 0) for start in (0, 3, 6, 9)]
        losses = [loaded.model(**part, num_items_in_batch=count)["loss"] for part in parts]
        packed = loaded.model(**collate_packed(tokenized))["loss"]
    assert sum(losses).item() == pytest.approx(complete.item(), rel=1e-5)
    assert packed.item() == pytest.approx(complete.item(), rel=1e-5)


def test_refused(student, tmp_path):
    train, config = rows(8), QUICK.model_copy(update=TOP_K)
    with pytest.raises(InputError, match="needs the teacher's log probabilities"):
        fine_tune(train, [], student, config, tmp_path)
    with pytest.raises(DataError, match="there are no log probabilities of the teacher"):
        fine_tune(train, [], student, config, tmp_path, completions=tmp_path)
    folder = write_logprobs(tmp_path / "completions", rows(8, first=50))
    with pytest.raises(DataError, match="no target token of the training rows has log probabilities"):
        fine_tune(keyed(train), [], student, config, tmp_path, completions=folder)
