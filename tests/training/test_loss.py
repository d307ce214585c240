"""The loss of a padded batch equals that of its rows one by one, in every architecture."""

from types import SimpleNamespace

import pytest
import torch

from azdistill.students.template import TokenizedRow, tokenize_rows
from azdistill.training.batches import IGNORE_INDEX, collate
from azdistill.training.loss import answer_loss
from tests.students import tiny
from tests.students.tiny import turns

CONVERSATIONS = [
    turns("Hi", "Yes"),
    turns(
        "What is it that you would like to know about the order?",
        "No",
        "And then, after a while?",
        "Never again, I fear.",
    ),
    turns("?", "A much longer answer than the others have, to be sure."),
]


def tokenized_rows():
    return tokenize_rows(tiny.tokenizer(), CONVERSATIONS)


def batch_loss(model, rows, pad_token_id=0):
    batch = collate(rows, pad_token_id)
    labels = batch.pop("labels")
    return answer_loss(model(**batch), labels)


def transformers_loss(model, row):
    """transformers' own loss of one row without padding, as a sum over its target tokens."""
    ids = torch.tensor([row.input_ids])
    labels = ids.clone()
    labels[:, : len(row.input_ids) - row.num_target_tokens] = IGNORE_INDEX
    return model(input_ids=ids, labels=labels).loss * row.num_target_tokens


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_loss_and_gradients_equal_those_of_the_single_rows(architecture):
    rows, model = tokenized_rows(), tiny.model(architecture)
    batched = batch_loss(model, rows)
    batched.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    single = sum(transformers_loss(model, row) for row in rows) / sum(row.num_target_tokens for row in rows)
    single.backward()
    torch.testing.assert_close(batched, single, atol=1e-5, rtol=1e-5)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_the_padding_token_does_not_matter():
    rows, model = tokenized_rows(), tiny.model("smollm")
    losses = [batch_loss(model, rows, pad_token_id) for pad_token_id in (0, 77)]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=0)


def test_the_targets_are_the_last_answer_and_its_end_token():
    labels = collate(tokenized_rows(), 0)["labels"].tolist()
    targets = [[label for label in row if label != IGNORE_INDEX] for row in labels]
    answers = [f"{conversation[-1].content}<|im_end|>" for conversation in CONVERSATIONS]
    assert tiny.tokenizer().batch_decode(targets) == answers


def test_only_target_positions_get_a_gradient():
    batch = collate(tokenized_rows(), 0)
    labels = batch.pop("labels")
    logits = tiny.model("smollm")(**{**batch, "logits_to_keep": 0}).logits
    logits.retain_grad()
    answer_loss(SimpleNamespace(logits=logits), labels).backward()
    has_gradient = logits.grad.abs().sum(-1) > 0
    assert torch.equal(has_gradient[:, :-1], labels[:, 1:] != IGNORE_INDEX)
    assert not has_gradient[:, -1].any()


def test_gradient_accumulation_weighs_tokens():
    rows, model = tokenized_rows(), tiny.model("smollm")
    count = sum(row.num_target_tokens for row in rows)
    accumulated = 0.0
    for row in rows:
        batch = collate([row], 0)
        labels = batch.pop("labels")
        accumulated = accumulated + answer_loss(model(**batch), labels, num_items_in_batch=count)
    torch.testing.assert_close(accumulated, batch_loss(model, rows), atol=1e-5, rtol=1e-5)


def test_a_model_that_ignores_logits_to_keep_has_the_same_loss():
    rows = [TokenizedRow([1, 20, 30, 40], ((2, 4),)), TokenizedRow([1, 20, 30, 40, 50, 60], ((5, 6),))]
    model, batch = tiny.model("smollm"), collate(rows, 0)
    labels = batch.pop("labels")
    kept = answer_loss(model(**batch), labels)
    torch.testing.assert_close(answer_loss(model(**{**batch, "logits_to_keep": 0}), labels), kept, atol=1e-6, rtol=0)
