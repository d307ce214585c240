"""On-policy distillation: a teacher scores answers that the student samples."""

import multiprocessing
import os
import shutil
import signal
from functools import partial

import pytest
import torch

from azdistill.contracts.errors import InputError
from azdistill.contracts.train import OnPolicy, TrainConfig
from azdistill.students.decode import decode
from azdistill.students.loading import Student, greedy_generation, load_student
from azdistill.students.template import tokenize_rows
from azdistill.training import rollouts
from azdistill.training.batches import IGNORE_INDEX
from azdistill.training.checkpoints import is_complete
from azdistill.training.fine_tune import fine_tune
from azdistill.training.loss import loss_in_forward, num_target_tokens
from azdistill.training.objective import TrainingObjective
from azdistill.training.rollout_diagnostics import RolloutCounts, has_loop, warnings_of
from azdistill.training.rollouts import OnPolicyBatches
from azdistill.training.white_box import load_teacher
from tests.students import tiny
from tests.training.conftest import CONFIG, rows

TRAIN = rows(24)
SETTINGS = OnPolicy(share=0.5, max_new_tokens=12, start_fraction=0)
QUICK = CONFIG.model_copy(update={"num_epochs": 1, "batch_size": 8, "on_policy": SETTINGS})


def changed(**settings):
    return QUICK.model_copy(update={"on_policy": SETTINGS.model_copy(update=settings)})


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    return tiny.write(tmp_path_factory.mktemp("teacher"), "llama", seed=9)


def student_that_ends(pad=4):
    """Every 20th token ends an answer; one of them is the padding."""
    model, tokenizer = tiny.model("llama", tie_word_embeddings=False), tiny.tokenizer()
    model.generation_config = greedy_generation(model, tokenizer)
    model.generation_config.eos_token_id = list(range(4, 268, 20))
    tokenizer.pad_token_id = pad
    return Student(model, tokenizer)


def batches_of(student, config, token_budget=None):
    return OnPolicyBatches(student.model, student.tokenizer, config, token_budget)


def tokenized(student, count=8):
    return tokenize_rows(student.tokenizer, [row.messages for row in rows(count)])


def sampled_rows(passes):
    """Prompt and answer of each row that the student has sampled."""
    for batch in passes:
        if "on_policy" not in batch:
            continue
        for ids, labels, flag in zip(batch["input_ids"], batch["labels"], batch["on_policy"], strict=True):
            if flag.any():
                is_target = labels != IGNORE_INDEX
                start = int(is_target.nonzero()[0])
                yield tuple(ids[:start].tolist()), tuple(ids[is_target].tolist())


def all_rollouts(student, config, division=(8,), step=3, token_budget=None):
    remaining = iter(tokenized(student))
    batches = [[next(remaining) for _ in range(size)] for size in division]
    passes = batches_of(student, config, token_budget).batches(batches, step, 10)
    return [list(sampled_rows([one])) for batch in passes for one in batch]


def flat(passes):
    return sorted(row for one in passes for row in one)


def test_rollouts_depend_on_seed_step_and_prompt_only():
    student, config = student_that_ends(), changed(rollouts=3)
    once = flat(all_rollouts(student, config))
    assert len(once) == 12
    assert len(set(once)) > 8
    assert once == flat(all_rollouts(student, config, division=(3, 3, 2)))
    assert once == flat(all_rollouts(student, config, token_budget=150))
    assert once != flat(all_rollouts(student, config, step=4))
    assert once != flat(all_rollouts(student, config.model_copy(update={"seed": 6})))


def test_the_end_token_is_scored_where_it_is_the_padding_and_truncated_answers_have_none():
    student = student_that_ends()
    answers = [answer for _, answer in flat(all_rollouts(student, changed(share=1, rollouts=8)))]
    ends = set(student.model.generation_config.eos_token_id)
    assert student.tokenizer.pad_token_id in {answer[-1] for answer in answers}
    truncated = [answer for answer in answers if answer[-1] not in ends]
    assert 0 < len(truncated) < len(answers)
    assert {len(answer) for answer in truncated} == {12}
    assert not any(ends & set(answer[:-1]) for answer in answers)


