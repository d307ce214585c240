"""The likelihood of reference answers is that of the training loss, for the same token ids."""

import pytest
import torch

from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Message, Prompt, TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.evaluation.answers import AnswerText
from azdistill.generation import likelihood
from azdistill.generation.likelihood import negative_log_likelihoods
from azdistill.generation.predict import predict
from azdistill.metrics.metric import ModelAnswer
from azdistill.metrics.perplexity import perplexity
from azdistill.students.template import TokenizedRow
from azdistill.tasks import conversation
from azdistill.training.rows import tokenize_training_rows
from tests.generation.test_generate import OTHERS, student, student_that_ends
from tests.students.tiny import turns

ANSWERS = ("Yes.", "No, it is not so, and it never was.", "", "é" * 30)


def prompt(number, gold):
    return Prompt(
        id=f"{number:016x}", split="test", messages=turns(f"Is it {number}?"), gold=gold, source=f"t:{number}"
    )


@pytest.mark.parametrize("architecture", ["llama", "gemma3", *OTHERS])
def test_rows_have_the_loss_that_transformers_computes(architecture, monkeypatch):
    monkeypatch.setattr(likelihood, "BATCH_TOKENS", 60)
    model = student_that_ends(architecture)
    rows = [TokenizedRow([20 + number] * (5 + 7 * number), ((3 + number, 5 + 6 * number),)) for number in range(5)]
    for row, value in zip(rows, negative_log_likelihoods(model, rows), strict=True):
        ids, ((start, end),) = torch.tensor([row.input_ids]), row.targets
        labels = torch.full_like(ids, -100)
        labels[0, start:end] = ids[0, start:end]
        with torch.no_grad():
            mean = model.model(ids, labels=labels).loss.item()
        assert value == pytest.approx(mean * (end - start), rel=1e-4)


def test_a_row_beyond_the_positions_of_the_model_has_none():
    model = student_that_ends("llama")
    assert negative_log_likelihoods(model, [TokenizedRow([20] * 513, ((9, 513),))]) == [None]


def test_predictions_have_the_loss_of_the_rows_that_training_makes():
    model = student("llama")
    prompts = [prompt(number, answer) for number, answer in enumerate(ANSWERS)] + [prompt(9, None)]
    trained = [
        TrainRow(id=row.id, messages=(*row.messages, Message(role="assistant", content=row.gold)))
        for row in prompts[:4]
    ]
    expected = negative_log_likelihoods(model, tokenize_training_rows(trained, model.tokenizer, TrainConfig()))
    predictions, _ = predict(model, prompts, PredictConfig(max_new_tokens=2, latency_rows=0))
    assert [row.reference_nll for row in predictions[:4]] == [pytest.approx(value, abs=1e-3) for value in expected]
    # Bytes of the answer, and the token that ends it.
    assert [row.reference_tokens for row in predictions] == [5, 36, 1, 61, None]
    assert predictions[4].reference_nll is None
    assert "reference_nll" not in predictions[4].model_dump_json()


def test_perplexity_is_that_of_all_tokens():
    def answer(nats, tokens):
        text = AnswerText("", False, nats, tokens)
        likelihood_of = {"reference_nll": text.reference_nll, "reference_tokens": text.reference_tokens}
        return ModelAnswer("", False, None, (), (), None, conversation, **likelihood_of)

    assert perplexity([answer(2.0, 1), answer(1.0, 2), answer(None, None)]).value == pytest.approx(2.7183, abs=1e-4)
    assert perplexity([answer(None, None)]) is None
    assert perplexity([answer(1e9, 1)]).value > 1e300
