"""Scores that a teacher gives to tokens of a student, and what identifies the student's tokenizer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

from azdistill.contracts.chat_url import RESOURCE_HOSTS

# Hosts of endpoints that reject given tokens: those of a Foundry or Azure OpenAI resource, and serverless endpoints.
SERVERLESS_HOSTS = (*RESOURCE_HOSTS, ".models.ai.azure.com")


@dataclass(frozen=True, slots=True)
class ScoredTokens:
    """Log probabilities of a teacher for the tokens of one sequence from position `first` on.

    `logprobs` has one value for each token. `top_ids` and `top_logprobs` have for each position the teacher's most
    likely tokens, the likeliest first. Position n is predicted from the tokens before it, so `first` is at least 1.
    """

    first: int
    logprobs: Sequence[float]
    top_ids: Sequence[Sequence[int]]
    top_logprobs: Sequence[Sequence[float]]


class Scorer(Protocol):
    """A teacher that scores tokens, and counts what was asked."""

    def score_all(self, sequences: Sequence[Sequence[int]], firsts: Sequence[int]) -> list[ScoredTokens]:
        """Score sequences of token ids, each from its own first position on."""

    def usage(self) -> dict[str, Any]:
        """The content of usage.json."""

    def resume(self, usage: Mapping[str, Any]) -> None:
        """Continue with the usage of an earlier attempt of the same training, at the checkpoint that is resumed."""


@dataclass(frozen=True, slots=True)
class TokenizerProbe:
    """A text with its token ids in the student's tokenizer, and the text of each token."""

    text: str
    token_ids: tuple[int, ...]
    tokens: tuple[str, ...]


def can_score(url: str) -> bool:
    """False for an endpoint of Azure that is known to score no given tokens."""
    return not (urlsplit(url).hostname or "").endswith(SERVERLESS_HOSTS)
