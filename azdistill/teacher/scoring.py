"""Requests to score given token ids, and the scores in their replies.

They go to vLLM's `/v1/completions` with `prompt_logprobs`: for each position an object with the given token and the
most likely ones, by token id. Source: vLLM's `entrypoints/openai/completion/protocol.py`, and vllm-project/vllm#7453.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import orjson

from azdistill.contracts.chat_url import CHAT
from azdistill.contracts.errors import InputError
from azdistill.contracts.scoring import ScoredTokens, TokenizerProbe, can_score
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.replies import (
    SCORED,
    Answer,
    ParsedReply,
    RowRejected,
    read_reply,
    reported_model,
    token_counts,
)
from azdistill.teacher.requests import Request, keyed_request

NOT_SCORED, OTHER_TOKENIZER = "not_scored", "other_tokenizer"
# A token that is part of a character has no text of its own.
INCOMPLETE = "\ufffd"
# vLLM's value for a token of probability 0, and the tolerance of a probability that was rounded.
IMPOSSIBLE, ROUNDING = -9999.0, 0.01
EMPTY_PROBE = TokenizerProbe("", (), ())
# Decimals of a stored log probability.
DECIMALS = 6


@dataclass(frozen=True, slots=True)
class ScoreRequest(Request):
    """A request to score a sequence from position `first` on. With a `probe`, its tokens must have the same text."""

    token_ids: tuple[int, ...] = ()
    first: int = 1
    top_k: int = 1
    probe: TokenizerProbe | None = None

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> ParsedReply:
        return read_reply(status, headers, body, self._read_scores)

    def _read_scores(self, content: Any) -> Answer | RowRejected:
        """An answer whose `logprobs` are the scores as JSON."""
        try:
            positions = content["choices"][0].get("prompt_logprobs")
            if positions is None:
                return RowRejected(NOT_SCORED, "its reply has no prompt_logprobs")
            if self.probe and (detail := other_token(self.probe, positions)):
                return RowRejected(OTHER_TOKENIZER, detail)
            scored = scored_tokens(self.token_ids, self.first, self.top_k, positions)
        except Unscored as error:
            return RowRejected(NOT_SCORED, str(error))
        except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
            return RowRejected(NOT_SCORED, f"its prompt_logprobs have another form than vLLM's ({error!r})")
        return _scored_answer(content, to_json(scored))


@dataclass(frozen=True, slots=True)
class SplitRequest(Request):
    """A request to score the text of a probe, which shows how the server's tokenizer divides it into tokens."""

    probe: TokenizerProbe = EMPTY_PROBE

    def read(self, status: int, headers: Mapping[str, str], body: bytes) -> ParsedReply:
        return read_reply(status, headers, body, self._read_ids)

    def _read_ids(self, content: Any) -> Answer | RowRejected:
        """An answer without content if the tokens are those of the probe."""
        try:
            positions = [set(position or ()) for position in content["choices"][0]["prompt_logprobs"]]
        except (KeyError, IndexError, TypeError):
            return RowRejected(NOT_SCORED, "its reply to a text has no prompt_logprobs")
        if detail := other_split(self.probe.token_ids, positions):
            return RowRejected(OTHER_TOKENIZER, detail)
        return _scored_answer(content, b"[]")


def _scored_answer(content: Mapping[str, Any], logprobs: bytes) -> Answer:
    return Answer("", SCORED, *token_counts(content), logprobs=logprobs, model=reported_model(content))


class Unscored(ValueError):
    """A reply without the scores of each token."""


def score_request(endpoint: Endpoint, token_ids: Sequence[int], first: int, top_k: int) -> ScoreRequest:
    """Request for one sequence. Its key is a hash of endpoint, model, token ids, `first` and `top_k`.

    Raises InputError for a sequence without a token to score.
    """
    if not 1 <= first < len(token_ids):
        raise InputError(
            f"a sequence of {len(token_ids)} tokens has no token to score from position {first} on",
            code="nothing_to_score",
            subject=str(endpoint),
            fix="score from a position of at least 1 that the sequence has",
        )
    return _request(endpoint, tuple(token_ids), first, top_k)


def probe_request(endpoint: Endpoint, probe: TokenizerProbe, top_k: int, *, compare: bool) -> ScoreRequest:
    """Request that shows whether an endpoint scores, and with `compare` whether its tokens have the text of the probe.

    Both have the same key: once an endpoint has passed, the store has its answer.
    """
    return _request(endpoint, probe.token_ids, 1, top_k, probe=probe, compare=compare)


