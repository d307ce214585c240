"""Sampling in a batch that rows leave and join. tests/generation/test_generate.py has the greedy answers."""

import numpy as np
import torch

from azdistill.students.decode import GenerationRequest, decode
from azdistill.students.loading import Student, greedy_generation
from tests.students import tiny

PROMPTS = [[20 + (7 * row + 3 * place) % 200 for place in range(5 + 11 * row % 56)] for row in range(18)]


def student():
    """Every 20th token ends an answer, so that answers have different lengths."""
    model, tokenizer = tiny.model("llama", tie_word_embeddings=False), tiny.tokenizer()
    model.generation_config = greedy_generation(model, tokenizer)
    model.generation_config.eos_token_id = list(range(4, 268, 20))
    return Student(model, tokenizer)


def request(row, prompt, temperature=1.0):
    return GenerationRequest(prompt, 30, np.random.default_rng(row).random(30).tolist(), temperature)


def test_a_sampled_answer_does_not_depend_on_the_rows_of_its_batch():
    model = student()
    requests = [request(row, prompt) for row, prompt in enumerate(PROMPTS)]
    together = sorted(decode(model, requests, batch_size=5, join_at=2), key=lambda answer: answer.index)
    alone = [answer for one in requests for answer in decode(model, [one], batch_size=1)]
    assert [answer.token_ids for answer in together] == [answer.token_ids for answer in alone]
    assert [answer.end for answer in together] == [answer.end for answer in alone]
    assert len({len(answer.token_ids) for answer in alone}) > 4
    assert all(answer.truncated == (answer.end is None) for answer in alone)


def test_tokens_are_sampled_from_the_distribution_at_the_temperature():
    model, prompt, count = student(), PROMPTS[3], 4000
    draws = [(number + 0.5) / count for number in range(count)]
    requests = [GenerationRequest(prompt, 1, [draw], temperature=0.5) for draw in draws]
    answers = list(decode(model, requests, batch_size=count))
    counts = torch.zeros(268)
    for answer in answers:
        counts[answer.token_ids[0] if answer.end is None else answer.end] += 1
    logits = model.model(torch.tensor([prompt])).logits[0, -1]
    torch.testing.assert_close(counts / count, (logits / 0.5).softmax(-1).detach(), atol=1.01 / count, rtol=0)
