"""Bodies of responses with log probabilities, in vLLM's form.

Source: `serving.py` of vLLM's `entrypoints/openai/completion` and `entrypoints/openai/chat_completion` (main, 2026);
`prompt_logprobs` came with vllm-project/vllm#7453.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from azdistill.simulate.model.model_thread import TokenScore
from azdistill.simulate.model.vocabulary import Vocabulary

# vLLM's value for log probabilities that JSON cannot hold.
IMPOSSIBLE = -9999.0


def prompt_logprobs(scores: Sequence[TokenScore], vocabulary: Vocabulary) -> list[dict[str, Any] | None]:
    """For each token but the first, by token id: the given token, then the likeliest ones."""
    return [None, *(_by_id(score, vocabulary) for score in scores)]


def _by_id(score: TokenScore, vocabulary: Vocabulary) -> dict[str, Any]:
    ranked = [(score.token, score.logprob, score.rank)]
    ranked += [(token, logprob, rank) for rank, (token, logprob) in enumerate(score.top, start=1)]
    return {
        str(token): {"logprob": finite(logprob), "rank": rank, "decoded_token": vocabulary.text(token)}
        for token, logprob, rank in ranked
    }


def completion_logprobs(
    scores: Sequence[TokenScore | None], first_id: int, vocabulary: Vocabulary, as_ids: bool
) -> dict[str, Any]:
    """`logprobs` of a completion. A token without score is the first of an echoed prompt, `first_id`."""
    ids = [first_id if score is None else score.token for score in scores]
    tokens = [vocabulary.name(token, as_ids) for token in ids]
    offsets = [sum(map(len, tokens[:index])) for index in range(len(tokens))]
    return {
        "text_offset": offsets,
        "token_logprobs": [None if score is None else finite(score.logprob) for score in scores],
        "tokens": tokens,
        "top_logprobs": [None if score is None else _by_name(score, vocabulary, as_ids) for score in scores],
    }


def _by_name(score: TokenScore, vocabulary: Vocabulary, as_ids: bool) -> dict[str, float]:
    pairs = [(score.token, score.logprob), *score.top]
    return {vocabulary.name(token, as_ids): finite(logprob) for token, logprob in pairs}


def chat_logprobs(scores: Sequence[TokenScore], vocabulary: Vocabulary, as_ids: bool) -> dict[str, Any]:
    """`logprobs` of a chat completion. `bytes` are those of the token, also of a part of a character."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        name, content = vocabulary.name(token, as_ids), list(vocabulary.bytes(token))
        return {"token": name, "logprob": finite(logprob), "bytes": content}

    return {
        "content": [
            {**entry(score.token, score.logprob), "top_logprobs": [entry(*pair) for pair in score.top]}
            for score in scores
        ]
    }


def finite(logprob: float) -> float:
    return logprob if math.isfinite(logprob) else IMPOSSIBLE


def usage(prompt_tokens: int, completion_tokens: int) -> Mapping[str, int]:
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
