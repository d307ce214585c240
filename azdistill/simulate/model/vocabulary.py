"""Text and bytes of the tokens of a tokenizer."""

from functools import lru_cache
from typing import Any

from tokenizers import pre_tokenizers

# A piece of a character that a byte-level tokenizer has split.
INCOMPLETE = "\ufffd"


class Vocabulary:
    """Tokens by id. Ids that only the model has, to fill up its vocabulary, have no text."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._byte_of = byte_level_alphabet()
        self.text = lru_cache(None)(self._text)

    def name(self, token: int, as_id: bool) -> str:
        """The text of a token, or its id in vLLM's form for `return_tokens_as_token_ids`."""
        return f"token_id:{token}" if as_id else self.text(token)

    def bytes(self, token: int) -> bytes:
        """The bytes of a token. Those of a part of a character are known only for a byte-level tokenizer."""
        text = self.text(token)
        if INCOMPLETE not in text:
            return text.encode()
        piece = self._tokenizer.convert_ids_to_tokens(token)
        if not set(piece) <= self._byte_of.keys():
            return text.encode()
        return bytes(self._byte_of[character] for character in piece)

    def _text(self, token: int) -> str:
        text: str = self._tokenizer.decode([token])
        return text


def byte_level_alphabet() -> dict[str, int]:
    """The byte of each character in the tokens of a byte-level tokenizer.

    GPT-2 writes a printable byte as the character with its number, and the others as those from 256 on.
    """
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    printable = {chr(value): value for value in range(256) if chr(value) in alphabet}
    others = [value for value in range(256) if chr(value) not in alphabet]
    return printable | {chr(256 + index): value for index, value in enumerate(others)}
