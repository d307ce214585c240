"""Log probabilities in the form of OpenAI's API: plausible values drawn from a key."""

import math
import random
import re
from typing import Any

TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])(?:\s+$)?")
OTHER_TOKENS = "the a of to and in is it for on with as at by an be or from that this not are was".split()
# Values that some real endpoints return. They contain no information.
DEGENERATE_CHOSEN, DEGENERATE_OTHER = 0.0, -9999.0


def logprobs(text: str, top: int, key: str, degenerate: bool) -> dict[str, Any]:
    """Log probability of each token of `text`, with the `top` likeliest. Tokens are those of `count_tokens`."""
    rng = random.Random(key)
    return {"content": [_token(token, top, rng, degenerate) for token in TOKEN.findall(text)], "refusal": None}


def _token(token: str, top: int, rng: random.Random, degenerate: bool) -> dict[str, Any]:
    """The chosen token is always the likeliest, as in greedy decoding."""
    probability = 0.5 + 0.5 * rng.random() ** 0.3
    first = rng.randrange(len(OTHER_TOKENS))
    others = [f" {OTHER_TOKENS[(first + step) % len(OTHER_TOKENS)]}" for step in range(top + 1)]
    names = [token, *(name for name in others if name != token)][:top]
    if degenerate:
        values = [DEGENERATE_CHOSEN, *[DEGENERATE_OTHER] * top]
    else:
        probabilities = [probability, *((1 - probability) * 0.5 ** (rank + 1) for rank in range(top))]
        values = [round(math.log(value), 6) for value in probabilities]
    tops = [_entry(name, value) for name, value in zip(names, values, strict=False)]
    return {**_entry(token, values[0]), "top_logprobs": tops}


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
