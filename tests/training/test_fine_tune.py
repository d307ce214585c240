"""Training: the same seed gives the same student, interrupted or not; a failed training gives none."""

import logging
import random
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoTokenizer, TrainerState, TrainingArguments
from transformers.utils import logging as transformers_logging

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.rows import Message, TrainRow
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_prompts, tokenize_rows
from azdistill.training.batches import IGNORE_INDEX, TokenBudgetSampler, collate
from azdistill.training.checkpoints import last_checkpoint, step_of
from azdistill.training.divergence import StopOnDivergence
from azdistill.training.fine_tune import fine_tune
from tests.students import tiny
from tests.students.tiny import PHI, THINKING
from tests.training.conftest import CONFIG, rows, rows_with_other_answers, student_without_finite_z

TRAIN, VALIDATION = rows(64), rows(12, first=64)
TOKENIZED = tokenize_rows(tiny.tokenizer(), [row.messages for row in TRAIN])
QUICK = CONFIG.model_copy(update={"num_epochs": 1})
THOUGHTS = "<think>\nhm\n</think>\n\n"


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


def lose(checkpoint):
    shutil.rmtree(checkpoint)


def damage(checkpoint):
    with (checkpoint / "optimizer.pt").open("r+b") as stream:
        stream.write(b"damaged")


@pytest.mark.parametrize(
    ("schedule", "harm", "resumed_from"),
    [
        ({"checkpoints_per_epoch": 1}, lose, 10),
        ({"checkpoints_per_epoch": 3, "checkpoint_steps": 7}, lose, 16),  # a validation and a checkpoint
        ({"checkpoint_steps": 7}, lose, 14),
        ({"checkpoint_steps": 7}, damage, 14),
    ],
)
def test_a_resumed_training_ends_with_the_same_weights(uninterrupted, student, tmp_path, schedule, harm, resumed_from):
    """At the end of an epoch and within one: order of rows, schedule, optimizer and dropout are restored."""
    complete = uninterrupted[0]
    config = CONFIG.model_copy(update=schedule)
    fine_tune(TRAIN, VALIDATION, student, config, tmp_path, "inputs")
    harm(tmp_path / "checkpoint-20")
    resumed = fine_tune(TRAIN, VALIDATION, student, config, tmp_path, "inputs")
    assert (resumed.metrics.resumed_from_step, resumed.metrics.steps) == (resumed_from, 20)
    assert are_equal(weights(complete), weights(resumed))
    assert {point["step"] for point in complete.history} <= {point["step"] for point in resumed.history}
    assert resumed.metrics.validation_loss == complete.metrics.validation_loss
    assert resumed.metrics.supervised_tokens == complete.metrics.supervised_tokens


@pytest.fixture(scope="module")
def overfitted(student, tmp_path_factory):
    """A training that learns 12 rows by heart, with other answers for validation. It stops early."""
    torch.set_num_threads(1)
    config = CONFIG.model_copy(update={"learning_rate": 0.01, "num_epochs": 40, "early_stopping_patience": 2})
    folder = tmp_path_factory.mktemp("overfitted")

    def train(to=folder, **settings):
        changed = config.model_copy(update=settings)
        return fine_tune(rows(12), rows_with_other_answers(12), student, changed, to, "inputs")

    return train(), folder, train


def test_the_weights_with_the_lowest_validation_loss_are_saved(overfitted):
    tuned, folder, _ = overfitted
    metrics, validations = tuned.metrics, [point for point in tuned.history if "validation_loss" in point]
    best = min(validations, key=lambda point: point["validation_loss"])
    assert [point["step"] for point in tuned.history if point.get("saved")] == [metrics.saved_step] == [best["step"]]
    assert metrics.validation_loss == best["validation_loss"]
    assert (metrics.ended_by, validations.index(best)) == ("early_stopping", len(validations) - 3)
    assert metrics.epochs == validations[-1]["step"] / (metrics.steps / len(validations)) < 40
    saved = load_file(folder / f"checkpoint-{best['step']}" / "model.safetensors")
    assert all(torch.equal(tuned.student.model.state_dict()[name], weight) for name, weight in saved.items())
    assert sorted(path.name for path in folder.glob("*/optimizer.pt")) == ["optimizer.pt"] * 2


