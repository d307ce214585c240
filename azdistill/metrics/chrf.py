"""chrF: character n-grams shared with the reference. Source: Popović (2015), computed by sacrebleu."""

from collections.abc import Sequence
from functools import cache
from typing import Any

from azdistill.metrics.bleu import reference_streams
from azdistill.metrics.metric import FREE_TEXT, CorpusMetric, CorpusScore, ModelAnswer, RowMetric


@cache
def _chrf() -> Any:
    from sacrebleu.metrics import CHRF

    return CHRF()


def sentence(answer: ModelAnswer) -> float | None:
    """chrF of one answer, 0 to 1: of several references, the highest. A row without a reference does not count."""
    if not answer.references:
        return None
    score = _chrf().sentence_score(answer.final_text, list(answer.reference_texts)).score / 100
    return round(min(float(score), 1.0), 6)


def corpus(answers: Sequence[ModelAnswer]) -> CorpusScore | None:
    """chrF of all answers together, 0 to 100, with the signature of its settings. None without rows."""
    scored = [answer for answer in answers if answer.references]
    if not scored:
        return None
    references = reference_streams([answer.reference_texts for answer in scored])
    score = _chrf().corpus_score([answer.final_text for answer in scored], references).score
    return CorpusScore(round(float(score), 4), {"signature": str(_chrf().get_signature())})


SENTENCE = RowMetric(
    name="sentence_chrf",
    label="sentence chrF",
    unit="score",
    score=sentence,
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    tasks=FREE_TEXT,
    client_names=("sentence_chrf",),
)

CORPUS = CorpusMetric(
    name="chrf",
    label="chrF",
    unit="points",
    compute=corpus,
    details=("signature",),
    higher_is_better=True,
    compared_with="teacher",
    tasks=FREE_TEXT,
    client_names=("chrf",),
)