def test_the_loss_of_a_step_does_not_depend_on_its_division(student, teacher):
    """One batch, two batches, and forward passes of a token budget."""
    results = []
    for division, budget in (((8,), None), ((3, 5), None), ((8,), 100)):
        loaded = load_student(student)
        passes = [
            one
            for batch in batches_of(loaded, changed(share=0.6), budget).batches(
                _divided(tokenized(loaded), division), 0, 10
            )
            for one in batch
        ]
        count = sum(num_target_tokens(one["labels"]) for one in passes)
        with loss_in_forward(loaded.model.eval(), TrainingObjective(QUICK), [load_teacher(teacher, loaded)]):
            loss = sum(loaded.model(**one, num_items_in_batch=count)["loss"] for one in passes)
            loss.backward()
        results.append((len(passes), loss.detach(), loaded.model.get_input_embeddings().weight.grad))
    assert [number for number, *_ in results] == [1, 2, results[2][0]]
    assert results[2][0] > 2
    for _, loss, gradient in results[1:]:
        torch.testing.assert_close(loss, results[0][1])
        torch.testing.assert_close(gradient, results[0][2], rtol=1e-4, atol=1e-6)


def _divided(tokens, division):
    remaining = iter(tokens)
    return [[next(remaining) for _ in range(size)] for size in division]


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
def test_a_teacher_that_is_the_student_gives_no_gradient_and_others_give_different_ones(
    tmp_path, student, teacher, divergence
):
    config = changed(share=1, divergence=divergence)
    loaded = load_student(student)
    ((batch,),) = batches_of(loaded, config).batches([tokenized(loaded)], 0, 10)
    losses, gradients = [], []
    for folder in (student, teacher, tiny.write(tmp_path, "llama", seed=11)):
        loaded.model.zero_grad()
        with loss_in_forward(loaded.model, TrainingObjective(config), [load_teacher(folder, loaded)]):
            loss = loaded.model(**batch)["loss"]
            loss.backward()
        losses.append(loss.item())
        gradients.append(loaded.model.get_input_embeddings().weight.grad.clone())
    assert abs(losses[0]) < 1e-6 < min(losses[1:])
    own, one, other = gradients
    assert own.abs().max() < 1e-6
    assert (one - other).norm() > 0.1 * one.norm() > 0


def test_the_metrics_tell_the_student_from_another_teacher(tmp_path, teacher):
    folder = tiny.write(tmp_path / "student", "smollm")
    config = changed(share=1).model_copy(update={"learning_rate": 1e-9, "warmup_ratio": 0.0})
    own, other = (
        fine_tune(TRAIN, [], folder, config, tmp_path / path.name / "checkpoints", white_box=[path])
        for path in (folder, teacher)
    )
    assert abs(own.metrics.loss_terms["on_policy"]) < 1e-6
    assert own.metrics.on_policy["overlap"] == 1
    assert other.metrics.loss_terms["on_policy"] > 0.1
    assert other.metrics.on_policy["overlap"] < 0.5


