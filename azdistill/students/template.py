"""Conversations in the words of a student's chat template, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message


@dataclass(frozen=True)
class Encoded:
    """A conversation as ids, of which the last `learned` are the answer and the mark that ends it."""

    ids: list[int]
    learned: int


def encode_prompts(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Ids of conversations that wait for the assistant's next turn. Raises DataError, see `encode_rows`."""
    return _ids(tokenizer, [_prompt(tokenizer, turns) for turns in conversations])


def encode_rows(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[Encoded]:
    """Ids of conversations that end with the turn to learn.

    The prompt is encoded by itself, so that training sees the very ids that generation
    will see. Raises DataError when the template refuses a conversation.
    """
    prompts = [_prompt(tokenizer, turns[:-1]) for turns in conversations]
    answers = [_answer(tokenizer, turns, prompt) for turns, prompt in zip(conversations, prompts, strict=True)]
    pairs = zip(_ids(tokenizer, prompts), _ids(tokenizer, answers), strict=True)
    return [Encoded(prompt + answer, len(answer)) for prompt, answer in pairs]


def _prompt(tokenizer: Any, turns: Sequence[Message]) -> str:
    return _rendered(tokenizer, turns, add_generation_prompt=True)


def _answer(tokenizer: Any, turns: Sequence[Message], prompt: str) -> str:
    """What follows the prompt. Templates that write earlier turns otherwise once an answer
    follows (dropping their reasoning) get the plain answer and the end mark."""
    whole = _rendered(tokenizer, turns, add_generation_prompt=False)
    return whole.removeprefix(prompt) if whole.startswith(prompt) else f"{turns[-1].content}{tokenizer.eos_token}"


def _rendered(tokenizer: Any, turns: Sequence[Message], *, add_generation_prompt: bool) -> str:
    try:
        text: str = tokenizer.apply_chat_template(
            [turn.model_dump() for turn in turns], tokenize=False, add_generation_prompt=add_generation_prompt
        )
    except TemplateError as problem:
        roles = ", ".join(turn.role for turn in turns)
        raise DataError(f"the student's chat template refuses the roles {roles} ({problem}); change the rows") from None
    return text


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return found
