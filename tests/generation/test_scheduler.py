"""Requests that arrive while others are decoded get the answers of `generate`, and leave when they are cancelled."""

import threading
import time

import pytest

from azdistill.generation.generate import GeneratedAnswer, generate
from azdistill.generation.scheduler import Generation, Scheduler
from azdistill.students.decode import GenerationRequest
from tests.generation.test_generate import PROMPTS, student_that_ends


class Reports:
    """The generations that a scheduler reports, and the number of their tokens at that time."""

    def __init__(self):
        self.lengths: dict[Generation, list[int]] = {}
        self._changed = threading.Condition()

    def __call__(self, generations):
        with self._changed:
            for generation in generations:
                self.lengths.setdefault(generation, []).append(len(generation.token_ids))
            self._changed.notify_all()

    def wait(self, condition):
        with self._changed:
            assert self._changed.wait_for(condition, timeout=20)


@pytest.fixture
def schedule():
    """Start schedulers, and stop them at the end of the test."""
    started = []

    def start(student, batch_size=5):
        reports = Reports()
        scheduler = Scheduler(student, batch_size, reports)
        started.append(scheduler)
        return scheduler, reports

    yield start
    for scheduler in started:
        scheduler.stop()


def submit(scheduler, prompts, max_new_tokens=20, pause=0.0, **fields):
    generations = [Generation(GenerationRequest(prompt, max_new_tokens), **fields) for prompt in prompts]
    for generation in generations:
        scheduler.submit(generation)
        time.sleep(pause)
    return generations


def answer(generation):
    return GeneratedAnswer(generation.token_ids, generation.finish_reason == "length")


def slow_down(student, seconds):
    student.model.register_forward_pre_hook(lambda *_: time.sleep(seconds))


# A cache that rows leave, one that they can't leave, and one whose rows are answered alone beyond position 48.
@pytest.mark.parametrize("architecture", ["llama", "lfm2", "longrope"])
def test_requests_get_the_answers_of_generate_whenever_they_come(schedule, architecture):
    student = student_that_ends(architecture)
    prompts = PROMPTS[:10]
    expected = generate(student, prompts, 12, batch_size=1)
    scheduler, reports = schedule(student, batch_size=3)
    generations = submit(scheduler, prompts, 12, pause=0.002)
    reports.wait(lambda: all(generation.ended for generation in generations))
    assert [answer(generation) for generation in generations] == expected
    assert all(len(lengths) == 1 for lengths in reports.lengths.values())


@pytest.mark.parametrize("architecture", ["llama", "lfm2"])
def test_each_token_of_a_stream_is_reported(schedule, architecture):
    scheduler, reports = schedule(student_that_ends(architecture))
    generations = submit(scheduler, PROMPTS[:3], stream=True)
    reports.wait(lambda: all(generation.ended for generation in generations))
    for generation in generations:
        lengths = reports.lengths[generation]
        assert lengths == sorted(lengths)
        assert len(lengths) >= len(generation.token_ids) - 1


@pytest.mark.parametrize("architecture", ["llama", "lfm2"])
def test_a_cancelled_request_leaves_and_the_others_are_answered(schedule, architecture):
    student = student_that_ends(architecture)
    student.model.generation_config.eos_token_id = [3]  # long answers
    expected = generate(student, PROMPTS[1:2], 30, batch_size=1)
    slow_down(student, 0.005)
    scheduler, reports = schedule(student)
    cancelled, kept = submit(scheduler, PROMPTS[:2], 30, stream=True)
    reports.wait(lambda: len(cancelled.token_ids) > 2)
    cancelled.cancelled = True
    reports.wait(lambda: kept.ended)
    assert len(cancelled.token_ids) < 30
    assert [answer(kept)] == expected


def test_a_request_that_is_cancelled_while_it_waits_is_never_decoded(schedule):
    student = student_that_ends("llama")
    student.model.generation_config.eos_token_id = [3]
    slow_down(student, 0.005)
    scheduler, reports = schedule(student, batch_size=1)
    first, waiting, last = submit(scheduler, PROMPTS[:3], 20)
    waiting.cancelled = True
    reports.wait(lambda: last.ended)
    assert first.ended
    assert (waiting.token_ids, waiting.ended) == ([], False)


def test_an_exception_ends_all_requests_also_later_ones(schedule):
    student = student_that_ends("llama")
    scheduler, reports = schedule(student, batch_size=1)

    def fail(*_):
        raise MemoryError("out of memory")

    student.model.register_forward_pre_hook(fail)
    generations = submit(scheduler, PROMPTS[:2])
    reports.wait(lambda: all(generation.ended for generation in generations))
    (later,) = submit(scheduler, PROMPTS[:1])
    reports.wait(lambda: later.ended)
    assert [type(generation.error) for generation in (*generations, later)] == [MemoryError] * 3
    assert isinstance(scheduler.error, MemoryError)
