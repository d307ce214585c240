"""Render a student's chat template as transformers does, to find what train would refuse after the teacher is paid.

transformers itself takes seconds to import. Source: `_cached_compile_jinja_template` in
transformers/utils/chat_template_utils.py.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

Turn = Mapping[str, str]

# Names of special tokens in templates. One that the tokenizer does not have is empty here.
TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

SYSTEM = {"role": "system", "content": "SYSTEM"}
QUESTION = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "ANSWER"}

# transformers marks the assistant's turns with a tag of its own.
_GENERATION = re.compile(r"{%-?\s*(end)?generation\s*-?%}")


class StudentTemplate:
    """A chat template with the special tokens of its tokenizer. Raises TemplateSyntaxError for invalid Jinja."""

    def __init__(self, text: str, tokens: Mapping[str, str]) -> None:
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _raise, "strftime_now": date(2024, 7, 26).strftime}
        self._template = environment.from_string(_GENERATION.sub("", text))
        self._tokens = {**dict.fromkeys(TOKENS, ""), **tokens}

    def error(self) -> str:
        """The reason why it renders no question with its answer; empty when it does."""
        try:
            text = self._render([QUESTION, ANSWER], add_generation_prompt=False)
        except Exception as error:  # the expressions of a template raise any type
            return _reason(error)
        return "" if ANSWER["content"] in text else "it doesn't write the assistant's turns"

    def rejection(self, turns: Sequence[Turn]) -> str:
        """The reason why it rejects a conversation that ends with a user turn; empty when it does not.

        A system turn that it rejects or drops is merged into the first user turn, as in training.
        """
        if turns[0]["role"] == "system" and not self._renders_system_turns:
            turns = turns[1:]
        try:
            self._render(turns, add_generation_prompt=True)
            self._render([*turns, ANSWER], add_generation_prompt=False)
        except Exception as error:
            return _reason(error)
        return ""

    @cached_property
    def _renders_system_turns(self) -> bool:
        try:
            return SYSTEM["content"] in self._render([SYSTEM, QUESTION], add_generation_prompt=True)
        except Exception:
            return False

    def _render(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        options = {"tools": None, "documents": None, "add_generation_prompt": add_generation_prompt}
        return self._template.render(messages=[dict(turn) for turn in turns], **options, **self._tokens)


def special_tokens(tokenizer_config: Mapping[str, Any]) -> dict[str, str]:
    """The special tokens in tokenizer_config.json by their names in templates."""
    values = {name: tokenizer_config.get(name) for name in TOKENS}
    texts = {name: value.get("content") if isinstance(value, dict) else value for name, value in values.items()}
    return {name: text for name, text in texts.items() if isinstance(text, str)}


def _to_json(value: Any, ensure_ascii: bool = False, **options: Any) -> str:
    """Jinja's own filter escapes HTML."""
    return json.dumps(value, ensure_ascii=ensure_ascii, **options)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _reason(error: Exception) -> str:
    text = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:200]
