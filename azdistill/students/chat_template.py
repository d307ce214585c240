"""Chat templates whose default rendering, without options, is the one that a student is trained with.

A student is served by programs that render its saved template: vLLM, llama.cpp, transformers. So everything that
training decides about the rendering (thinking, dates, system turns) is written into the template itself.
"""

import re
from collections.abc import Sequence
from datetime import date
from typing import Any

from jinja2 import TemplateError

from azdistill.contracts.errors import DataError
from azdistill.contracts.reasoning import END_THINK, THINK
from azdistill.contracts.rows import Message
from azdistill.contracts.time_limit import TimeLimitExceeded, time_limit

# The end of a turn in ChatML. Source: https://github.com/openai/openai-python/blob/v0.28.1/chatml.md
CHATML_END = "<|im_end|>"

# The date in templates that write today's date, which changes the prompt every day: the default in those of Llama 3.
PINNED_DATE = date(2024, 7, 26)

# Separates the lines that are added to a template from the original.
MARKER = "{# azdistill #}"

# A thinking phase without thoughts, as Qwen3 writes it.
EMPTY_THINKING = f"{THINK}\n\n{END_THINK}\n\n"

USER, ASSISTANT = Message(role="user", content="Q"), Message(role="assistant", content="ANSWER")
SYSTEM = Message(role="system", content="SYSTEM")

# Merges a system turn into the first user turn.
MERGE_SYSTEM_TURN = (
    "{% if messages[0]['role'] == 'system' and messages | length > 1 and messages[1]['role'] == 'user' %}"
    "{% set messages = [{'role': 'user', 'content': messages[0]['content'] + '\\n\\n' + messages[1]['content']}]"
    " + messages[2:] %}{% endif %}"
)

# Code of the problem of a conversation that a template rejects.
REJECTED_BY_TEMPLATE = "template_rejects_roles"

CHOOSE_TEMPLATE = "set student.chat_template to chatml or to the file of a template"

# Processor time to render a conversation, which takes some milliseconds: a template that loops ends after it.
RENDER_S = 10.0

_STRFTIME_NOW = re.compile(r"""strftime_now\(\s*(['"])(.*?)\1\s*\)""")


def render(tokenizer: Any, turns: Sequence[Message], *, add_generation_prompt: bool) -> str:
    """Apply a tokenizer's chat template: training and generation do it here only.

    Raises DataError when the template rejects the conversation.
    """
    try:
        return _render(tokenizer, turns, add_generation_prompt)
    except Exception as error:  # the expressions of a template raise any type
        roles = ", ".join(turn.role for turn in turns)
        raise DataError(
            f"its chat template rejects the roles {roles} ({_reason(error)})",
            subject=subject_of(tokenizer),
            code=REJECTED_BY_TEMPLATE,
            fix="change the rows, or set student.chat_template",
        ) from None


def pin_template(tokenizer: Any, *, thinking: bool = False) -> None:
    """Change a tokenizer's chat template so that its default rendering is the one to train with.

    - Without `thinking`, a template with a thinking phase writes an empty one into the prompt, or none; with it, the
      model's answer begins with its thoughts.
    - A date is always PINNED_DATE.
    - A system turn that the template rejects or drops is merged into the first user turn.

    A template that was changed before is changed anew from its original. Raises DataError for one that can't be used.
    """
    original = original_template(tokenizer)
    dated = _STRFTIME_NOW.sub(lambda call: repr(PINNED_DATE.strftime(call[2])), original)
    tokenizer.chat_template = dated
    _check(tokenizer)
    header = "" if _renders_system_turn(tokenizer) else MERGE_SYSTEM_TURN
    if "enable_thinking" in dated:
        value = str(thinking).lower()
        header += f"{{% if enable_thinking is not defined %}}{{% set enable_thinking = {value} %}}{{% endif %}}"
    tokenizer.chat_template = pinned = header + MARKER + dated + MARKER
    if not thinking and (opening := open_thinking(render(tokenizer, [USER], add_generation_prompt=True))):
        closing = EMPTY_THINKING.removeprefix(opening).removeprefix(THINK)
        footer = f"{{% if add_generation_prompt %}}{{{{ {closing!r} }}}}{{% endif %}}"
        tokenizer.chat_template = pinned + footer


def is_pinned(tokenizer: Any) -> bool:
    return MARKER in template_of(tokenizer)


def template_of(tokenizer: Any) -> str:
    """The template of conversations without tools; empty without one. Some tokenizers have several, by name."""
    templates = tokenizer.chat_template
    return (templates.get("default") if isinstance(templates, dict) else templates) or ""


def replace_template(tokenizer: Any, template: str) -> None:
    """Use another template. Turns of ChatML end with the eos token where the tokenizer doesn't have ChatML's own."""
    if CHATML_END in template and CHATML_END not in tokenizer.get_vocab() and tokenizer.eos_token:
        template = template.replace(CHATML_END, tokenizer.eos_token)
    tokenizer.chat_template = template


def original_template(tokenizer: Any) -> str:
    parts = template_of(tokenizer).split(MARKER)
    return parts[1] if len(parts) > 1 else parts[0]


def open_thinking(prompt: str) -> str:
    """The end of a prompt from the `<think>` on that it doesn't close; empty where there is none."""
    _, tag, after = prompt.rpartition(THINK)
    return tag + after if tag and not after.strip() else ""


def subject_of(tokenizer: Any) -> str:
    folder = tokenizer.name_or_path
    return f"student {folder!r}" if folder else "student"


def _check(tokenizer: Any) -> None:
    """Raise DataError for a template that fails on every conversation, or writes no answers."""
    try:
        text = _render(tokenizer, [USER, ASSISTANT], add_generation_prompt=False)
    except Exception as error:
        message = f"its chat template can't render a question and its answer ({_reason(error)})"
        raise DataError(
            message, subject=subject_of(tokenizer), code="invalid_template", fix=f"correct it, or {CHOOSE_TEMPLATE}"
        ) from None
    if ASSISTANT.content not in text:
        message = "its chat template doesn't write the assistant's turns, so there is nothing to train on"
        raise DataError(message, subject=subject_of(tokenizer), code="no_targets", fix=CHOOSE_TEMPLATE)


def _renders_system_turn(tokenizer: Any) -> bool:
    try:
        return SYSTEM.content in _render(tokenizer, [SYSTEM, USER], add_generation_prompt=True)
    except Exception:
        return False


def _render(tokenizer: Any, turns: Sequence[Message], add_generation_prompt: bool) -> str:
    messages = [{"role": turn.role, "content": turn.content} for turn in turns]
    with time_limit(RENDER_S):
        text: str = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)
    return text


def _reason(error: Exception) -> str:
    is_sentence = isinstance(error, (TemplateError, TimeLimitExceeded))
    return str(error) if is_sentence else f"{type(error).__name__}: {error}"
