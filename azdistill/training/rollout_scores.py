"""Scores of rollouts by a teacher behind an endpoint, asked by the main process for all."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from accelerate import PartialState
from accelerate.utils import broadcast_object_list, gather_object

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.logprobs import NO_TOKEN
from azdistill.contracts.scoring import ScoredTokens, Scorer
from azdistill.students.template import TokenizedRow, TopK

# A sequence of token ids, and the first position that is scored.
Sequences = list[tuple[list[int], int]]


def with_scores(rollouts: Sequence[TokenizedRow], scorer: Scorer | None, vocabulary: int) -> list[TokenizedRow]:
    """The rollouts of this process with the teacher's likely tokens at their targets.

    All processes must call it, also without rollouts. Only the main process needs a `scorer`, and asks it once for the
    rollouts of all: they share one budget and its rate limits. Ids from `vocabulary` on are unused: they are padding of
    a teacher whose output layer is longer than the student's. Raises the error of the scorer in all processes.
    """
    sequences = [(row.input_ids, row.targets[-1][0]) for row in rollouts]
    state = PartialState()
    if state.num_processes == 1:
        scores = _score(scorer, sequences)
    else:
        counts: list[int] = gather_object([len(sequences)])
        scores = _from_main_process(scorer, gather_object(sequences))
        first = sum(counts[: state.process_index])
        scores = scores[first : first + len(sequences)]
    return [replace(row, top_k=_top_k(scored, vocabulary)) for row, scored in zip(rollouts, scores, strict=True)]


def _score(scorer: Scorer | None, sequences: Sequences) -> list[ScoredTokens]:
    assert scorer is not None
    return scorer.score_all([ids for ids, _ in sequences], [first for _, first in sequences]) if sequences else []


def _from_main_process(scorer: Scorer | None, sequences: Sequences) -> list[ScoredTokens]:
    results: list[list[ScoredTokens] | AzdistillError | None] = [None]
    if PartialState().is_main_process:
        try:
            results = [_score(scorer, sequences)]
        except AzdistillError as error:
            results = [error]
    (result,) = broadcast_object_list(results)
    if isinstance(result, AzdistillError):
        raise result
    scores: list[ScoredTokens] = result
    return scores


def _top_k(scored: ScoredTokens, vocabulary: int) -> TopK:
    ids, logprobs = np.array(scored.top_ids, np.int32), np.array(scored.top_logprobs, np.float32)
    is_known = ids < vocabulary
    return TopK(np.where(is_known, ids, np.int32(NO_TOKEN)), np.where(is_known, logprobs, np.float32(-np.inf)))