def _request(
    endpoint: Endpoint,
    token_ids: tuple[int, ...],
    first: int,
    top_k: int,
    *,
    probe: TokenizerProbe | None = None,
    compare: bool = False,
) -> ScoreRequest:
    body = {"model": endpoint.model, "prompt": token_ids, **_one_token(top_k)}
    texts = {"probe": probe.tokens} if probe else {}
    identity = {"asked_at": endpoint.identity, "first": first, **texts, **body}
    key = hashlib.sha256(orjson.dumps(identity, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return ScoreRequest(key, orjson.dumps(body), len(token_ids), token_ids, first, top_k, probe if compare else None)


def split_request(endpoint: Endpoint, probe: TokenizerProbe) -> SplitRequest:
    """Request that shows whether the tokenizer of an endpoint gives the ids of the probe to its text."""
    body = {"model": endpoint.model, "prompt": probe.text, "add_special_tokens": False, **_one_token(1)}
    request = keyed_request(body, endpoint)
    return SplitRequest(request.key, request.body, len(probe.token_ids), probe)


def _one_token(top_k: int) -> dict[str, Any]:
    """Parameters of a request for scores. One token is generated: vLLM accepts no less."""
    return {"max_tokens": 1, "temperature": 0.0, "prompt_logprobs": top_k}


def scoring_endpoint(endpoint: Endpoint, top_k: int) -> Endpoint:
    """The endpoint with the URL of completions. Raises InputError for one that is known to score nothing."""
    if not can_score(endpoint.url):
        raise InputError(
            "serverless endpoints of Azure do not score given tokens",
            code="no_scoring",
            subject=str(endpoint),
            fix="use vLLM behind a managed online endpoint or on your own machine",
        )
    return replace(endpoint, url=_url(endpoint, CHAT, "/completions"), top_logprobs=top_k)


def tokenize_url(endpoint: Endpoint) -> str:
    """URL of vLLM's tokenizer, from that of completions."""
    return _url(endpoint, "/completions", "/tokenize").replace("/v1/tokenize", "/tokenize")


def _url(endpoint: Endpoint, old: str, new: str) -> str:
    parts = urlsplit(endpoint.url)
    if not parts.path.endswith(old):
        raise InputError(
            f"its path does not end with {old}",
            code="no_scoring",
            subject=str(endpoint),
            fix="set endpoint to the base URL of the server, such as http://HOST/v1",
        )
    return urlunsplit(parts._replace(path=parts.path.removesuffix(old) + new))


def scored_tokens(
    token_ids: Sequence[int], first: int, top_k: int, positions: Sequence[Mapping[str, Mapping[str, Any]] | None]
) -> ScoredTokens:
    """Scores from the `prompt_logprobs` of a reply. Raises Unscored for a position without them."""
    if len(positions) != len(token_ids):
        raise Unscored(f"it scored {len(positions)} tokens of a sequence of {len(token_ids)}")
    logprobs, top_ids, top_logprobs = list[float](), list[list[int]](), list[list[float]]()
    for index in range(first, len(token_ids)):
        position = positions[index] or {}
        chosen = position.get(str(token_ids[index]))
        if chosen is None:
            raise Unscored(
                f"position {index} has no score of the given token {token_ids[index]}; some versions of vLLM need "
                "--no-enable-prefix-caching"
            )
        top = sorted(((entry["logprob"], int(token)) for token, entry in position.items()), reverse=True)[:top_k]
        if len(top) < top_k:
            raise Unscored(f"position {index} has {len(top)} of the {top_k} most likely tokens")
        logprobs.append(round(chosen["logprob"], DECIMALS))
        top_ids.append([token for _, token in top])
        top_logprobs.append([round(logprob, DECIMALS) for logprob, _ in top])
    _check_values(top_logprobs)
    return ScoredTokens(first, logprobs, top_ids, top_logprobs)


def _check_values(top_logprobs: Sequence[Sequence[float]]) -> None:
    """Raise Unscored for values that are no probabilities, or that contain no information."""
    for index, values in enumerate(top_logprobs):
        if sum(map(math.exp, values)) > 1 + ROUNDING:
            raise Unscored(f"the most likely tokens of scored position {index} have a probability above 1")
    constant = sum(len(values) > 1 and values[1] <= IMPOSSIBLE for values in top_logprobs)
    if 2 * constant > len(top_logprobs):
        raise Unscored(f"{constant} of {len(top_logprobs)} positions have a single token with a probability above 0")


def other_token(probe: TokenizerProbe, positions: Sequence[Mapping[str, Mapping[str, Any]] | None]) -> str:
    """The first token that has another text at the server; empty if there is none.

    White space at the ends is not compared: some servers decode a SentencePiece token without its space.
    """
    compared = 0
    for token, text, position in zip(probe.token_ids, probe.tokens, positions, strict=False):
        decoded = (position or {}).get(str(token), {}).get("decoded_token")
        if not isinstance(decoded, str) or INCOMPLETE in decoded + text:
            continue
        compared += 1
        if decoded.strip() != text.strip():
            return f"token {token} is {text!r} for the student and {decoded!r} for the teacher"
    return "" if compared else "its reply does not show which text its tokens have, and it has no /tokenize"


def other_split(token_ids: Sequence[int], positions: Sequence[Set[str]]) -> str:
    """The first place at which a server divided a text into other tokens than these; empty if there is none.

    `positions` has for each token of the server its id among the likely ones. The first token of a text has no score,
    so it is not compared. A server may add a token at the start.
    """
    added = len(positions) - len(token_ids)
    if added not in (0, 1):
        return f"a test text has {len(token_ids)} tokens for the student and {len(positions)} for the teacher"
    for index, token in enumerate(token_ids):
        if index + added and str(token) not in positions[index + added]:
            return f"token {index} of a test text, {token} for the student, is another one for the teacher"
    return ""


def to_json(scored: ScoredTokens) -> bytes:
    return orjson.dumps({"logprobs": scored.logprobs, "top_ids": scored.top_ids, "top_logprobs": scored.top_logprobs})


def from_json(first: int, content: bytes) -> ScoredTokens:
    fields = orjson.loads(content)
    return ScoredTokens(first, fields["logprobs"], fields["top_ids"], fields["top_logprobs"])
