"""The loss of a padded batch is that of its rows one by one, in every architecture."""

from types import SimpleNamespace

import pytest
import torch

from azdistill.students.template import Encoded, encode_rows
from azdistill.training.batches import IGNORED, collate
from azdistill.training.loss import answer_loss
from tests.students import tiny
from tests.students.tiny import turns

ROWS = [
    turns("Hi", "Yes"),
    turns(
        "What is it that you would like to know about the order?",
        "No",
        "And then, after a while?",
        "Never again, I fear.",
    ),
    turns("?", "A much longer answer than the others have, to be sure."),
]


def encoded():
    return encode_rows(tiny.tokenizer(), ROWS)


def loss_of(model, rows, pad=0):
    batch = collate(rows, pad)
    labels = batch.pop("labels")
    return answer_loss(model(**batch), labels)


def plain_loss(model, row):
    """transformers' own, of one row without padding: the sum over its learned tokens."""
    ids = torch.tensor([row.ids])
    labels = ids.clone()
    labels[:, : len(row.ids) - row.learned] = IGNORED
    return model(input_ids=ids, labels=labels).loss * row.learned


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_loss_and_gradients_are_those_of_the_rows_alone(architecture):
    rows, model = encoded(), tiny.model(architecture)
    batched = loss_of(model, rows)
    batched.backward()
    gradients = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    alone = sum(plain_loss(model, row) for row in rows) / sum(row.learned for row in rows)
    alone.backward()
    torch.testing.assert_close(batched, alone, atol=1e-5, rtol=1e-5)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(gradients[name], weight.grad, atol=1e-5, rtol=1e-4, msg=name)


def test_padding_is_never_read():
    rows, model = encoded(), tiny.model("smollm")
    torch.testing.assert_close(loss_of(model, rows, pad=0), loss_of(model, rows, pad=77), atol=1e-6, rtol=0)


def test_the_last_answer_and_its_mark_are_the_targets():
    labels = collate(encoded(), 0)["labels"].tolist()
    words = tiny.tokenizer().batch_decode([[label for label in row if label != IGNORED] for row in labels])
    assert words == [f"{conversation[-1].content}<|im_end|>" for conversation in ROWS]


def test_no_other_position_gets_a_gradient():
    """So the label of a prompt token could be any: a loss on the whole row asks for each of them."""
    batch = collate(encoded(), 0)
    labels = batch.pop("labels")
    logits = tiny.model("smollm")(**{**batch, "logits_to_keep": 0}).logits
    logits.retain_grad()
    answer_loss(SimpleNamespace(logits=logits), labels).backward()
    asked = logits.grad.abs().sum(-1) > 0
    assert torch.equal(asked[:, :-1], labels[:, 1:] != IGNORED)
    assert not asked[:, -1].any()


def test_accumulated_batches_weigh_tokens():
    rows, model = encoded(), tiny.model("smollm")
    count = sum(row.learned for row in rows)
    parts = 0.0
    for row in rows:
        batch = collate([row], 0)
        labels = batch.pop("labels")
        parts = parts + answer_loss(model(**batch), labels, num_items_in_batch=count)
    torch.testing.assert_close(parts, loss_of(model, rows), atol=1e-5, rtol=1e-5)


def test_a_model_that_gives_all_logits_has_the_same_loss():
    rows, model = [Encoded([1, 20, 30, 40], 2), Encoded([1, 20, 30, 40, 50, 60], 1)], tiny.model("smollm")
    batch = collate(rows, 0)
    labels = batch.pop("labels")
    kept = answer_loss(model(**batch), labels)
    torch.testing.assert_close(answer_loss(model(**{**batch, "logits_to_keep": 0}), labels), kept, atol=1e-6, rtol=0)
