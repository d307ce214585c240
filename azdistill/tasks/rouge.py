"""ROUGE: words and word pairs shared with a reference. Source: Lin (2004), computed by rouge-score."""

from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from azdistill.tasks.texts import words

KINDS = ("rouge1", "rouge2", "rougeL")


class _Words:
    """Tokenizer for rouge-score, whose own deletes every letter that is not ASCII."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


@cache
def _scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(list(KINDS), tokenizer=_Words())


@lru_cache(maxsize=8)  # several metrics score the same row one after another
def rouge(text: str, references: tuple[str, ...]) -> Mapping[str, float]:
    """F1 of each kind, 0 to 1, without stemming. Of several references, the one with the highest value counts."""
    return {name: round(float(score.fmeasure), 6) for name, score in _scorer().score_multi(references, text).items()}
