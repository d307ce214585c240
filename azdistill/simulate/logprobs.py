"""Log probabilities in OpenAI's shape: plausible values, drawn from a hash; a stand-in has no others."""

import math
import random
import re
from typing import Any

TOKEN = re.compile(r"\s*(?:\w+|[^\w\s])(?:\s+$)?")
OTHERS = "the a of to and in is it for on with as at by an be or from that this not are was".split()
DEGENERATE, LEAST = 0.0, -9999.0  # as reported of real endpoints: nothing can be learned from them


def logprobs(text: str, top: int, luck: str, degenerate: bool) -> dict[str, Any]:
    """Of each token of `text`, with its `top` most likely ones. The tokens are those that `count_tokens` counts."""
    drawn = random.Random(luck)
    return {"content": [_token(token, top, drawn, degenerate) for token in TOKEN.findall(text)], "refusal": None}


def _token(token: str, top: int, drawn: random.Random, degenerate: bool) -> dict[str, Any]:
    """The said token is always the likeliest, as in greedy decoding."""
    chance = 0.5 + 0.5 * drawn.random() ** 0.3
    first = drawn.randrange(len(OTHERS))
    others = [f" {OTHERS[(first + step) % len(OTHERS)]}" for step in range(top + 1)]
    names = [token, *(other for other in others if other != token)][:top]
    values = [chance, *((1 - chance) * 0.5 ** (rank + 1) for rank in range(top))]
    logs = [round(math.log(value), 6) for value in values] if not degenerate else [DEGENERATE, *[LEAST] * top]
    tops = [_entry(name, log) for name, log in zip(names, logs, strict=False)]
    return {**_entry(token, logs[0]), "top_logprobs": tops}


def _entry(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "bytes": list(token.encode())}
