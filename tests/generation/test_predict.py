"""Predictions in the order of the prompts, and a profile that can be believed."""

import pytest

from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Prompt
from azdistill.generation.predict import predict
from azdistill.students.loading import load_student
from azdistill.students.usage import parameters
from tests.students import tiny
from tests.students.tiny import turns


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return load_student(tiny.write(tmp_path_factory.mktemp("student"), "qwen3"))


def prompts(count):
    asked = [turns(f"{'so ' * (number % 5)}what is {number}?") for number in range(count)]
    return [Prompt(id=f"{n:016x}", split="test", messages=turn, source=f"t:{n}") for n, turn in enumerate(asked)]


def test_predictions_are_in_order_and_of_their_own_prompt(student):
    given = prompts(7)
    together, _ = predict(student, given, PredictConfig(batch_size=4, max_new_tokens=12, latency_rows=0))
    assert [row.id for row in together] == [prompt.id for prompt in given]
    for prompt, row in zip(given, together, strict=True):
        assert predict(student, [prompt], PredictConfig(max_new_tokens=12, latency_rows=0))[0] == [row]


def test_the_profile_is_of_this_model_and_these_answers(student):
    given = prompts(7)
    answers, profile = predict(student, given, PredictConfig(batch_size=4, max_new_tokens=12, latency_rows=3))
    assert (profile.rows, profile.latency_rows, profile.device) == (7, 3, student.device.type)
    assert profile.parameters == parameters(student.model) == sum(w.numel() for w in student.model.parameters())
    assert profile.weight_bytes == 4 * profile.parameters
    assert 0 < profile.generated_tokens <= 7 * 12
    assert profile.generated_tokens == 7 * 12 or not all(answer.truncated for answer in answers)
    assert 0 < profile.latency_p50_s <= profile.latency_p95_s < profile.seconds * 10
    assert profile.tokens_per_s == pytest.approx(profile.generated_tokens / profile.seconds, rel=0.01)
    assert profile.peak_memory_bytes > profile.weight_bytes


def test_latency_is_measured_on_no_more_rows_than_there_are(student):
    assert predict(student, prompts(2), PredictConfig(max_new_tokens=2, latency_rows=9))[1].latency_rows == 2
    answers, profile = predict(student, [], PredictConfig(latency_rows=3))
    assert (answers, profile.rows, profile.latency_p50_s, profile.tokens_per_s) == ([], 0, None, 0.0)
