"""Batched greedy generation: padding changes no answer, and an answer ends at any of the end tokens."""

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from azdistill.contracts.rows import Message
from azdistill.generation.generate import chat_reply, generate
from azdistill.students.loading import Student, greedy_generation, load_student
from azdistill.students.template import tokenize_prompts
from tests.students import tiny
from tests.students.tiny import turns

CONVERSATIONS = [
    turns(text) for text in ("Hi", "Is it so?", "x" * 40, "A longer question than the others, isn't it?", "é", "?")
]


def student(architecture, template=tiny.CHATML, eos="<|im_end|>"):
    model, tokenizer = tiny.model(architecture), tiny.tokenizer(template, eos)
    model.generation_config = greedy_generation(model, tokenizer)
    return Student(model, tokenizer)


# The other architectures take as long and are similar to one of these.
QUICK = ("llama", "gemma3", "phi3")


@pytest.mark.parametrize(
    "architecture", [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in tiny.ARCHITECTURES]
)
def test_batches_give_the_answers_of_single_prompts(architecture):
    model = student(architecture)
    prompts = tokenize_prompts(model.tokenizer, CONVERSATIONS)
    single = [generate(model, [prompt], 24, batch_size=1)[0] for prompt in prompts]
    for batch_size in (3, 6):
        assert generate(model, prompts, 24, batch_size) == single
    assert len({tuple(answer.token_ids) for answer in single}) > 1


def test_each_token_is_the_most_likely_one():
    model = student("llama")
    (prompt,) = tokenize_prompts(model.tokenizer, [CONVERSATIONS[1]])
    (answer,) = generate(model, [prompt], 8, batch_size=1)
    ids = list(prompt)
    for token in answer.token_ids:
        with torch.no_grad():
            assert model.model(torch.tensor([ids])).logits[0, -1].argmax() == token
        ids.append(token)


class FixedOutput(torch.nn.Module):
    """An output layer that predicts the given ids one after the other, then the last one forever."""

    def __init__(self, vocabulary_size, ids):
        super().__init__()
        self.vocabulary_size, self.ids, self.calls = vocabulary_size, ids, 0

    def forward(self, hidden):
        logits = torch.zeros(*hidden.shape[:2], self.vocabulary_size)
        logits[:, -1, self.ids[min(self.calls, len(self.ids) - 1)]] = 1.0
        self.calls += 1
        return logits


@pytest.mark.parametrize(
    ("template", "eos", "end"),
    [
        (tiny.CHATML, "<|im_end|>", "<|im_end|>"),
        (tiny.CHATML, "<|endoftext|>", "<|im_end|>"),  # the end of turn of the template
        (tiny.CHATML, "<|endoftext|>", "<|endoftext|>"),
        (tiny.PHI, "<|endoftext|>", "<|end|>"),
        (tiny.GEMMA, "</s>", "<end_of_turn>"),
        (tiny.PHI, "<|endoftext|>", "</s>"),  # only in generation_config.json
    ],
)
def test_an_answer_ends_at_any_end_token(tmp_path, template, eos, end):
    folder = tiny.write(tmp_path)
    tiny.tokenizer(template, eos).save_pretrained(folder)
    (folder / "generation_config.json").write_text('{"eos_token_id": [2], "do_sample": true}')
    model = load_student(folder)
    output = [*model.tokenizer("No", add_special_tokens=False)["input_ids"], tiny.SPECIAL.index(end), 50]
    model.model.lm_head = FixedOutput(268, output)
    (answer,) = generate(model, tokenize_prompts(model.tokenizer, [CONVERSATIONS[0]]), 10, batch_size=1)
    assert (model.tokenizer.decode(answer.token_ids), answer.truncated) == ("No", False)


def test_an_answer_without_end_token_is_truncated():
    model = student("smollm")
    model.model.lm_head = FixedOutput(268, [50])
    (answer,) = generate(model, tokenize_prompts(model.tokenizer, [CONVERSATIONS[0]]), 5, batch_size=1)
    assert (answer.token_ids, answer.truncated) == ([50] * 5, True)


def test_no_prompts_give_no_answers():
    assert generate(student("smollm"), [], 2, 4) == []


def test_a_chat_reply_is_text_without_special_tokens():
    model = student("smollm", tiny.PHI, "<|endoftext|>")
    ids = model.tokenizer("Grüß dich", add_special_tokens=False)["input_ids"]
    model.model.lm_head = FixedOutput(268, [*ids, tiny.SPECIAL.index("<|end|>")])
    conversation = (Message(role="system", content="Be kind."), *turns("Hi", "Hello", "And?"))
    assert chat_reply(model, conversation, 32) == "Grüß dich"


def test_an_answer_ends_at_the_last_position_of_the_model():
    size = {"n_positions": 64, "n_embd": 32, "n_layer": 1, "n_head": 4, "vocab_size": len(tiny.SPECIAL) + 256}
    model, tokenizer = AutoModelForCausalLM.from_config(AutoConfig.for_model("gpt2", **size)).eval(), tiny.tokenizer()
    model.generation_config = greedy_generation(model, tokenizer)
    texts = ["x" * length for length in (100, 1, 24)]  # prompts have 32 tokens more
    prompts = tokenize_prompts(tokenizer, [turns(text) for text in texts])
    answers = generate(Student(model, tokenizer), prompts, 50, batch_size=3)
    assert [answer.truncated for answer in answers] == [True, True, True]
    assert [len(answer.token_ids) for answer in answers] == [0, *(64 - len(prompt) for prompt in prompts[1:])]
