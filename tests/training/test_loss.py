"""The loss of a batch equals that of its rows one by one in every architecture, however it is computed."""

import pytest
import torch
from torch.nn import functional

from azdistill.students.template import TokenizedRow, tokenize_rows
from azdistill.training.architecture import separates_packed_rows
from azdistill.training.batches import IGNORE_INDEX, collate, collate_packed
from azdistill.training.loss import loss_in_forward
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

# Architectures whose logits are not only the product with the output layer. That of falcon_h1 is not known to us.
SCALED = {
    "granite": {"model_type": "granite", "logits_scaling": 8.0},
    "cohere": {"model_type": "cohere", "logit_scale": 0.5},
    "phi": {"model_type": "phi"},
    "falcon_h1": {
        "model_type": "falcon_h1",
        "lm_head_multiplier": 0.3,
        "mamba_d_ssm": 32,
        "mamba_n_heads": 4,
        "mamba_d_head": 8,
        "mamba_d_state": 8,
        "mamba_n_groups": 1,
    },
}


def tokenized_rows():
    return tokenize_rows(tiny.tokenizer(), CONVERSATIONS)


def batch_loss(model, rows, pad_token_id=0, **inputs):
    return model(**collate(rows, pad_token_id), **inputs)["loss"]


def transformers_loss(model, row):
    """The cross entropy of one row without padding, from transformers' own logits, as a sum over its target tokens."""
    logits = model(input_ids=torch.tensor([row.input_ids])).logits[0]
    targets = [position for start, end in row.targets for position in range(start, end)]
    expected = torch.tensor([row.input_ids[position] for position in targets])
    return row.weight * functional.cross_entropy(logits[[at - 1 for at in targets]], expected, reduction="sum")


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def assert_same_loss(model, rows, compute, **tolerance):
    """`compute`'s loss and gradients, and those of the rows one by one, must agree."""
    single = sum(transformers_loss(model, row) for row in rows) / sum(row.num_target_tokens for row in rows)
    expected = gradients(model, single)
    with loss_in_forward(model):
        loss = compute()
        computed = gradients(model, loss)
    torch.testing.assert_close(loss, single, atol=1e-5, rtol=1e-5)
    assert computed.keys() == expected.keys()
    for name, gradient in computed.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-5, rtol=1e-4, msg=name)


@pytest.mark.parametrize("architecture", [*tiny.ARCHITECTURES, *SCALED])
def test_loss_and_gradients_equal_those_of_the_single_rows(architecture, monkeypatch):
    monkeypatch.setattr(tiny, "ARCHITECTURES", {**tiny.ARCHITECTURES, **SCALED})
    rows, model = tokenized_rows(), tiny.model(architecture)
    assert_same_loss(model, rows, lambda: batch_loss(model, rows))


@pytest.mark.parametrize("architecture", tiny.ARCHITECTURES)
def test_packed_rows_do_not_see_each_other(architecture):
    rows, model = tokenized_rows(), tiny.model(architecture)
    assert_same_loss(model, rows, lambda: model(**collate_packed(rows))["loss"])


def test_a_model_that_mixes_packed_rows_is_found(monkeypatch):
    monkeypatch.setattr(tiny, "ARCHITECTURES", {**tiny.ARCHITECTURES, **SCALED})
    assert separates_packed_rows(tiny.model("llama"))
    assert not separates_packed_rows(tiny.model("falcon_h1"))


@pytest.mark.parametrize("collate_rows", [lambda rows: collate(rows, 0), collate_packed])
def test_a_row_counts_with_its_weight(collate_rows):
    model = tiny.model("smollm")
    rows = [
        TokenizedRow(row.input_ids, row.targets, weight)
        for row, weight in zip(tokenized_rows(), (0.25, 1.0, 2.0), strict=True)
    ]
    assert_same_loss(model, rows, lambda: model(**collate_rows(rows))["loss"])


def test_the_padding_token_does_not_matter():
    rows, model = tokenized_rows(), tiny.model("smollm")
    with loss_in_forward(model):
        losses = [batch_loss(model, rows, pad_token_id) for pad_token_id in (0, 77)]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-6, rtol=0)


def test_the_targets_are_the_last_answer_and_its_end_token():
    labels = collate(tokenized_rows(), 0)["labels"].tolist()
    targets = [[label for label in row if label != IGNORE_INDEX] for row in labels]
    answers = [f"{conversation[-1].content}<|im_end|>" for conversation in CONVERSATIONS]
    assert tiny.tokenizer().batch_decode(targets) == answers


def test_micro_batches_weigh_tokens_and_not_rows():
    rows, model = tokenized_rows(), tiny.model("smollm")
    count = sum(row.num_target_tokens for row in rows)
    assert_same_loss(model, rows, lambda: sum(batch_loss(model, [row], num_items_in_batch=count) for row in rows))


def test_the_model_is_as_before_after_the_block():
    model = tiny.model("smollm")
    before = {name: set(vars(module)) for name, module in model.named_modules()}
    with loss_in_forward(model):
        ids = torch.tensor([[5, 6, 7]])
        torch.testing.assert_close(model(input_ids=ids).logits, model.get_output_embeddings()(model.model(ids)[0]))
    assert {name: set(vars(module)) for name, module in model.named_modules()} == before
