"""Latency of requests: times of their tokens, without the warm-up, one at a time and with several users."""

import time

import pytest

from azdistill.contracts.percentile import percentile
from azdistill.generation.latency import RequestTimes, measure_latency, percentiles
from azdistill.students.loading import Student, greedy_generation
from tests.generation.test_generate import student_that_ends
from tests.students import tiny

PROMPTS = [[20 + row] * (4 + row) for row in range(6)]
PAUSE = 0.01


def slow_student(architecture="llama", first=0.0):
    """A step takes PAUSE, the first one `first`, and no answer ends before its limit."""
    model = tiny.model(architecture) if architecture in tiny.ARCHITECTURES else student_that_ends(architecture).model
    pauses = iter([first])
    model.register_forward_pre_hook(lambda *_: time.sleep(next(pauses, PAUSE)))
    model.generation_config = greedy_generation(model, tiny.tokenizer())
    model.generation_config.eos_token_id = [0]
    return Student(model, tiny.tokenizer())


@pytest.mark.parametrize("architecture", ["llama", "lfm2"], ids=["own loop", "generate"])
def test_a_request_takes_its_first_token_and_the_others(architecture):
    times = measure_latency(slow_student(architecture, first=0.5), PROMPTS, 4, requests=5, concurrency=1)
    assert len(times) == 5
    for request in times:
        assert len(request.between_tokens) == 3
        assert request.first_token >= PAUSE
        assert 4 * PAUSE <= request.complete == pytest.approx(request.first_token + sum(request.between_tokens))
    # The first request, of half a second, has warmed up the model. Under load, a step takes longer.
    assert percentile([request.complete for request in times], 0.5) < 0.4


def test_users_who_ask_at_the_same_time_share_the_steps():
    student, shapes = slow_student(), []
    student.model.register_forward_pre_hook(
        lambda _, __, inputs: shapes.append(tuple(inputs["input_ids"].shape)), with_kwargs=True
    )
    times = measure_latency(student, PROMPTS, 4, requests=8, concurrency=4)
    assert len(times) == 8
    assert min(request.complete for request in times) >= 4 * PAUSE
    # 4 requests to warm up, 8, and 3 that keep the last ones company, of 3 steps each.
    steps = [rows for rows, columns in shapes if columns == 1]
    assert sum(steps) == 15 * 3
    assert max(steps) == 4


def test_several_users_of_a_model_that_rows_cannot_leave_are_not_measured():
    assert measure_latency(slow_student("lfm2"), PROMPTS, 2, requests=2, concurrency=2) == []


def test_percentiles_are_milliseconds():
    times = [RequestTimes(0.001 * n, 0.01 * n, (0.002 * n, 0.004 * n)) for n in range(1, 101)]
    figures = percentiles(times)
    assert (figures["p50_latency_ms"], figures["p95_latency_ms"], figures["p99_latency_ms"]) == (500, 950, 990)
    assert (figures["ttft_p50_ms"], figures["ttft_p99_ms"]) == (50, 99)
    assert figures["itl_p99_ms"] == 392
    assert set(percentiles([]).values()) == {None}
