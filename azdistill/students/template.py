"""Render conversations with a student's chat template and tokenize them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from azdistill.contracts.errors import DataError
from azdistill.contracts.rows import Message

PROBE = (Message(role="user", content="Q"), Message(role="assistant", content="ANSWER"))


@dataclass(frozen=True)
class TokenizedRow:
    """A conversation as token ids, and the positions whose tokens are learned.

    `targets` are half-open spans of positions, in order and disjoint: each covers an answer and the token that ends it.
    `weight` multiplies the loss of the row's target tokens.
    """

    input_ids: list[int]
    targets: tuple[tuple[int, int], ...]
    weight: float = 1.0

    @property
    def num_target_tokens(self) -> int:
        return sum(end - start for start, end in self.targets)


def tokenize_prompts(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Token ids of conversations up to the start of the assistant's next turn.

    Raises DataError when the chat template rejects a conversation.
    """
    return _token_ids(tokenizer, [_prompt(tokenizer, turns) for turns in conversations])


def tokenize_rows(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[TokenizedRow]:
    """Token ids of conversations that end with the assistant turn to train on.

    Prompt and answer are tokenized separately, so that training sees the same prompt ids as generation.
    Raises DataError when the chat template rejects a conversation.
    """
    end = end_of_turn_id(tokenizer)
    prompts = [_prompt(tokenizer, turns[:-1]) for turns in conversations]
    answers = [_answer(tokenizer, turns, prompt) for turns, prompt in zip(conversations, prompts, strict=True)]
    pairs = zip(_token_ids(tokenizer, prompts), _token_ids(tokenizer, answers), strict=True)
    return [_row(prompt_ids, answer_ids, end) for prompt_ids, answer_ids in pairs]


def end_of_turn_id(tokenizer: Any) -> int:
    """The token that ends an answer: the first special token that the template writes after one, else `eos_token`.

    Raises DataError when there is neither.
    """
    special = {*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids}
    after_answer = _render(tokenizer, PROBE, add_generation_prompt=False).rpartition(PROBE[-1].content)[2]
    for token in _token_ids(tokenizer, [after_answer])[0]:
        if token in special:
            return token
    if tokenizer.eos_token_id is None:
        raise DataError(
            "its chat template ends an answer with no special token and its tokenizer has no eos_token",
            subject="student",
            code="no_end_token",
            fix="set eos_token in tokenizer_config.json",
        )
    return int(tokenizer.eos_token_id)


def _row(prompt_ids: list[int], answer_ids: list[int], end: int) -> TokenizedRow:
    """Cut the answer after its end token: what a template writes after that (a line break) is never generated."""
    if end in answer_ids:
        answer_ids = answer_ids[: answer_ids.index(end)]
    ids = [*prompt_ids, *answer_ids, end]
    return TokenizedRow(ids, ((len(prompt_ids), len(ids)),))


def _prompt(tokenizer: Any, turns: Sequence[Message]) -> str:
    return _render(tokenizer, turns, add_generation_prompt=True)


def _answer(tokenizer: Any, turns: Sequence[Message], prompt: str) -> str:
    """The text that follows the prompt.

    Some templates render earlier turns differently once an answer follows, or drop the reasoning from the answer. Then
    this is the content of the turn.
    """
    text = _render(tokenizer, turns, add_generation_prompt=False)
    answer = text.removeprefix(prompt)
    return answer if text.startswith(prompt) and turns[-1].content.strip() in answer else turns[-1].content


def _render(tokenizer: Any, turns: Sequence[Message], *, add_generation_prompt: bool) -> str:
    """Apply the chat template. A system turn that it rejects or drops is merged into the first user turn."""
    try:
        text: str = tokenizer.apply_chat_template(
            [turn.model_dump() for turn in turns],
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            enable_thinking=False,  # students answer without a thinking phase, in training and in generation
        )
        if turns[0].role != "system" or turns[0].content.strip() in text:
            return text
    except (TemplateError, ValueError, TypeError) as error:
        if turns[0].role != "system":
            raise _rejected(turns, error) from None
    return _render(tokenizer, _merge_system_turn(turns), add_generation_prompt=add_generation_prompt)


def _merge_system_turn(turns: Sequence[Message]) -> list[Message]:
    system, *rest = turns
    if not rest or rest[0].role != "user":
        raise _rejected(turns, "the system turn must be followed by a user turn")
    return [Message(role="user", content=f"{system.content}\n\n{rest[0].content}"), *rest[1:]]


def _rejected(turns: Sequence[Message], reason: object) -> DataError:
    roles = ", ".join(turn.role for turn in turns)
    return DataError(
        f"its chat template rejects the roles {roles} ({reason})",
        subject="student",
        code="template_rejects_roles",
        fix="change the rows",
    )


def _token_ids(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    ids: list[list[int]] = tokenizer(texts, add_special_tokens=False)["input_ids"] if texts else []
    return ids
