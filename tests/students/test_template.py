"""Chat templates: training, generation and serving see the same prompt, and only the template writes control tokens."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message
from azdistill.job.catalog import built_in
from azdistill.students import chat_template
from azdistill.students.chat_template import pin_template, replace_template
from azdistill.students.template import end_of_turn_id, tokenize_prompts, tokenize_rows
from tests.students import tiny
from tests.students.families import FAMILIES, family_tokenizer
from tests.students.tiny import CHATML, GEMMA, PHI, REASONING, THINKING, turns

THOUGHTS = "<think>\nLet me see.\n</think>\n\n"
CONVERSATIONS = (
    turns("Is it  so? ", "Perhaps", "Why?\n", "\n Because é 漢字 \n\n", "\n\nAnd\n\n\nthen? ", "42", system="Be kind."),
    turns("Hi", f"{THOUGHTS}Yes", "a </think> b", "  x\n    y", "", f"{THOUGHTS}\n\nNo."),
)


@cache
def pinned(family, thinking=False):
    tokenizer = family_tokenizer(family)
    pin_template(tokenizer, thinking=thinking)
    return tokenizer


def pinned_tiny(template, eos="</s>", thinking=False, **tokens):
    tokenizer = tiny.tokenizer(template, eos, **tokens)
    pin_template(tokenizer, thinking=thinking)
    return tokenizer


def prefixes(conversation):
    """The conversation up to each assistant turn, without it."""
    return [conversation[:index] for index, turn in enumerate(conversation) if turn.role == "assistant"]


def answers(tokenizer, rows):
    """The target tokens of rows, as text."""
    return [tokenizer.decode(row.input_ids[start:end]) for row in rows for start, end in row.targets]


def test_every_student_of_the_catalog_belongs_to_a_family():
    assert [name for name in built_in().students if not name.startswith(tuple(FAMILIES))] == []


@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("family", FAMILIES)
def test_training_generation_and_serving_see_the_same_prompt(tmp_path, family, thinking):
    tokenizer = pinned(family, thinking)
    tokenizer.save_pretrained(tmp_path)
    served = AutoTokenizer.from_pretrained(tmp_path)
    for conversation in CONVERSATIONS:
        expected = []
        for prefix in prefixes(conversation):
            messages = [{"role": turn.role, "content": turn.content} for turn in prefix]
            expected.append(served.apply_chat_template(messages, add_generation_prompt=True)["input_ids"])
        assert tokenize_prompts(tokenizer, prefixes(conversation)) == expected
        rows = tokenize_rows(tokenizer, [conversation], "all")
        assert [row.input_ids[:start] for row in rows for start, _ in row.targets] == expected
        assert all(row.input_ids[end - 1] == end_of_turn_id(tokenizer) for row in rows for _, end in row.targets)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_answer_has_the_tokens_that_it_has_in_the_complete_text(family):
    tokenizer = pinned(family)
    (row,) = tokenize_rows(tokenizer, [turns("Is it so?", "Perhaps, perhaps not.")])
    ((start, end),) = row.targets
    assert (
        tokenizer(tokenizer.decode(row.input_ids), add_special_tokens=False)["input_ids"][start:end]
        == (row.input_ids[start:end])
    )
    assert tokenizer.decode(row.input_ids[start : end - 1]) == "Perhaps, perhaps not."


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_text_that_spells_a_control_token_stays_text(data):
    family = data.draw(st.sampled_from(list(FAMILIES)))
    tokenizer = pinned(family)
    control = sorted(token.content for token in tokenizer.added_tokens_decoder.values() if token.special)
    characters = (
        st.characters(max_codepoint=126, exclude_categories=["Cc"])
        if family == "unigram"
        else st.characters(codec="utf-8")
    )
    pieces = st.lists(st.one_of(st.text(characters), st.sampled_from([*control, "</s>", "<|im_end|>"]))).map("".join)
    question, answer, plain = data.draw(pieces), data.draw(pieces.filter(str.strip)), turns("a", "a", "a", "a")
    control_token_ids = {*tokenizer.convert_tokens_to_ids(control)} - {tokenizer.unk_token_id}

    def control_ids(conversation):
        # The last row has all turns. There are others where a turn and its line end are one token before an answer.
        last = tokenize_rows(tokenizer, [conversation], "all")[-1]
        return [token for token in last.input_ids if token in control_token_ids]

    assert control_ids(turns(question, answer, answer, answer)) == control_ids(plain)
    (row,) = tokenize_rows(tokenizer, [turns(question, answer)])
    ((start, end),) = row.targets
    assert tokenizer.decode(row.input_ids[start : end - 1]).strip() == answer.strip()


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
        (REASONING, "</s>", "<|user|>Hi<|assistant|><think>\n\n</think>\n\n", "Yes</s>"),
        (
            REASONING.replace("<think>\n", "<think> "),
            "</s>",
            "<|user|>Hi<|assistant|><think> \n\n</think>\n\n",
            "Yes</s>",
        ),
        (
            "{% for m in messages %}{{ m.role + ': ' + m.content + '\n' }}{% endfor %}",
            "</s>",
            "user: Hi\n",
            "assistant: Yes\n</s>",
        ),
    ],
)
def test_the_targets_are_the_answer_and_its_end_token(template, eos, prompt, target):
    tokenizer = pinned_tiny(template, eos)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", "Yes")])
    assert tokenizer.decode(row.input_ids) == prompt + target
    assert answers(tokenizer, [row]) == [target]


@pytest.mark.parametrize(
    ("family", "prompt_end", "target"),
    [
        ("qwen3", "assistant\n", f"{THOUGHTS}Yes<|im_end|>"),
        ("deepseek-r1", "<think>\n", "Let me see.\n</think>\n\nYes<|end_of_sentence|>"),
        ("smollm2", "assistant\n", f"{THOUGHTS}Yes<|im_end|>"),
    ],
)
def test_thoughts_are_learned_once_and_the_prompt_leaves_them_to_the_student(family, prompt_end, target):
    tokenizer = pinned(family, thinking=True)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", f"{THOUGHTS}Yes")])
    assert answers(tokenizer, [row]) == [target]
    assert tokenizer.decode(row.input_ids[: row.targets[0][0]]).endswith(prompt_end)


def test_a_pinned_template_can_be_pinned_in_the_other_way():
    tokenizer = family_tokenizer("qwen3")
    for thinking in (True, False, True):
        pin_template(tokenizer, thinking=thinking)
        assert tokenizer.chat_template == pinned("qwen3", thinking).chat_template


def test_targets_are_the_last_turn_or_all_turns_without_those_of_weight_zero():
    untrained = Message(role="assistant", content="untrained", weight=0)
    conversation = (*turns("a", "one", "b"), untrained, *turns("c", "three"))
    tokenizer = pinned_tiny(CHATML)
    (last,) = tokenize_rows(tokenizer, [conversation])
    (every,) = tokenize_rows(tokenizer, [conversation], "all", weights=[0.5])
    assert answers(tokenizer, [last]) == ["three<|im_end|>"]
    assert answers(tokenizer, [every]) == ["one<|im_end|>", "three<|im_end|>"]
    assert (every.input_ids, every.weight, last.weight) == (last.input_ids, 0.5, 1.0)
    assert tokenize_rows(tokenizer, [(*turns("a"), untrained)], "all") == []


def test_a_tokenizer_that_adds_bos_does_not_repeat_the_bos_of_the_template():
    tokenizer = pinned_tiny(GEMMA, add_bos_token=True)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", "Yes")])
    assert row.input_ids.count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    "template", [GEMMA, "{% for m in messages if m.role != 'system' %}{{ m.content + '</s>' }}{% endfor %}"]
)
def test_the_template_merges_a_system_turn_that_it_would_reject_or_drop_into_the_first_user_turn(template):
    tokenizer = pinned_tiny(template)
    with_system, merged = turns("Hi", "Yes", "So?", system="Be kind."), turns("Be kind.\n\nHi", "Yes", "So?")
    assert tokenize_prompts(tokenizer, [with_system]) == tokenize_prompts(tokenizer, [merged])
    messages = [{"role": turn.role, "content": turn.content} for turn in with_system]
    assert "Be kind.\n\nHi" in tokenizer.apply_chat_template(messages, tokenize=False)


@pytest.mark.parametrize(
    ("expression", "date"),
    [("strftime_now('%d %b %Y')", "26 Jul 2024"), ('strftime_now( "%B %d, %Y" )', "July 26, 2024")],
)
def test_dates_of_a_template_do_not_change(expression, date):
    tokenizer = pinned_tiny("{{ " + expression + " }}" + CHATML)
    assert tokenizer.decode(tokenize_prompts(tokenizer, [turns("Hi")])[0]).startswith(date)


def test_turns_of_chatml_end_with_eos_where_the_tokenizer_has_no_token_for_it():
    tokenizer = family_tokenizer("llama-3")
    replace_template(tokenizer, CHATML)
    pin_template(tokenizer)
    (row,) = tokenize_rows(tokenizer, [turns("Hi", "Yes")])
    assert answers(tokenizer, [row]) == ["Yes<|eot_id|>"]


@pytest.mark.parametrize(
    ("conversation", "message"),
    [
        ((Message(role="user", content="a"), Message(role="user", content="b")), "roles user, user .Conversation"),
        ((Message(role="system", content="a"), Message(role="assistant", content="b")), "roles system, assistant"),
        ((Message(role="system", content="a"),), "roles system"),
    ],
)
def test_a_rejected_conversation_is_an_error_that_names_its_roles(conversation, message):
    with pytest.raises(DataError, match=message):
        tokenize_prompts(pinned_tiny(GEMMA), [conversation])


@pytest.mark.parametrize(
    ("template", "code"),
    [
        ("{% for m in messages %}{{ m.content }}", "invalid_template"),
        ("{{ messages[7].content.strip() }}", "invalid_template"),
        ("{{ messages | sum }}", "invalid_template"),
        ("{{ raise_exception('no') }}", "invalid_template"),
        ("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}", "no_targets"),
    ],
)
def test_a_template_that_cannot_be_used_is_an_error(template, code):
    with pytest.raises(DataError) as error:
        pinned_tiny(template)
    assert [(problem.code, "student.chat_template" in problem.fix) for problem in error.value.problems] == [
        (code, True)
    ]


def test_a_template_that_loops_ends_after_a_time(monkeypatch):
    monkeypatch.setattr(chat_template, "RENDER_S", 0.2)
    with pytest.raises(DataError) as error:
        pinned_tiny("{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}")
    assert "takes longer than 0.2 seconds" in str(error.value)


def test_a_tokenizer_and_template_without_end_token_are_an_error():
    with pytest.raises(DataError) as error:
        tokenize_rows(tiny.tokenizer("{{ messages[-1].content }}", None), [turns("Hi", "Yes")])
    assert [problem.code for problem in error.value.problems] == ["no_end_token"]


def test_an_empty_list_of_conversations_gives_an_empty_list():
    assert tokenize_rows(tiny.tokenizer(), []) == tokenize_prompts(tiny.tokenizer(), []) == []
