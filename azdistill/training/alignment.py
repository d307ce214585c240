"""Align a teacher's stored log probabilities with the tokens of a student, by the bytes that the tokens spell.

Teacher and student may have different tokenizers. A target token of the student is aligned when the teacher has a token
of the same bytes at the same place in the answer. The likely tokens of the teacher at that position become the
student's tokens of the same bytes; those that the student does not have belong to the tail, the mass of all other
tokens.
"""

import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from transformers.convert_slow_tokenizer import bytes_to_unicode

from azdistill.contracts.errors import DataError
from azdistill.contracts.logprobs import NO_TOKEN
from azdistill.students.template import SPACE, TopK
from azdistill.training.teacher_logprobs import AnswerLogprobs, TeacherLogprobs

# Encoded by a tokenizer to test the bytes of its tokens: characters that all tokenizers have.
PROBE = "a test of the bytes"


class TokenBytes:
    """The bytes that each token of a tokenizer spells; None for special tokens. Raises DataError if they are unknown.

    Tokens of byte-level BPE (GPT-2) spell each byte by a character, those of SentencePiece are text with "\u2581" for
    a space and `<0x0A>` for a byte.
    """

    def __init__(self, tokenizer: Any) -> None:
        decoder = json.dumps(json.loads(tokenizer.backend_tokenizer.to_str())["decoder"])
        spelled = _byte_level if "ByteLevel" in decoder else _sentence_piece
        added = tokenizer.added_tokens_decoder
        self.of_id: list[bytes | None] = [None] * len(tokenizer)
        for token, index in tokenizer.get_vocab().items():
            if index not in added:
                self.of_id[index] = spelled(token)
            elif not added[index].special:
                self.of_id[index] = token.encode()
        ids = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
        if b"".join(self.of_id[index] or b"" for index in ids).strip() != PROBE.encode().strip():
            raise DataError(
                "the bytes of its tokens are unknown, so log probabilities cannot be aligned with them",
                subject="the student's tokenizer",
                code="unknown_token_bytes",
                fix="remove top_k from train.losses",
            )

    @cached_property
    def ids(self) -> dict[bytes, int]:
        """Token id by bytes. Of several tokens with the same bytes, the first."""
        return {content: index for index, content in reversed(list(enumerate(self.of_id))) if content}


def _byte_level(token: str) -> bytes | None:
    values = [_BYTE_OF.get(character) for character in token]
    return None if None in values else bytes(value for value in values if value is not None)


def _sentence_piece(token: str) -> bytes:
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace(SPACE, " ").encode()


_BYTE_OF: dict[str, int] = {character: value for value, character in bytes_to_unicode().items()}


class Aligner:
    """Log probabilities of completions for the target tokens of a student.

    `top` is the number of likely tokens that are kept at each position.
    """

    def __init__(self, logprobs: TeacherLogprobs, tokenizer: Any) -> None:
        self._logprobs, self._tokens = logprobs, TokenBytes(tokenizer)
        self._maps: dict[int, npt.NDArray[np.int32]] = {}
        self.top = max((logprobs[key].top_ids.shape[1] for key in logprobs), default=0)

    def align(self, key: str | None, target_ids: Sequence[int]) -> TopK | None:
        """The teacher's likely tokens at the targets of one answer, the last of which ends it.

        None for an answer without log probabilities, or whose tokens do not spell the targets.
        """
        if key is None or key not in self._logprobs:
            return None
        answer = self._logprobs[key]
        spelled = [self._tokens.of_id[index] or b"" for index in target_ids]
        placed = _place(answer, b"".join(spelled))
        if placed is None:
            return None
        first, begins = placed  # of each token of the teacher, and the end
        student = np.cumsum([0, *map(len, spelled)])
        positions = {begin: position for position, begin in enumerate(student[:-1].tolist()) if spelled[position]}
        mapped = self._mapped(answer.table)
        ids = np.full((len(target_ids), self.top), NO_TOKEN, np.int32)
        logprobs = np.full((len(target_ids), self.top), -np.inf, np.float16)
        for index, (begin, end) in enumerate(zip(begins[first:-1], begins[first + 1 :], strict=True), first):
            position = positions.get(begin)
            if position is None or student[position + 1] != end:
                continue
            tops = answer.top_ids[index]
            if index == first and end - begin != len(answer.table[answer.ids[index]]):
                likely = self._without_space(answer, tops)
            else:
                likely = np.where(tops == NO_TOKEN, NO_TOKEN, mapped[tops])
            _, distinct = np.unique(likely, return_index=True)
            kept = np.sort(distinct[likely[distinct] != NO_TOKEN])
            ids[position, : len(kept)] = likely[kept]
            logprobs[position, : len(kept)] = answer.top_logprobs[index][kept]
        return TopK(ids, logprobs)

    def _mapped(self, table: list[bytes]) -> npt.NDArray[np.int32]:
        """The student's token for each token of a shard."""
        if id(table) not in self._maps:
            get = self._tokens.ids.get
            self._maps[id(table)] = np.array([get(content, NO_TOKEN) for content in table], np.int32)
        return self._maps[id(table)]

    def _without_space(self, answer: AnswerLogprobs, tops: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """The student's tokens for those of the first position, whose white space is not part of the answer."""
        contents = [answer.table[top].lstrip() if top != NO_TOKEN else b"" for top in tops]
        return np.array([self._tokens.ids.get(content, NO_TOKEN) for content in contents], np.int32)


def _place(answer: AnswerLogprobs, targets: bytes) -> tuple[int, list[int]] | None:
    """Index of the first token of the answer that is in `targets`, and where the tokens begin there; the last entry is
    the end. None if the targets do not contain the answer."""
    tokens = [answer.table[index] for index in answer.ids]
    text = b"".join(tokens)
    trimmed = 0
    begin = targets.rfind(text) if text else -1
    if begin < 0:
        stripped = text.lstrip()
        trimmed = len(text) - len(stripped)
        begin = targets.rfind(stripped) if stripped else -1
    if begin < 0:
        return None
    begins = [begin + max(offset - trimmed, 0) for offset in np.cumsum([0, *map(len, tokens)]).tolist()]
    first = next(index for index in range(len(tokens)) if begins[index + 1] > begin)
    return first, begins
