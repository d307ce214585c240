"""Tokenize conversations with a student's chat template: prompts to generate from, and rows to train on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from azdistill.contracts.errors import DataError
from azdistill.contracts.reasoning import END_THINK, THINK
from azdistill.contracts.rows import Message
from azdistill.students.chat_template import (
    ASSISTANT,
    SYSTEM,
    USER,
    open_thinking,
    render,
    subject_of,
)

TrainOn = Literal["last", "all"]

# Marks a position in a text that no token may cross. Unicode reserves these code points for internal use.
CUT = "\ufdd0\ufdd1"

# SentencePiece's symbol of a space.
SPACE = "\u2581"


@dataclass(frozen=True, eq=False)
class TopK:
    """A teacher's likely tokens at the N target positions of a row, as ids of the student.

    Unused entries have id -1 and log probability -inf, all of them where the teacher's log probabilities are unknown.
    Log probabilities are natural logarithms: stored ones in float16, those of sampled tokens in float32. Shapes: `ids`
    int32 and `logprobs` [N, K].
    """

    ids: npt.NDArray[np.int32]
    logprobs: npt.NDArray[np.floating]


@dataclass(frozen=True)
class TokenizedRow:
    """A conversation as token ids, and the positions whose tokens are targets of the loss.

    `targets` are half-open spans of positions, in order and disjoint: each covers an answer and the token that ends it.
    `weight` multiplies the loss of the row's target tokens. `conversation` is its index, `num_turns` the number of its
    turns to the last target. `top_k` are a teacher's likely tokens at the targets. `privileged_ids` are the prompt of
    the last target with the stored answer, None for a row that has none.
    """

    input_ids: list[int]
    targets: tuple[tuple[int, int], ...]
    weight: float = 1.0
    conversation: int = 0
    top_k: TopK | None = None
    num_turns: int = 0
    privileged_ids: list[int] | None = None

    @property
    def num_target_tokens(self) -> int:
        return sum(end - start for start, end in self.targets)


def tokenize_prompts(tokenizer: Any, conversations: Sequence[Sequence[Message]]) -> list[list[int]]:
    """Token ids of conversations up to the start of the assistant's next turn.

    They are those of `tokenizer.apply_chat_template(turns, add_generation_prompt=True)`, except that text which spells
    a control token stays text. Raises DataError when the chat template rejects a conversation.
    """
    chat = ChatTokenizer(tokenizer)
    return chat.encode([chat.prompt(turns) for turns in conversations])


def tokenize_rows(
    tokenizer: Any,
    conversations: Sequence[Sequence[Message]],
    train_on: TrainOn = "last",
    weights: Sequence[float] | None = None,
) -> list[TokenizedRow]:
    """Token ids of conversations that end with an assistant turn, and their targets.

    Targets are the last assistant turn, or all of them, without those of weight 0. The ids before a target are those
    that `tokenize_prompts` gives for the turns before it. Some templates render an earlier turn in another way than a
    last one; then a conversation becomes one row for each target. `weights` are those of the conversations.
    Raises DataError when the chat template rejects a conversation.
    """
    chat = ChatTokenizer(tokenizer)
    targets = [
        (number, turns[: index + 1])
        for number, turns in enumerate(conversations)
        for index in target_turns(turns, train_on)
    ]
    rows: list[TokenizedRow] = []
    last_number = None
    encoded = chat.encode_targets([turns for _, turns in targets])
    for (number, turns), prompt, answer in zip(targets, *encoded, strict=True):
        span, weight = (len(prompt), len(prompt) + len(answer)), weights[number] if weights else 1.0
        row = TokenizedRow(prompt + answer, (span,), weight, number, num_turns=len(turns))
        if number == last_number and prompt[: len(rows[-1].input_ids)] == rows[-1].input_ids:
            rows[-1] = replace(row, targets=rows[-1].targets + row.targets)
        else:
            rows.append(row)
        last_number = number
    return rows


def target_turns(turns: Sequence[Message], train_on: TrainOn) -> list[int]:
    """Indices of the turns to train on: the last assistant turn or all of them, without those of weight 0."""
    indices = range(len(turns)) if train_on == "all" else [len(turns) - 1]
    return [index for index in indices if turns[index].role == "assistant" and turns[index].weight]


def end_of_turn_id(tokenizer: Any) -> int:
    """The token that ends an answer: the first special token that the template writes after one, else `eos_token`.

    Raises DataError when there is neither.
    """
    special = {*tokenizer.get_added_vocab().values(), *tokenizer.all_special_ids}
    after_answer = render(tokenizer, [USER, ASSISTANT], add_generation_prompt=False).rpartition(ASSISTANT.content)[2]
    for token in tokenizer(after_answer, add_special_tokens=False)["input_ids"]:
        if token in special:
            return int(token)
    if tokenizer.eos_token_id is None:
        raise DataError(
            "its chat template ends an answer with no special token and its tokenizer has no eos_token",
            subject=subject_of(tokenizer),
            code="no_end_token",
            fix="set eos_token in tokenizer_config.json",
        )
    return int(tokenizer.eos_token_id)


class ChatTokenizer:
    """Render conversations as text and encode the text.

    Only the chat template writes control tokens: in the text of a turn, a CUT after the first character of each keeps
    it from becoming one.
    """

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._end = end_of_turn_id(tokenizer)
        tokens = _control_tokens(tokenizer, self._end)
        self._control = re.compile("|".join(map(re.escape, sorted(tokens, key=len, reverse=True))))
        # Matches the first character of a token, so that tokens which overlap are all cut.
        self._first_character = re.compile(
            "|".join(f"{re.escape(token[0])}(?={re.escape(token[1:])})" for token in sorted(tokens))
        )
        self._anchor = _anchor(tokenizer, self._end)

    def prompt(self, turns: Sequence[Message]) -> str:
        """The text up to the start of the assistant's next turn."""
        return render(self._tokenizer, [self._cut(turn) for turn in turns], add_generation_prompt=True)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts.

        Pieces between CUTs are encoded separately. All but the first follow a special token, which is removed
        again: SentencePiece puts a space before the start of a text.
        """
        pieces = [text.split(CUT) for text in texts]
        flat = [self._anchor * (index > 0) + piece for split in pieces for index, piece in enumerate(split)]
        encoded = iter(self._tokenizer(flat, add_special_tokens=False)["input_ids"] if flat else [])
        return [self._joined(next(encoded), [(next(encoded), piece) for piece in rest]) for _, *rest in pieces]

    def encode_targets(self, conversations: Sequence[Sequence[Message]]) -> tuple[list[list[int]], list[list[int]]]:
        """Token ids of the prompts and of the answers of conversations that end with an assistant turn.

        An answer is encoded after the end of its prompt, so that its first token is the same as in the complete text.
        Where a token would cross the boundary, which generation can't do, the answer is encoded separately.
        """
        prompts = [self.prompt(turns[:-1]) for turns in conversations]
        answers = [self._answer(turns, prompt) for turns, prompt in zip(conversations, prompts, strict=True)]
        tails = [self._tail(prompt) for prompt in prompts]
        before = self.encode(tails)
        complete = self.encode([tail + answer for tail, answer in zip(tails, answers, strict=True)])
        separate = self.encode(
            [
                "" if ids[: len(tail)] == tail else CUT + answer
                for tail, ids, answer in zip(before, complete, answers, strict=True)
            ]
        )
        answer_ids = [
            self._up_to_end(alone or ids[len(tail) :])
            for tail, ids, alone in zip(before, complete, separate, strict=True)
        ]
        return self.encode(prompts), answer_ids

    def _answer(self, turns: Sequence[Message], prompt: str) -> str:
        """The text that follows the prompt.

        Some templates render earlier turns differently once an answer follows, or drop the reasoning from the answer.
        Then this is the content of the turn.
        """
        cut = [self._cut(turn) for turn in turns]
        content = cut[-1].content
        text = render(self._tokenizer, cut, add_generation_prompt=False)
        answer = text.removeprefix(prompt)
        parts = content.removeprefix(THINK).split(END_THINK, 1)
        if text.startswith(prompt) and all(part.strip() in answer for part in parts):
            return answer
        opening = open_thinking(prompt)
        if opening and content.lstrip().startswith(THINK):
            return content.lstrip().removeprefix(THINK).removeprefix(opening.removeprefix(THINK))
        return content

    def _tail(self, prompt: str) -> str:
        """The end of a prompt from its last control token on, before which nothing changes the ids of what follows."""
        starts = [match.start() for match in self._control.finditer(prompt)]
        return prompt[starts[-1] :] if starts else prompt

    def _cut(self, turn: Message) -> Message:
        content = self._first_character.sub(lambda match: match[0] + CUT, turn.content.replace(CUT, ""))
        return Message(role=turn.role, content=content)

    def _joined(self, first: list[int], others: Sequence[tuple[list[int], str]]) -> list[int]:
        return first + [token for ids, piece in others for token in self._after_anchor(ids, piece)]

    def _after_anchor(self, ids: list[int], piece: str) -> list[int]:
        """The ids of a piece without the anchor, and without a space that SentencePiece put before it."""
        ids = ids[1:]
        first = self._tokenizer.convert_ids_to_tokens(ids[0]) if ids else ""
        if not first.startswith(SPACE) or piece.startswith((" ", SPACE)):
            return ids
        rest = first.removeprefix(SPACE)
        return [*self._tokenizer.convert_tokens_to_ids([rest] if rest else []), *ids[1:]]

    def _up_to_end(self, answer: list[int]) -> list[int]:
        """Cut an answer after its end token: what a template writes after that (a line break) is never generated."""
        return [*(answer[: answer.index(self._end)] if self._end in answer else answer), self._end]


def _control_tokens(tokenizer: Any, end: int) -> set[str]:
    """The tokens that only the chat template may write: special ones, and those that it writes itself.

    Not the tags of a thinking phase, which a teacher's answer contains.
    """
    added = tokenizer.added_tokens_decoder.values()
    written = render(tokenizer, [SYSTEM, USER, ASSISTANT], add_generation_prompt=False)
    special = {token.content for token in added if token.special} | {*tokenizer.all_special_tokens}
    template = {token.content for token in added if token.content.strip() and token.content in written}
    tokens = special | template | {tokenizer.convert_ids_to_tokens(end)}
    return {token for token in tokens if len(token) > 1} - {THINK, END_THINK}


def _anchor(tokenizer: Any, end: int) -> str:
    """A control token that doesn't absorb the white space after it."""
    special = [token for token in tokenizer.added_tokens_decoder.values() if token.special]
    anchor: str = next((token.content for token in special if not token.rstrip), tokenizer.convert_ids_to_tokens(end))
    return anchor
