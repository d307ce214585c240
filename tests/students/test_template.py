"""Chat templates: the target tokens of an answer, where it ends, and templates with special behaviour."""

import pytest

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message
from azdistill.students.template import end_of_turn_id, tokenize_prompts, tokenize_rows
from tests.students import tiny
from tests.students.tiny import CHATML, GEMMA, PHI, REASONING, THINKING, turns


def prompt_and_target(tokenizer, row):
    """The prompt and the target tokens of a row, as text."""
    start = len(row.input_ids) - row.num_target_tokens
    return tokenizer.decode(row.input_ids[:start]), tokenizer.decode(row.input_ids[start:])


@pytest.mark.parametrize(
    ("template", "eos", "prompt", "target"),
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
        (
            "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}",
            "</s>",
            "user: Hi\n",
            "assistant: Yes\n</s>",
        ),
    ],
)
def test_the_targets_are_the_answer_and_its_end_token(template, eos, prompt, target):
    tokenizer = tiny.tokenizer(template, eos)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", "Yes")])
    assert prompt_and_target(tokenizer, row) == (prompt, target)
    assert row.input_ids[-1] == end_of_turn_id(tokenizer)


@pytest.mark.parametrize("template", [CHATML, PHI, GEMMA, THINKING, REASONING])
def test_training_and_generation_see_the_same_prompt(template):
    tokenizer = tiny.tokenizer(template, "</s>")
    conversation = turns("Is it  so? ", "<think>hm</think>Perhaps", "Why?", "Because é 漢字 ")
    (row,), (prompt,) = tokenize_rows(tokenizer, [conversation]), tokenize_prompts(tokenizer, [conversation[:-1]])
    assert row.input_ids[: len(row.input_ids) - row.num_target_tokens] == prompt


def test_a_tokenizer_that_adds_bos_does_not_repeat_the_bos_of_the_template():
    tokenizer = tiny.tokenizer(GEMMA, "</s>", add_bos_token=True)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", "Yes")])
    assert row.input_ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    "template", [GEMMA, "{% for m in messages if m.role != 'system' %}{{ m.content + '</s>' }}{% endfor %}"]
)
def test_a_system_turn_that_the_template_rejects_or_drops_is_merged_into_the_first_user_turn(template):
    tokenizer = tiny.tokenizer(template, "</s>")
    with_system, merged = turns("Hi", "Yes", system="Be kind."), turns("Be kind.\n\nHi", "Yes")
    assert tokenize_rows(tokenizer, [with_system]) == tokenize_rows(tokenizer, [merged])
    assert tokenize_prompts(tokenizer, [with_system[:-1]]) == tokenize_prompts(tokenizer, [merged[:-1]])


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ((Message(role="user", content="a"), Message(role="user", content="b")), "roles user, user .Conversation"),
        ((Message(role="system", content="a"), Message(role="assistant", content="b")), "followed by a user turn"),
        ((Message(role="system", content="a"),), "followed by a user turn"),
    ],
)
def test_a_rejected_conversation_is_an_error_that_names_its_roles(conversation, message):
    with pytest.raises(DataError, match=message):
        tokenize_prompts(tiny.tokenizer(GEMMA), [conversation])


def test_a_tokenizer_and_template_without_end_token_are_an_error():
    with pytest.raises(DataError) as error:
        tokenize_rows(tiny.tokenizer("{{ messages[-1].content }}", None), [turns("Hi", "Yes")])
    assert [problem.code for problem in error.value.problems] == ["no_end_token"]


def test_an_empty_list_of_conversations_gives_an_empty_list():
    assert tokenize_rows(tiny.tokenizer(), []) == tokenize_prompts(tiny.tokenizer(), []) == []
