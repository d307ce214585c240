"""`python -m azdistill.steps.train_scored`: step train with a teacher that scores the answers of the student."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.problems import Problem
from azdistill.contracts.step import Arguments
from azdistill.contracts.train_scored import STEP, ScoredTrainConfig
from azdistill.steps.runner import run_step
from azdistill.steps.train import ScoringSource, train

if TYPE_CHECKING:
    from azdistill.teacher.endpoint import Endpoint
    from azdistill.teacher.scoring_client import ScoringClient


def body(arguments: Arguments[ScoredTrainConfig]) -> None:
    """Like step train. The scores are in the response store, and the metrics have usage.json."""
    try:
        train(arguments, _scoring(arguments))
    except AzdistillError as error:
        raise type(error)(problems=[_of_scorer(problem) for problem in error.problems]) from None


def _scoring(arguments: Arguments[ScoredTrainConfig]) -> ScoringSource:
    from azdistill.teacher.endpoint import resolve_all

    config = arguments.config.scorer
    (endpoint,) = resolve_all(config.requests)
    identity = f"{endpoint.identity} {endpoint.model} {config.top_k}"
    return ScoringSource(identity, lambda: _client(arguments, endpoint), {})


@contextmanager
def _client(arguments: Arguments[ScoredTrainConfig], endpoint: "Endpoint") -> "Iterator[ScoringClient]":
    from azdistill.students.loading import load_tokenizer
    from azdistill.students.probe import tokenizer_probe
    from azdistill.teacher.scoring_client import ScoringClient
    from azdistill.teacher.store import open_store

    config, template = arguments.config.scorer, arguments.inputs.get("chat_template")
    text = template.read_text(encoding="utf-8") if template else None
    probe = tokenizer_probe(load_tokenizer(arguments.inputs["student"], text))
    store = open_store(arguments.outputs["store"])
    with ScoringClient(endpoint, config.requests, store, probe, config.top_k) as client:
        yield client


def _of_scorer(problem: Problem) -> Problem:
    """The problem with the field of section scorer in place of the one of section teacher."""
    section, *field = problem.field or ("",)
    return replace(problem, field=("scorer", *field)) if section == "teacher" else problem


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
