"""Conversations in the words of a student's chat template, as token ids."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message

PROBE = (Message(role="user", content="Q"), Message(role="assistant", content="ANSWER"))


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
    mark = end_mark(tokenizer)
    prompts = [_prompt(tokenizer, turns[:-1]) for turns in conversations]
    answers = [_answer(tokenizer, turns, prompt) for turns, prompt in zip(conversations, prompts, strict=True)]
    pairs = zip(_ids(tokenizer, prompts), _ids(tokenizer, answers), strict=True)
    return [_joined(prompt, answer, mark) for prompt, answer in pairs]


def end_mark(tokenizer: Any) -> int:
    """The id that ends an answer: the first special piece that the template writes after one, else the tokenizer's
    own end. Raises DataError when there is neither."""
    special = {*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids}
    after = _rendered(tokenizer, PROBE, add_generation_prompt=False).rpartition(PROBE[-1].content)[2]
    found = [token for token in _ids(tokenizer, [after])[0] if token in special]
    if not found and tokenizer.eos_token_id is None:
        raise DataError("student: neither its chat_template nor eos_token says how an answer ends; set eos_token")
    return found[0] if found else int(tokenizer.eos_token_id)


def _joined(prompt: list[int], answer: list[int], mark: int) -> Encoded:
    """What a template writes after the mark (a line break, the end of the text) is never generated, so not learned."""
    learned = [*(answer[: answer.index(mark)] if mark in answer else answer), mark]
    return Encoded(prompt + learned, len(learned))


def _prompt(tokenizer: Any, turns: Sequence[Message]) -> str:
    return _rendered(tokenizer, turns, add_generation_prompt=True)


def _answer(tokenizer: Any, turns: Sequence[Message], prompt: str) -> str:
    """What follows the prompt. Templates that write earlier turns otherwise once an answer
    follows, or the answer without its reasoning, get the plain answer."""
    whole = _rendered(tokenizer, turns, add_generation_prompt=False)
    answer = whole.removeprefix(prompt)
    return answer if whole.startswith(prompt) and turns[-1].content.strip() in answer else turns[-1].content


def _rendered(tokenizer: Any, turns: Sequence[Message], *, add_generation_prompt: bool) -> str:
    """A system turn that the template refuses, or drops without a word, opens the user's first turn instead."""
    try:
        text = _applied(tokenizer, turns, add_generation_prompt)
        if turns[0].role != "system" or turns[0].content.strip() in text:
            return text
    except (TemplateError, ValueError, TypeError) as problem:
        if turns[0].role != "system":
            raise _refused(turns, problem) from None
    return _rendered(tokenizer, _folded(turns), add_generation_prompt=add_generation_prompt)


def _applied(tokenizer: Any, turns: Sequence[Message], add_generation_prompt: bool) -> str:
    """Students answer at once: a template with a switch for thinking has it off, in training as in generation."""
    text: str = tokenizer.apply_chat_template(
        [turn.model_dump() for turn in turns],
        tokenize=False,
        add_generation_prompt=add_generation_prompt,
        enable_thinking=False,
    )
    return text


def _folded(turns: Sequence[Message]) -> list[Message]:
    system, *rest = turns
    if not rest or rest[0].role != "user":
        raise _refused(turns, "a system turn has no user turn after it to go into")
    return [Message(role="user", content=f"{system.content}\n\n{rest[0].content}"), *rest[1:]]


def _refused(turns: Sequence[Message], problem: object) -> DataError:
    roles = ", ".join(turn.role for turn in turns)
    return DataError(f"the student's chat template refuses the roles {roles} ({problem}); change the rows")


def _ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return found