def test_without_keep_best_the_last_weights_are_saved(overfitted, tmp_path):
    tuned, _, train = overfitted
    last = train(tmp_path, keep_best=False)
    assert last.metrics.saved_step == last.metrics.steps == tuned.metrics.steps
    assert last.metrics.validation_loss > tuned.metrics.validation_loss


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_training_that_stopped_early_keeps_its_best_weights_when_it_is_resumed(overfitted, tmp_path, lost):
    """After its end, from the checkpoint before, or from nothing but the best weights."""
    tuned, folder, train = overfitted
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    for checkpoint in sorted(tmp_path.iterdir(), key=step_of)[3 - lost :]:
        shutil.rmtree(checkpoint)
    resumed = train(tmp_path)
    assert (resumed.metrics.resumed_from_step == tuned.metrics.steps) == (lost == 0)
    assert (resumed.metrics.resumed_from_step == 0) == (lost == 2)
    assert resumed.metrics.steps == tuned.metrics.steps
    assert (resumed.metrics.saved_step, resumed.metrics.ended_by) == (tuned.metrics.saved_step, "early_stopping")
    assert are_equal(weights(tuned), weights(resumed))


def test_lost_best_weights_are_reported_and_the_next_best_are_saved(overfitted, tmp_path, caplog):
    tuned, folder, train = overfitted
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / f"checkpoint-{tuned.metrics.saved_step}" / "model.safetensors").write_bytes(b"damaged")
    with caplog.at_level(logging.WARNING, "azdistill.training"):
        resumed = train(tmp_path)
    assert caplog.messages == [
        f"train: the best weights, of step {tuned.metrics.saved_step}, are missing or damaged; later ones are compared"
    ]
    assert resumed.metrics.saved_step == tuned.metrics.steps


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


def test_weights_that_are_not_finite_are_no_fault_of_the_learning_rate(student, tmp_path):
    loaded = load_student(student)
    with torch.no_grad():
        next(loaded.model.parameters()).mul_(float("inf"))
    loaded.save(tmp_path / "infinite", "float32")
    problem = failure(TRAIN, tmp_path / "infinite", tmp_path / "checkpoints")
    assert (problem.code, problem.field) == ("not_finite_at_start", ("train", "precision"))
    assert "the loss is nan at step 1, in the batch with " in problem.message
    first_batch = next(iter(TokenBudgetSampler([len(row.input_ids) for row in TOKENIZED], 8, CONFIG.seed)))
    assert all(f"row {index + 1} ({TRAIN[index].id})" in problem.message for index in first_batch)
    assert last_checkpoint(tmp_path / "checkpoints", "inputs") is None


def failure(train_rows, student, checkpoints):
    with pytest.raises(AzdistillError) as error:
        fine_tune(train_rows, [], student, CONFIG, checkpoints, "inputs")
    (problem,) = error.value.problems
    return problem


def test_a_batch_that_is_not_finite_is_named_by_its_rows(tmp_path):
    student = student_without_finite_z(tmp_path / "student")
    bad = TrainRow(id="f" * 16, messages=tiny.turns("n0000z", "red"))
    problem = failure([*TRAIN, bad], student, tmp_path / "checkpoints")
    assert (problem.code, problem.field, problem.value) == ("diverged", ("train", "learning_rate"), 3e-3)
    assert f"row 65 ({bad.id})" in problem.message
    assert sum(row.id in problem.message for row in TRAIN) < 10


