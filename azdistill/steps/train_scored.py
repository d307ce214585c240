"""`python -m azdistill.steps.train_scored`: step train with a teacher that scores the answers of the student."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from azdistill.contracts.files import read_json
from azdistill.contracts.step import Arguments
from azdistill.contracts.train_scored import MODEL_PORT, STEP, ScoredTrainConfig
from azdistill.steps.runner import run_step
from azdistill.steps.teacher_errors import in_section
from azdistill.steps.train import ScoringSource, train
from azdistill.students.folders import fingerprint, model_folder

if TYPE_CHECKING:
    from azdistill.teacher.endpoint import Endpoint
    from azdistill.teacher.scoring_client import ScoringClient


def body(arguments: Arguments[ScoredTrainConfig]) -> None:
    """Like step train. The scores are in the response store, and the metrics have usage.json."""
    with in_section("scorer"):
        train(arguments, _scoring(arguments))


def _scoring(arguments: Arguments[ScoredTrainConfig]) -> ScoringSource:
    from azdistill.teacher.endpoint import resolve_all

    config, model = arguments.config, arguments.inputs.get(MODEL_PORT)
    if config.scorer_route == "simulated":
        student = arguments.inputs["student"]
        identity = f"simulated {fingerprint(student)} {config.weights} {config.seed}"
        return ScoringSource(f"{identity} {config.scorer.top_k}", lambda: _served_student(arguments, identity), {})
    if model:
        identity = f"model {fingerprint(model)}"
        return ScoringSource(
            f"{identity} {config.scorer.top_k}", lambda: _served(arguments, model, identity), {"scorer": model}
        )
    (endpoint,) = resolve_all(config.scorer.requests)
    identity = f"{endpoint.identity} {endpoint.model} {config.scorer.top_k}"
    return ScoringSource(identity, lambda: _client(arguments, endpoint), {})


@contextmanager
def _served_student(arguments: Arguments[ScoredTrainConfig], identity: str) -> "Iterator[ScoringClient]":
    """The student before training scores, for a dry run. Random weights are written to a folder first."""
    from azdistill.students.loading import load_student

    folder, config = arguments.inputs["student"], arguments.config
    with tempfile.TemporaryDirectory() as copy:
        if config.weights == "random":
            load_student(folder, "random", config.seed).save(Path(copy), "float32")
            folder = Path(copy)
        with _served(arguments, folder, identity) as client:
            yield client


@contextmanager
def _served(arguments: Arguments[ScoredTrainConfig], folder: Path, identity: str) -> "Iterator[ScoringClient]":
    """A client of a server next to the training. The store key has the model in place of the address."""
    from azdistill.contracts.chat_url import chat_url
    from azdistill.teacher.endpoint import Endpoint
    from azdistill.teacher.server import scoring_server

    config, scorer = arguments.config, arguments.config.scorer
    (teacher,) = scorer.requests.teachers
    with scoring_server(
        folder,
        top_k=scorer.top_k,
        max_length=_longest_sequence(arguments),
        gpu_memory=scorer.gpu_memory,
        start_s=60 * scorer.start_minutes,
        simulate=config.scorer_route == "simulated",
    ) as url:
        endpoint = Endpoint(chat_url(url), teacher, identity, role=scorer.requests.role)
        route = "simulated" if config.scorer_route == "simulated" else "served"
        with _client(arguments, endpoint, route) as client:
            yield client


@contextmanager
def _client(
    arguments: Arguments[ScoredTrainConfig], endpoint: "Endpoint", route: str = "endpoint"
) -> "Iterator[ScoringClient]":
    from azdistill.students.loading import load_tokenizer
    from azdistill.students.probe import tokenizer_probe
    from azdistill.teacher.scoring_client import ScoringClient
    from azdistill.teacher.store import open_store

    config, template = arguments.config.scorer, arguments.inputs.get("chat_template")
    text = template.read_text(encoding="utf-8") if template else None
    probe = tokenizer_probe(load_tokenizer(arguments.inputs["student"], text))
    store = open_store(arguments.outputs["store"])
    longest = _longest_sequence(arguments)
    with ScoringClient(endpoint, config.requests, store, probe, config.top_k, route=route, longest=longest) as client:
        yield client


def _longest_sequence(arguments: Arguments[ScoredTrainConfig]) -> int:
    """Tokens of the longest prompt with its answer, and one more: max_length, or the positions of the student if it has
    fewer. Step train samples answers that are one token shorter."""
    config = read_json(model_folder(arguments.inputs["student"]) / "config.json")
    positions = config.get("max_position_embeddings")
    longest = arguments.config.max_length
    return min(longest, positions) if isinstance(positions, int) else longest


if __name__ == "__main__":
    sys.exit(run_step(STEP, body, sys.argv[1:]))
