"""The words of a student's template: what is learned, where an answer ends, and what templates do to that."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message
from azdistill.students.template import encode_prompts, encode_rows, end_mark
from tests.students import tiny
from tests.students.tiny import CHATML, GEMMA, PHI, REASONING, THINKING, turns


def told(tokenizer, row):
    """The prompt and the learned part of a row, as text."""
    at = len(row.ids) - row.learned
    return tokenizer.decode(row.ids[:at]), tokenizer.decode(row.ids[at:])


@pytest.mark.parametrize(
    ("template", "eos", "prompt", "learned"),
    [
        (CHATML, "<|im_end|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "Yes<|im_end|>"),
        (CHATML, "<|endoftext|>", "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n", "Yes<|im_end|>"),
        (PHI, "<|endoftext|>", "<|user|>Hi<|end|><|assistant|>", "Yes<|end|>"),
        (GEMMA, "</s>", "<s><start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>assistant\n", "Yes<end_of_turn>"),
        (
            THINKING,
            "<|im_end|>",
            "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
            "Yes<|im_end|>",
        ),
        (REASONING, "</s>", "<|user|>Hi<|assistant|><think>\n", "Yes</s>"),
        ("{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}", "</s>", "user: Hi\n", None),
    ],
)
def test_the_answer_and_the_mark_that_ends_it_are_learned_and_no_more(template, eos, prompt, learned):
    tokenizer = tiny.tokenizer(template, eos)
    (row,) = encode_rows(tokenizer, [turns("Hi", "Yes")])
    found = told(tokenizer, row)
    assert found == (prompt, learned or "assistant: Yes\n</s>")
    assert row.ids[-1] == end_mark(tokenizer)


@pytest.mark.parametrize("template", [CHATML, PHI, GEMMA, THINKING, REASONING])
def test_training_sees_the_very_prompt_that_generation_sees(template):
    tokenizer = tiny.tokenizer(template, "</s>")
    conversation = turns("Is it  so? ", "<think>hm</think>Perhaps", "Why?", "Because é 漢字 ")
    (row,), (prompt,) = encode_rows(tokenizer, [conversation]), encode_prompts(tokenizer, [conversation[:-1]])
    assert row.ids[: len(row.ids) - row.learned] == prompt


def test_a_tokenizer_that_adds_its_own_bos_adds_none_to_the_template():
    tokenizer = tiny.tokenizer(GEMMA, "</s>", add_bos_token=True)
    (row,) = encode_rows(tokenizer, [turns("Hi", "Yes")])
    assert row.ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    "template", [GEMMA, "{% for m in messages if m.role != 'system' %}{{ m.content + '</s>' }}{% endfor %}"]
)
def test_a_system_turn_that_the_template_refuses_or_drops_opens_the_first_user_turn(template):
    tokenizer = tiny.tokenizer(template, "</s>")
    with_system, folded = turns("Hi", "Yes", system="Be kind."), turns("Be kind.\n\nHi", "Yes")
    assert encode_rows(tokenizer, [with_system]) == encode_rows(tokenizer, [folded])
    assert encode_prompts(tokenizer, [with_system[:-1]]) == encode_prompts(tokenizer, [folded[:-1]])


@pytest.mark.parametrize(
    ("conversation", "said"),
    [
        ((Message(role="user", content="a"), Message(role="user", content="b")), "roles user, user .Conversation"),
        ((Message(role="system", content="a"), Message(role="assistant", content="b")), "no user turn"),
        ((Message(role="system", content="a"),), "no user turn"),
    ],
)
def test_a_refused_conversation_names_its_roles(conversation, said):
    with pytest.raises(DataError, match=said):
        encode_prompts(tiny.tokenizer(GEMMA), [conversation])


def test_no_end_at_all_is_refused():
    with pytest.raises(DataError, match="how an answer ends; set eos_token"):
        encode_rows(tiny.tokenizer("{{ messages[-1].content }}", None), [turns("Hi", "Yes")])


def test_no_conversations_are_no_rows():
    assert encode_rows(tiny.tokenizer(), []) == encode_prompts(tiny.tokenizer(), []) == []
