"""Greedy generation in batches: its answers are those of transformers, and end at any of the end tokens."""

import re

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from azdistill.contracts.progress import Progress
from azdistill.contracts.rows import Message
from azdistill.generation.generate import GeneratedAnswer, chat_reply, generate, generate_each
from azdistill.students.decode import can_drop_rows
from azdistill.students.loading import Student, greedy_generation, load_student
from azdistill.students.template import tokenize_prompts
from tests.students import tiny
from tests.students.tiny import turns

CONVERSATIONS = [
    turns(text) for text in ("Hi", "Is it so?", "x" * 40, "A longer question than the others, isn't it?", "é", "?")
]


# Prompts of 5 to 60 tokens, so that short and long ones join and leave in every order.
PROMPTS = [[20 + (7 * row + 3 * place) % 200 for place in range(5 + 11 * row % 56)] for row in range(18)]

LONGROPE = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0] * 4, "rope_theta": 10_000.0}
OTHERS = {
    "bloom": {"model_type": "bloom", "hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "gpt2": {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2},
    "lfm2": {**tiny.SIZES, "model_type": "lfm2", "layer_types": ["conv", "full_attention"], "block_multiple_of": 8},
    "longrope": {
        **tiny.SIZES,
        "model_type": "phi3",
        "original_max_position_embeddings": 48,
        "rope_parameters": {**LONGROPE, "original_max_position_embeddings": 48},
    },
}


def student(architecture, template=tiny.CHATML, eos="<|im_end|>"):
    model, tokenizer = tiny.model(architecture), tiny.tokenizer(template, eos)
    model.generation_config = greedy_generation(model, tokenizer)
    return Student(model, tokenizer)


def student_that_ends(architecture):
    """Every 20th token ends an answer, so that answers have different lengths."""
    if architecture in OTHERS:
        ids = {"vocab_size": 268, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 4}
        tiny.set_seed(0)
        model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**{**ids, **OTHERS[architecture]})).eval()
    else:
        model = tiny.model(architecture, tie_word_embeddings=False)
    tokenizer = tiny.tokenizer()
    model.generation_config = greedy_generation(model, tokenizer)
    model.generation_config.eos_token_id = list(range(4, 268, 20))
    return Student(model, tokenizer)


def by_transformers(model, prompt, max_new_tokens):
    """The answer of the model's own `generate` to a single prompt."""
    mask = torch.ones(1, len(prompt), dtype=torch.long)
    output = model.generate(torch.tensor([prompt]), attention_mask=mask, max_new_tokens=max_new_tokens)
    ids, ends = output[0, len(prompt) :].tolist(), model.generation_config.eos_token_id
    return GeneratedAnswer([token for token in ids if token not in ends], truncated=ids[-1] not in ends)


# The other architectures take as long and are similar to one of these.
QUICK = ("llama", "gemma3", "lfm2")


@pytest.mark.parametrize(
    "architecture",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in (*tiny.ARCHITECTURES, *OTHERS)],
)
def test_rows_that_leave_and_join_get_the_answers_of_transformers(architecture):
    """Grouped queries, sliding windows, positions of three kinds, a cache that rows can't leave, and one that the model
    computes anew at position 48."""
    model = student_that_ends(architecture)
    expected = [by_transformers(model.model, prompt, 20) for prompt in PROMPTS]
    assert len({len(answer.token_ids) for answer in expected}) > 4
    assert any(answer.truncated for answer in expected)
    assert generate(model, PROMPTS, 20, batch_size=5) == expected


def test_rows_leave_only_a_cache_of_attention():
    architectures = ("llama", "gemma2", "phi3", *OTHERS)
    assert [name for name in architectures if not can_drop_rows(student_that_ends(name).model)] == ["lfm2"]


def test_no_token_is_computed_after_the_end_of_an_answer():
    model, rows = student_that_ends("llama"), []
    model.model.register_forward_pre_hook(
        lambda _, __, inputs: rows.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    answers = generate(model, PROMPTS, 24, batch_size=5)
    steps = [size for size, columns in rows if columns == 1]
    # The first token is that of the prompt. The end token counts, too.
    assert sum(steps) == sum(len(answer.token_ids) - answer.truncated for answer in answers)
    assert max(steps) == 5


def test_answers_come_when_they_are_finished_and_the_longest_rows_start_first():
    model = student_that_ends("llama")
    answers = list(generate_each(model, PROMPTS, 24, batch_size=18))
    lengths = [len(answer.token_ids) for _, answer in answers]
    assert lengths == sorted(lengths)
    expected = [99 if number == 3 else 0 for number in range(len(PROMPTS))]
    first, _ = next(generate_each(model, PROMPTS, 1, batch_size=1, expected_tokens=expected))
    assert len(PROMPTS[first]) == max(map(len, PROMPTS))  # at most max_new_tokens are expected
    first, _ = next(generate_each(model, PROMPTS, 99, batch_size=1, expected_tokens=expected))
    assert first == 3


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


def test_progress_has_lines_with_the_time_left_before_the_first_answer_is_finished(caplog):
    caplog.set_level("INFO", "azdistill.progress")
    progress = Progress("predict", 4, every=0)
    answers = generate_each(student("llama"), PROMPTS[:4], 8, batch_size=2, progress=progress)
    next(answers)
    assert re.fullmatch(r"predict: 0/4 \(\d+\.\d/s, \d+ s left\)", caplog.messages[0])
    seconds = [float(re.search(r"(\d+) s left", message)[1]) for message in caplog.messages]
    assert len(seconds) > 5
    assert max(seconds) < 60


def test_the_work_on_unfinished_items_counts_for_the_time_left():
    progress = Progress("predict", 10)
    progress.started = 100.0
    assert progress.line(100.0) == "predict: 0/10 (0.0/s)"
    assert progress.line(106.0, unfinished=1.5) == "predict: 0/10 (0.2/s, 34 s left)"
    progress.advance(4)
    assert progress.line(112.0, unfinished=2.0) == "predict: 4/10 (0.5/s, 8 s left)"
