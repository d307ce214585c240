"""Render a student's chat template as transformers does, to find what train would refuse after the teacher is paid.

transformers itself takes seconds to import. Source: `_cached_compile_jinja_template` in
transformers/utils/chat_template_utils.py.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from azdistill.contracts.time_limit import TimeLimitExceeded, time_limit

Turn = Mapping[str, str]

# Names of special tokens in templates. One that the tokenizer does not have is empty here.
TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")

SYSTEM = {"role": "system", "content": "SYSTEM"}
QUESTION = {"role": "user", "content": "Q"}
ANSWER = {"role": "assistant", "content": "ANSWER"}

# Size of this process in pages, on Linux. https://man7.org/linux/man-pages/man5/proc_pid_statm.5.html
STATISTICS = Path("/proc/self/statm")

# transformers marks the assistant's turns with a tag of its own.
_GENERATION = re.compile(r"{%-?\s*(end)?generation\s*-?%}")


# Processor time to parse a template and to render a conversation, and memory for it. Templates of models take some
# milliseconds.
PARSE_S, RENDER_S, MEMORY_BYTES = 0.3, 0.1, 1 << 29


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja's sandbox without large powers: one is a single operation, which no time limit interrupts."""

    intercepted_binops = frozenset({"**"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        if right > 1000:
            raise TemplateError(f"the exponent {right} is too large")
        return super().call_binop(context, operator, left, right)


class StudentTemplate:
    """A chat template with the special tokens of its tokenizer.

    Raises TemplateSyntaxError for invalid Jinja, and RecursionError, MemoryError, SyntaxError or TimeLimitExceeded for
    a template that is too long or nested too deeply.
    """

    def __init__(self, text: str, tokens: Mapping[str, str]) -> None:
        environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.filters["tojson"] = _to_json
        environment.globals |= {"raise_exception": _raise, "strftime_now": date(2024, 7, 26).strftime}
        with time_limit(PARSE_S):
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
        with time_limit(RENDER_S), _memory_limit():
            return self._template.render(messages=[dict(turn) for turn in turns], **options, **self._tokens)


@contextmanager
def _memory_limit() -> Iterator[None]:
    """Raise MemoryError in the block for more than MEMORY_BYTES of additional memory, on Linux."""
    if not STATISTICS.is_file():
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(STATISTICS.read_text().split()[0]) * resource.getpagesize()
    limit = used + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit if soft == resource.RLIM_INFINITY else min(soft, limit), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
    is_sentence = isinstance(error, (TemplateError, TimeLimitExceeded))
    text = str(error) if is_sentence else f"{type(error).__name__}: {error}"
    return " ".join(text.split())[:200]
