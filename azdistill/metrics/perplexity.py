"""Perplexity of the reference answers under a model: how unlikely it finds them."""

import math
from collections.abc import Sequence

from azdistill.metrics.metric import CorpusMetric, CorpusScore, ModelAnswer

# The logarithm of the largest float, about.
HIGHEST = 700.0


def perplexity(answers: Sequence[ModelAnswer]) -> CorpusScore | None:
    """exp of the mean negative log-likelihood of all tokens of the references. None without rows that have one."""
    scored = [answer for answer in answers if answer.reference_nll is not None and answer.reference_tokens]
    tokens = sum(answer.reference_tokens or 0 for answer in scored)
    nats = sum(answer.reference_nll or 0.0 for answer in scored)
    return CorpusScore(round(math.exp(min(nats / tokens, HIGHEST)), 4), {}) if tokens else None


METRIC = CorpusMetric(
    name="perplexity",
    label="perplexity of the references",
    unit="ratio",
    compute=perplexity,
    higher_is_better=False,
    compared_with="baseline",
)
