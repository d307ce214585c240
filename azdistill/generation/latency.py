"""Latency of requests: one at a time, and several concurrently."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice, pairwise
from typing import Any

import torch

from azdistill.contracts.percentile import percentile
from azdistill.students.decode import GenerationRequest, can_drop_rows, decode, short_positions
from azdistill.students.loading import Student, max_positions

PERCENTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


@dataclass(frozen=True)
class RequestTimes:
    """Seconds of one request: to its first token, to its complete answer, and between its tokens."""

    first_token: float
    complete: float
    between_tokens: tuple[float, ...]


def measure_latency(
    student: Student, prompts: Sequence[list[int]], max_new_tokens: int, requests: int, concurrency: int
) -> list[RequestTimes]:
    """Times of `requests` requests, each from its tokenized prompt to its last token.

    `concurrency` users ask one question after the other, without a pause. The first request of each one warms up the
    model and is not counted, nor are the last ones, which are there so that no counted request runs with fewer others.
    Prompts are repeated where there are not enough. Empty for several users of a model that rows can't leave.
    """
    positions = min(max_positions(student.model) or sys.maxsize, short_positions(student.model) or sys.maxsize)
    fitting = [GenerationRequest(prompt, min(max_new_tokens, positions - len(prompt))) for prompt in prompts]
    fitting = [request for request in fitting if request.max_new_tokens > 0]
    droppable = can_drop_rows(student.model)
    if not fitting or not requests or (concurrency > 1 and not droppable):
        return []
    asked = list(islice(cycle(fitting), concurrency + requests + concurrency - 1))
    if concurrency == 1:
        time_request = _time_decode if droppable else _time_generate
        return [time_request(student, request) for request in asked][1:]
    counted = range(concurrency, concurrency + requests)
    return [
        _request_times(answer.started, answer.times)
        for answer in decode(student, asked, concurrency)
        if answer.index in counted
    ]


def percentiles(times: Sequence[RequestTimes]) -> dict[str, float | None]:
    """Percentiles in milliseconds, under their names in profile.json."""
    seconds = {
        "{}_latency_ms": [request.complete for request in times],
        "ttft_{}_ms": [request.first_token for request in times],
        "itl_{}_ms": [gap for request in times for gap in request.between_tokens],
    }
    return {
        template.format(name): _ms(values, fraction)
        for template, values in seconds.items()
        for name, fraction in PERCENTILES.items()
    }


def _ms(seconds: Sequence[float], fraction: float) -> float | None:
    value = percentile(seconds, fraction)
    return None if value is None else round(1000 * value, 3)


def _request_times(started: float, tokens: Sequence[float]) -> RequestTimes:
    gaps = tuple(later - earlier for earlier, later in pairwise(tokens))
    return RequestTimes(tokens[0] - started, tokens[-1] - started, gaps)


def _time_decode(student: Student, request: GenerationRequest) -> RequestTimes:
    """Times of a request alone, with the creation of its cache."""
    started = time.perf_counter()
    (answer,) = decode(student, [request], batch_size=1)
    return _request_times(started, answer.times)


class _TokenTimes:
    """Streamer of transformers that notes the time of each token."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def put(self, value: Any) -> None:
        self.times.append(time.perf_counter())

    def end(self) -> None:
        pass


@torch.inference_mode()
def _time_generate(student: Student, request: GenerationRequest) -> RequestTimes:
    """Times of a request to the model's own `generate`."""
    streamer, started = _TokenTimes(), time.perf_counter()
    input_ids = torch.tensor([request.prompt], device=student.device)
    student.model.generate(
        input_ids=input_ids,
        attention_mask=torch.ones_like(input_ids),
        max_new_tokens=request.max_new_tokens,
        streamer=streamer,
    )
    return _request_times(started, streamer.times[1:])  # the first one is that of the prompt