def test_validation_rows_that_are_not_finite_are_named(tmp_path):
    student = student_without_finite_z(tmp_path / "student")
    bad = TrainRow(id="f" * 16, messages=tiny.turns("z", "red"))
    with pytest.raises(AzdistillError) as error:
        fine_tune(TRAIN[:8], [*VALIDATION, bad], student, CONFIG, tmp_path / "checkpoints", "inputs")
    (problem,) = error.value.problems
    assert problem.code == "not_finite_validation"
    assert f"row 13 ({bad.id})" in problem.message
    assert last_checkpoint(tmp_path / "checkpoints", "inputs") is None


def test_the_first_value_that_is_not_finite_is_reported():
    """A gradient is the sum over all batches of a step; later values follow from it."""
    nan, asked = torch.tensor(float("nan")), []
    stop = StopOnDivergence(lambda step, batch: asked.append((step, batch)) or [f"row {n}" for n in range(10)])
    args = TrainingArguments(use_cpu=True, report_to="none", learning_rate=0.5)
    for step in (1, 2):
        stop.add_loss(step, torch.tensor(1.0))
        stop.add_gradient_norm(step, 1.0)
    stop.on_log(args, TrainerState(global_step=2), None, {"loss": 1.0, "grad_norm": 1.0})
    for value in (torch.tensor(2.0), torch.tensor(2.0)):
        stop.add_loss(3, value)
    stop.add_gradient_norm(3, nan)
    stop.add_loss(4, nan)
    with pytest.raises(AzdistillError) as error:
        stop.on_log(args, TrainerState(global_step=4), None, {"loss": float("nan"), "grad_norm": float("nan")})
    (problem,) = error.value.problems
    assert (problem.code, problem.value, asked) == ("diverged", 0.5, [(3, None)])
    assert "the gradient norm is nan at step 3, in the batch with row 0, row 1" in problem.message
    assert problem.message.count("row ") == 8
    assert "and 2 more" in problem.message


def test_training_changes_no_settings_of_the_process(student, tmp_path, capfd):
    """Neither log levels, progress bars, threads nor random generators; and it prints nothing."""
    loggers = [logging.getLogger(name) for name in ("", "azdistill", "transformers", "mlflow", "alembic")]

    def settings():
        levels = [logger.level for logger in loggers]
        generators = random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()
        assert torch.backends.cuda.cudnn_sdp_enabled()
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


def test_a_base_model_is_trained_and_saved_with_the_chosen_template(student, tmp_path):
    base = shutil.copytree(student, tmp_path / "base")
    (base / "chat_template.jinja").unlink()
    tuned = fine_tune(rows(8), [], base, QUICK, tmp_path / "checkpoints", chat_template=PHI)
    tuned.student.save(tmp_path / "tuned", "float32")
    served = AutoTokenizer.from_pretrained(tmp_path / "tuned")
    messages = [{"role": "user", "content": "Hi"}]
    prompt = served.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
    assert prompt == "<|user|>Hi<|end|><|assistant|>"


@pytest.mark.parametrize(("thoughts", "prompt_end"), [("", "<think>\n\n</think>\n\n"), (THOUGHTS, "assistant\n")])
def test_a_student_that_learns_thoughts_thinks_by_default(student, tmp_path, thoughts, prompt_end):
    base = shutil.copytree(student, tmp_path / "base")
    (base / "chat_template.jinja").write_text(THINKING)
    train = [
        row.model_copy(update={"messages": (row.messages[0], assistant(f"{thoughts}{row.messages[1].content}"))})
        for row in rows(8)
    ]
    fine_tune(train, [], base, QUICK, tmp_path / "checkpoints").student.save(tmp_path / "tuned", "float32")
    saved = load_student(tmp_path / "tuned")
    (prompt,) = tokenize_prompts(saved.tokenizer, [train[0].messages[:1]])
    assert saved.tokenizer.decode(prompt).endswith(prompt_end)


def assistant(content):
    return Message(role="assistant", content=content)
