"""Predictions in the order of the prompts, and the profile of the model."""

import pytest

from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.rows import Prompt
from azdistill.generation.predict import predict
from azdistill.students.loading import load_student
from azdistill.students.usage import num_parameters
from tests.students import tiny
from tests.students.tiny import turns


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return load_student(tiny.write(tmp_path_factory.mktemp("student"), "qwen3"))


def make_prompts(count):
    questions = [turns(f"{'so ' * (number % 5)}what is {number}?") for number in range(count)]
    return [Prompt(id=f"{n:016x}", split="test", messages=turn, source=f"t:{n}") for n, turn in enumerate(questions)]


def test_each_prediction_belongs_to_its_prompt(student):
    prompts = make_prompts(7)
    predictions, _ = predict(student, prompts, PredictConfig(batch_size=4, max_new_tokens=12, latency_rows=0))
    assert [row.id for row in predictions] == [prompt.id for prompt in prompts]
    for prompt, row in zip(prompts, predictions, strict=True):
        assert predict(student, [prompt], PredictConfig(max_new_tokens=12, latency_rows=0))[0] == [row]


def test_the_profile_describes_the_model_and_its_answers(student):
    config = PredictConfig(batch_size=4, max_new_tokens=12, latency_rows=3)
    predictions, profile = predict(student, make_prompts(7), config)
    assert (profile.rows, profile.latency_rows, profile.device) == (7, 3, student.device.type)
    assert profile.parameters == num_parameters(student.model) == sum(w.numel() for w in student.model.parameters())
    assert profile.weight_bytes == 4 * profile.parameters
    assert 0 < profile.generated_tokens <= 7 * 12
    assert profile.generated_tokens == 7 * 12 or not all(row.truncated for row in predictions)
    assert 0 < profile.latency_p50_s <= profile.latency_p95_s < profile.seconds * 10
    rounding = 0.0005 / profile.seconds
    assert profile.tokens_per_s == pytest.approx(profile.generated_tokens / profile.seconds, rel=0.01 + rounding)
    assert profile.peak_memory_bytes > profile.weight_bytes
    assert profile.peak_memory_bytes == (profile.peak_device_bytes or profile.peak_process_bytes)
    (file,) = student.folder.glob("*.safetensors")
    assert profile.weight_file_bytes == file.stat().st_size
    assert profile.p95_latency_ms == pytest.approx(1000 * profile.latency_p95_s, abs=1e-3)
    assert 0 < profile.ttft_p50_ms <= profile.p50_latency_ms <= profile.p99_latency_ms
    assert 0 < profile.itl_p50_ms <= profile.itl_p99_ms
    assert profile.concurrency == config.latency_concurrency
    assert 0 < profile.concurrent_ttft_p50_ms <= profile.concurrent_p50_latency_ms


def test_latency_is_measured_on_at_most_all_rows(student):
    config = PredictConfig(max_new_tokens=2, latency_rows=9)
    assert predict(student, make_prompts(2), config)[1].latency_rows == 2


def test_no_prompts_have_a_profile_without_latency(student):
    predictions, profile = predict(student, [], PredictConfig(latency_rows=3))
    assert (predictions, profile.rows, profile.latency_p50_s, profile.tokens_per_s) == ([], 0, None, 0.0)
    assert (profile.p95_latency_ms, profile.concurrency) == (None, None)
