"""A model's answers to the test rows, and what answering took."""

import time
from collections.abc import Sequence

from azdistill.contracts.percentile import percentile
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.progress import Progress
from azdistill.contracts.results import Profile
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.generation.generate import Generated, generate
from azdistill.students.loading import Student
from azdistill.students.template import encode_prompts
from azdistill.students.usage import parameters, peak_memory_bytes, weight_bytes


def predict(student: Student, prompts: Sequence[Prompt], config: PredictConfig) -> tuple[list[Prediction], Profile]:
    """An answer to each prompt in its order, and the profile of the model that gave them."""
    encoded = encode_prompts(student.tokenizer, [prompt.messages for prompt in prompts])
    progress, started = Progress("predict", len(prompts)), time.perf_counter()
    answers = generate(student, encoded, config.max_new_tokens, config.batch_size, progress.advance)
    seconds = time.perf_counter() - started
    latencies = _latencies(student, encoded, config)
    return _predictions(student, prompts, answers), _profile(student, answers, seconds, latencies)


def _latencies(student: Student, encoded: Sequence[list[int]], config: PredictConfig) -> list[float]:
    """Of rows spread evenly over the test rows, one at a time. The batches before them have warmed up the model."""
    count = min(config.latency_rows, len(encoded))
    return [_alone(student, encoded[number * len(encoded) // count], config) for number in range(count)]


def _alone(student: Student, prompt: list[int], config: PredictConfig) -> float:
    started = time.perf_counter()
    generate(student, [prompt], config.max_new_tokens, 1)
    return time.perf_counter() - started


def _predictions(student: Student, prompts: Sequence[Prompt], answers: Sequence[Generated]) -> list[Prediction]:
    texts = [student.tokenizer.decode(answer.ids, skip_special_tokens=True) for answer in answers]
    rows = zip(prompts, texts, answers, strict=True)
    return [Prediction(id=row.id, completion=text, truncated=answer.truncated) for row, text, answer in rows]


def _profile(student: Student, answers: Sequence[Generated], seconds: float, latencies: Sequence[float]) -> Profile:
    tokens = sum(len(answer.ids) for answer in answers)
    return Profile(
        rows=len(answers),
        parameters=parameters(student.model),
        weight_bytes=weight_bytes(student.model),
        device=student.device.type,
        peak_memory_bytes=peak_memory_bytes(),
        generated_tokens=tokens,
        seconds=round(seconds, 3),
        tokens_per_s=round(tokens / seconds, 1) if seconds else 0.0,
        latency_rows=len(latencies),
        latency_p50_s=percentile(latencies, 0.50),
        latency_p95_s=percentile(latencies, 0.95),
    )
