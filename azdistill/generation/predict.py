"""Answer the test rows with a model, and measure latency, throughput and memory."""

import time
from collections.abc import Sequence

from azdistill.contracts.percentile import percentile
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.progress import Progress
from azdistill.contracts.results import Profile
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.generation.generate import GeneratedAnswer, generate
from azdistill.students.loading import Student
from azdistill.students.template import tokenize_prompts
from azdistill.students.usage import num_parameters, peak_memory_bytes, weight_bytes


def predict(student: Student, prompts: Sequence[Prompt], config: PredictConfig) -> tuple[list[Prediction], Profile]:
    """The student's answers to `prompts`, in their order, and its profile."""
    tokenized = tokenize_prompts(student.tokenizer, [prompt.messages for prompt in prompts])
    progress, started = Progress("predict", len(prompts)), time.perf_counter()
    answers = generate(student, tokenized, config.max_new_tokens, config.batch_size, progress.advance)
    seconds = time.perf_counter() - started
    latencies = _latencies(student, tokenized, config)  # the batches above have warmed up the model
    texts = [student.tokenizer.decode(answer.token_ids, skip_special_tokens=True) for answer in answers]
    predictions = [
        Prediction(id=prompt.id, completion=text, truncated=answer.truncated)
        for prompt, text, answer in zip(prompts, texts, answers, strict=True)
    ]
    return predictions, _profile(student, answers, seconds, latencies)


def _latencies(student: Student, prompts: Sequence[list[int]], config: PredictConfig) -> list[float]:
    """Seconds for each of `latency_rows` single prompts, which are spread evenly over the test rows."""
    count = min(config.latency_rows, len(prompts))
    latencies = []
    for number in range(count):
        started = time.perf_counter()
        generate(student, [prompts[number * len(prompts) // count]], config.max_new_tokens, batch_size=1)
        latencies.append(time.perf_counter() - started)
    return latencies


def _profile(
    student: Student, answers: Sequence[GeneratedAnswer], seconds: float, latencies: Sequence[float]
) -> Profile:
    tokens = sum(len(answer.token_ids) for answer in answers)
    return Profile(
        rows=len(answers),
        parameters=num_parameters(student.model),
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
