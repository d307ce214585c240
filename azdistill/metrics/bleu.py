"""Corpus BLEU, 0 to 100, with the signature of its settings. Source: sacrebleu (Post, 2018)."""

from collections.abc import Sequence

from azdistill.metrics.metric import CorpusMetric, CorpusScore, ModelAnswer


def compute(answers: Sequence[ModelAnswer]) -> CorpusScore:
    """Texts as written against references as written, on the rows that have a reference."""
    scored = [answer for answer in answers if answer.reference is not None]
    return bleu([answer.text for answer in scored], [answer.reference_text for answer in scored])


def bleu(texts: Sequence[str], references: Sequence[str]) -> CorpusScore:
    """No rows score 0."""
    from sacrebleu.metrics import BLEU

    metric = BLEU()
    score = metric.corpus_score(texts or [""], [references or [""]]).score
    return CorpusScore(round(float(score), 4), {"signature": str(metric.get_signature())})


METRIC = CorpusMetric(
    name="bleu",
    label="BLEU",
    unit="points",
    compute=compute,
    details=("signature",),
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    client_names=("bleu", "bleu_score"),
)