def test_the_student_comes_nearer_to_its_teacher(tmp_path, teacher):
    folder = tiny.write(tmp_path / "student", "smollm")
    config = changed(share=1, rollouts=2).model_copy(update={"num_epochs": 4, "learning_rate": 0.02})
    tuned = fine_tune(TRAIN, [], folder, config, tmp_path / "checkpoints", white_box=[teacher])
    losses = [point["terms"]["on_policy"] for point in tuned.history]
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("method", ["full", "lora"])
def test_a_resumed_training_samples_the_same_answers(student, teacher, tmp_path, method):
    """Within an epoch, with dropout and two batches a step."""
    update = {"method": method, "checkpoint_steps": 3, "gradient_accumulation_steps": 2, "num_epochs": 2}
    config = changed(start_fraction=0.3, temperature=0.8).model_copy(update=update)

    def train():
        return fine_tune(TRAIN, rows(4, 24), student, config, tmp_path, "inputs", white_box=[teacher])

    complete = train()
    last = f"checkpoint-{complete.metrics.steps}"
    assert complete.metrics.steps == 8
    shutil.rmtree(tmp_path / last)
    resumed = train()
    assert 0 < resumed.metrics.resumed_from_step < 8
    first, second = (tuned.student.model.state_dict() for tuned in (complete, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert next(point["step"] for point in complete.history if "on_policy" in point) > 2
    assert set(complete.metrics.on_policy) == {
        "eos_share",
        "mean_length",
        "repeat_rate",
        "overlap",
        "shared_mass",
        "generation_share",
    }
    assert 0 < complete.metrics.on_policy["generation_share"] < 1


@pytest.mark.slow
@pytest.mark.parametrize("scorer", ["auto", "self"])
def test_a_training_that_is_killed_in_a_rollout_resumes_to_the_same_weights(student, teacher, tmp_path, scorer):
    update = {"checkpoint_steps": 2, "num_epochs": 2}
    config = changed(start_fraction=0.2, teacher=scorer).model_copy(update=update)
    white_box = [teacher] if scorer == "auto" else []
    process = multiprocessing.get_context("spawn").Process(
        target=_train_until_killed, args=(student, config, tmp_path / "killed", white_box)
    )
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    complete = fine_tune(TRAIN, [], student, config, tmp_path / "complete", "inputs", white_box=white_box)
    resumed = fine_tune(TRAIN, [], student, config, tmp_path / "killed", "inputs", white_box=white_box)
    assert (resumed.metrics.resumed_from_step, resumed.metrics.steps) == (4, 8)
    first, second = (tuned.student.model.state_dict() for tuned in (complete, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def _train_until_killed(student, config, checkpoints, white_box):
    """Train in this process, which kills itself after some tokens of the answers of the fifth step."""
    torch.set_num_threads(1)

    def kill(unfinished):
        if any(len(answer.token_ids) == 5 for answer in unfinished) and is_complete(checkpoints / "checkpoint-4"):
            os.kill(os.getpid(), signal.SIGKILL)

    rollouts.decode = partial(decode, watch=kill)
    fine_tune(TRAIN, [], student, config, checkpoints, "inputs", white_box=white_box)


def test_stored_rows_keep_their_losses(student, teacher, tmp_path):
    tuned = fine_tune(TRAIN, [], student, QUICK, tmp_path, white_box=[teacher])
    assert set(tuned.metrics.loss_terms) == {"text", "on_policy"}
    assert all(tuned.metrics.loss_terms.values())


def test_a_loop_is_a_repeated_sequence():
    assert has_loop([1, 2, 3] * 20)
    assert has_loop([9] * 12)
    assert not has_loop(list(range(200)) + list(range(200)))
    assert not has_loop([1, 2])


def test_warnings_name_what_goes_wrong():
    first = RolloutCounts(rollouts=10, ended=9, tokens=100)
    good = RolloutCounts(rollouts=20, ended=15, tokens=250)
    assert not list(warnings_of(good, first, 0.8, start_fraction=0))
    bad = RolloutCounts(rollouts=20, ended=5, tokens=500)
    for warning, name in zip(warnings_of(bad, first, 0.2, start_fraction=0), ("long", "end", "likely"), strict=True):
        assert name in warning
    assert len(list(warnings_of(bad, first, 0.2, start_fraction=0.3))) == 2


def test_settings_that_cannot_be_combined(student, tmp_path):
    with pytest.raises(InputError, match="needs a white-box teacher"):
        fine_tune(TRAIN, [], student, QUICK, tmp_path)
    with pytest.raises(ValueError, match="cannot be packed"):
        TrainConfig(on_policy=SETTINGS, packing=True)
    with pytest.raises(ValueError, match="sharded student"):
        TrainConfig(on_policy=SETTINGS, sharding="fsdp")
