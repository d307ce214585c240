"""Batched greedy generation: padding changes no answer, and answers end where the model's and template's marks are."""

import pytest
import torch

from azdistill.contracts.rows import Message
from azdistill.generation.chat import chat_reply
from azdistill.generation.generate import generate
from azdistill.students.loading import Student, greedy, load_student
from azdistill.students.template import encode_prompts
from tests.students import tiny
from tests.students.tiny import turns

ASKED = [
    turns(text) for text in ("Hi", "Is it so?", "x" * 40, "A longer question than the others, isn't it?", "é", "?")
]


def student(architecture, template=tiny.CHATML, eos="<|im_end|>"):
    model, tokenizer = tiny.model(architecture), tiny.tokenizer(template, eos)
    model.generation_config = greedy(model, tokenizer)
    return Student(model, tokenizer)


QUICK = ("llama", "gemma3", "phi3")
"""Of the others each takes as long and is much like one of these."""


@pytest.mark.parametrize(
    "architecture", [pytest.param(one, marks=() if one in QUICK else pytest.mark.slow) for one in tiny.ARCHITECTURES]
)
def test_a_batch_answers_as_one_by_one(architecture):
    made = student(architecture)
    prompts = encode_prompts(made.tokenizer, ASKED)
    alone = [generate(made, [prompt], 24, 1)[0] for prompt in prompts]
    for size in (3, 6):
        assert generate(made, prompts, 24, size) == alone
    assert len({tuple(answer.ids) for answer in alone}) > 1


def test_an_answer_is_the_likeliest_token_each_time():
    made = student("llama")
    (prompt,) = encode_prompts(made.tokenizer, [ASKED[1]])
    (answer,) = generate(made, [prompt], 8, 1)
    ids = list(prompt)
    for token in answer.ids:
        with torch.no_grad():
            assert made.model(torch.tensor([ids])).logits[0, -1].argmax() == token
        ids.append(token)


class Says(torch.nn.Module):
    """An output layer that says given ids in turn, whatever it hears."""

    def __init__(self, size, ids):
        super().__init__()
        self.size, self.ids, self.said = size, ids, 0

    def forward(self, hidden):
        logits = torch.zeros(*hidden.shape[:2], self.size)
        logits[:, -1, self.ids[min(self.said, len(self.ids) - 1)]] = 1.0
        self.said += 1
        return logits


@pytest.mark.parametrize(
    ("template", "eos", "mark"),
    [
        (tiny.CHATML, "<|im_end|>", "<|im_end|>"),
        (tiny.CHATML, "<|endoftext|>", "<|im_end|>"),  # the template's own end of turn
        (tiny.CHATML, "<|endoftext|>", "<|endoftext|>"),
        (tiny.PHI, "<|endoftext|>", "<|end|>"),
        (tiny.GEMMA, "</s>", "<end_of_turn>"),
        (tiny.PHI, "<|endoftext|>", "</s>"),  # only generation_config.json knows it
    ],
)
def test_answers_end_at_every_mark(tmp_path, template, eos, mark):
    folder = tiny.write(tmp_path)
    tiny.tokenizer(template, eos).save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2], "do_sample": true}')
    made = load_student(folder)
    words = [*made.tokenizer("No", add_special_tokens=False)["input_ids"], tiny.SPECIAL.index(mark), 50]
    made.model.lm_head = Says(268, words)
    (answer,) = generate(made, encode_prompts(made.tokenizer, [ASKED[0]]), 10, 1)
    assert (made.tokenizer.decode(answer.ids), answer.truncated) == ("No", False)


def test_an_answer_that_comes_to_no_end_is_truncated():
    made = student("smollm")
    made.model.lm_head = Says(268, [50])
    (answer,) = generate(made, encode_prompts(made.tokenizer, [ASKED[0]]), 5, 1)
    assert (answer.ids, answer.truncated) == ([50] * 5, True)


def test_batches_are_told_and_no_prompts_are_no_answers():
    made, told = student("smollm"), []
    generate(made, encode_prompts(made.tokenizer, ASKED), 2, 4, told.append)
    assert told == [4, 2]
    assert generate(made, [], 2, 4) == []


def test_a_chat_reply_is_the_text_without_marks():
    made = student("smollm", tiny.PHI, "<|endoftext|>")
    ids = made.tokenizer("Grüß dich", add_special_tokens=False)["input_ids"]
    made.model.lm_head = Says(268, [*ids, tiny.SPECIAL.index("<|end|>")])
    asked = (Message(role="system", content="Be kind."), *turns("Hi", "Hello", "And?"))
    assert chat_reply(made, asked, 32) == "Grüß dich"
