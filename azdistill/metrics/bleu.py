"""Corpus BLEU, 0 to 100, with the signature of its settings. Source: sacrebleu (Post, 2018)."""

from collections.abc import Sequence

from azdistill.metrics.metric import FREE_TEXT, CorpusMetric, CorpusScore, ModelAnswer


def compute(answers: Sequence[ModelAnswer]) -> CorpusScore | None:
    """Texts without reasoning against references as written, on the rows that have a reference."""
    scored = [answer for answer in answers if answer.references]
    return bleu([answer.final_text for answer in scored], [answer.reference_texts for answer in scored])


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]]) -> CorpusScore | None:
    """BLEU of texts with one or several references each. None without rows.

    The effective order leaves out n-grams that no text is long enough for: BLEU of one-word labels is not always 0,
    and BLEU of sentences is the same with and without it.
    """
    from sacrebleu.metrics import BLEU

    if not texts:
        return None
    metric = BLEU(effective_order=True)
    score = metric.corpus_score(texts, reference_streams(references)).score
    return CorpusScore(round(float(score), 4), {"signature": str(metric.get_signature())})


def reference_streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """The first reference of every row, then the second, and so on, for sacrebleu. None: the row has fewer."""
    most = max(map(len, references))
    return [[row[index] if index < len(row) else None for row in references] for index in range(most)]


METRIC = CorpusMetric(
    name="bleu",
    label="BLEU",
    unit="points",
    compute=compute,
    details=("signature",),
    higher_is_better=True,
    compared_with="teacher",
    on_console=True,
    tasks=FREE_TEXT,
    client_names=("bleu", "bleu_score"),
)
