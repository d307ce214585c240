"""Self-distillation: the student with the stored answer in its prompt scores the answers that it samples without it."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message
from azdistill.contracts.train import OnPolicy, TrainConfig
from azdistill.students.loading import load_student
from azdistill.students.template import tokenize_rows
from azdistill.training.fine_tune import fine_tune
from azdistill.training.loss import loss_in_forward, num_target_tokens
from azdistill.training.objective import TrainingObjective
from azdistill.training.privileged import WORDING, PrivilegedPrompts, with_stored_answer
from azdistill.training.rollouts import OnPolicyBatches
from azdistill.training.self_teacher import SELF_TEACHER_FILE, SelfTeacher
from tests.students.tiny import turns
from tests.training.conftest import CONFIG, rows

TRAIN = rows(24)
SETTINGS = OnPolicy(teacher="self", share=1, max_new_tokens=12, start_fraction=0)
QUICK = CONFIG.model_copy(update={"num_epochs": 1, "on_policy": SETTINGS})


def changed(**settings):
    return QUICK.model_copy(update={"on_policy": SETTINGS.model_copy(update=settings)})


def privileged_rows(student, config, count=8, context=1000):
    conversations = [row.messages for row in rows(count)]
    tokenized = tokenize_rows(student.tokenizer, conversations)
    return PrivilegedPrompts(config, context).added(student.tokenizer, tokenized, conversations)


def loss_and_gradient(student, config, tokenized, decay=0.0, budget=None):
    """Those of the sampled answers of one step."""
    teacher = SelfTeacher(student.model, decay)
    passes = OnPolicyBatches(student.model, student.tokenizer, config, budget, self_teacher=teacher).batches(
        [tokenized], 0, 10
    )[0]
    count = sum(num_target_tokens(one["labels"]) for one in passes)
    student.model.zero_grad()
    with loss_in_forward(student.model, TrainingObjective(config), self_teacher=teacher):
        loss = sum(student.model(**one, num_items_in_batch=count)["loss"] for one in passes)
        loss.backward()
    return float(loss.detach()), student.model.get_input_embeddings().weight.grad.clone(), len(passes)


@pytest.mark.parametrize("divergence", ["forward_kl", "reverse_kl", "jsd"])
@pytest.mark.parametrize("decay", [0.0, 0.9])
def test_without_an_answer_in_the_prompt_there_is_no_loss(student, divergence, decay):
    config, loaded = changed(divergence=divergence), load_student(student)
    tokenized = privileged_rows(loaded, config)
    loss, gradient, _ = loss_and_gradient(loaded, config, tokenized, decay)
    plain = [replace(row, privileged_ids=row.input_ids[: row.targets[-1][0]]) for row in tokenized]
    no_loss, no_gradient, _ = loss_and_gradient(loaded, config, plain, decay)
    assert abs(no_loss) < 1e-6 < loss
    assert no_gradient.abs().max() < 1e-6 < gradient.abs().max()


def test_the_loss_does_not_depend_on_the_division_into_passes(student):
    loaded = load_student(student)
    loaded.model.eval()
    tokenized = privileged_rows(loaded, QUICK)
    config = changed(share=0.5, rollouts=2)
    loss, gradient, passes = loss_and_gradient(loaded, config, tokenized)
    divided = loss_and_gradient(loaded, config, tokenized, budget=100)
    assert (passes, divided[2] > 2) == (1, True)
    assert divided[0] == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(divided[1], gradient, rtol=1e-4, atol=1e-6)


def test_the_answer_is_in_the_last_user_turn_and_only_there():
    prompt = with_stored_answer(turns("Hi", "Yes", "And {now}?", "A {green} one"))
    assert [turn.role for turn in prompt] == ["user", "assistant", "user"]
    assert prompt[:2] == turns("Hi", "Yes", "", "")[:2]
    assert prompt[2].content.startswith("And {now}?\n")
    assert "\nA {green} one\n\n" in prompt[2].content
    assert with_stored_answer(turns("Hi", "  ")) is None
    assert with_stored_answer((Message(role="assistant", content="Yes"),)) is None


def test_the_documentation_has_the_words():
    assert f"```\n{WORDING}\n```" in (Path(__file__).parents[2] / "docs" / "losses.md").read_text()


def test_the_privileged_prompt_is_that_of_the_last_target(student):
    loaded = load_student(student)
    conversation = list(turns("Hi", "red", "And?", "blue"))
    conversation[3] = conversation[3].model_copy(update={"weight": 0})
    (row,) = PrivilegedPrompts(QUICK, 1000).added(
        loaded.tokenizer, tokenize_rows(loaded.tokenizer, [conversation], "all"), [conversation]
    )
    text = loaded.tokenizer.decode(row.privileged_ids)
    assert "red" in text
    assert "blue" not in text


def test_a_row_that_does_not_fit_the_context_is_not_sampled(student):
    """Its privileged prompt is not cut: a part of the answer would teach to stop early."""
    loaded = load_student(student)
    lengths = [len(row.privileged_ids) for row in privileged_rows(loaded, QUICK)]
    context = sorted(lengths)[4] + SETTINGS.max_new_tokens
    tokenized = privileged_rows(loaded, QUICK, context=context)
    fits = [row.privileged_ids is not None for row in tokenized]
    assert fits == [length + SETTINGS.max_new_tokens <= context for length in lengths]
    assert 0 < sum(fits) < 8
    (batches,) = OnPolicyBatches(
        loaded.model, loaded.tokenizer, QUICK, None, self_teacher=SelfTeacher(loaded.model, 0.5)
    ).batches([tokenized], 0, 10)
    assert batches[0]["on_policy"][:, 0].sum() == sum(fits)


def test_rows_without_a_privileged_prompt_are_refused(student, tmp_path):
    config = changed(max_new_tokens=5000).model_copy(update={"max_length": 5000})
    with pytest.raises(DataError, match="no answer can be sampled"):
        fine_tune(TRAIN, [], student, config, tmp_path)


def test_the_average_follows_the_student_until_answers_are_sampled(student):
    model = load_student(student).model
    teacher = SelfTeacher(model, 0.75)
    ours, others = model.get_input_embeddings().weight, teacher.model.get_input_embeddings().weight
    with torch.no_grad():
        ours.fill_(1.0)
        teacher.update()
        assert (others == 1).all()
        ours.fill_(5.0)
        teacher.update()
    assert (others == 2).all()
    assert not any(weight.requires_grad for weight in teacher.model.parameters())


@pytest.mark.parametrize(("method", "decay"), [("full", 0.5), ("lora", 1.0)])
def test_a_resumed_training_has_the_same_teacher(student, tmp_path, method, decay):
    update = {"method": method, "checkpoint_steps": 3, "num_epochs": 2}
    config = changed(start_fraction=0.2, teacher_decay=decay, share=0.7).model_copy(update=update)

    def train():
        return fine_tune(TRAIN, rows(4, 24), student, config, tmp_path, "inputs")

    complete = train()
    last = tmp_path / f"checkpoint-{complete.metrics.steps}"
    assert (last / SELF_TEACHER_FILE).is_file()
    shutil.rmtree(last)
    resumed = train()
    assert 0 < resumed.metrics.resumed_from_step < complete.metrics.steps
    first, second = (tuned.student.model.state_dict() for tuned in (complete, resumed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert set(complete.metrics.loss_terms) == {"text", "on_policy"}
    assert complete.metrics.loss_terms["on_policy"] > 0


def test_adapters_share_the_base_with_the_teacher(student, tmp_path):
    from azdistill.training.adapters import add_adapters, load_base

    config = QUICK.model_copy(update={"method": "lora"}).resolved()
    trained = add_adapters(load_base(student, config), config)
    model = trained.model.get_base_model()
    of_teacher = dict(SelfTeacher(model, 0.5).model.named_parameters())
    for name, weight in model.named_parameters():
        assert (of_teacher[name] is weight) == (not weight.requires_grad)


def test_settings_that_cannot_be_combined():
    with pytest.raises(ValueError, match="moving average of bfloat16 weights"):
        TrainConfig(on_policy=SETTINGS, float32_master_weights=False)
    assert TrainConfig(on_policy=SETTINGS, float32_master_weights=False, method="lora")
    with pytest.raises(ValueError, match="sharded student"):
        TrainConfig(on_policy=SETTINGS, sharding="fsdp")
