"""Answered: the number of rows with a complete and valid answer."""

from collections.abc import Sequence

from azdistill.metrics.metric import CorpusMetric, CorpusScore, ModelAnswer


def compute(answers: Sequence[ModelAnswer]) -> CorpusScore:
    return CorpusScore(sum(answer.answer is not None for answer in answers), {})


METRIC = CorpusMetric(name="answered", label="rows answered", unit="rows", compute=compute, higher_is_better=True)
