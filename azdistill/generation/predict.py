"""Answer the test rows with a model, and measure latency, throughput, memory and the likelihood of the references."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azdistill.contracts.percentile import percentile
from azdistill.contracts.predict import PredictConfig
from azdistill.contracts.progress import Progress
from azdistill.contracts.results import Profile
from azdistill.contracts.rows import Message, Prediction, Prompt, gold_texts
from azdistill.generation.generate import GeneratedAnswer, generate_each
from azdistill.generation.latency import measure_latency, percentiles
from azdistill.generation.likelihood import negative_log_likelihoods
from azdistill.generation.unfinished import UnfinishedAnswers
from azdistill.generation.vllm_batch import answers_of_vllm, use_vllm
from azdistill.students.loading import Student
from azdistill.students.template import TokenizedRow, tokenize_prompts, tokenize_rows
from azdistill.students.usage import (
    num_parameters,
    peak_device_bytes,
    peak_memory_bytes,
    peak_process_bytes,
    weight_bytes,
    weight_file_bytes,
)

logger = logging.getLogger("azdistill.generation")


def predict(
    student: Student,
    prompts: Sequence[Prompt],
    config: PredictConfig,
    references: Mapping[str, str] | None = None,
    unfinished: UnfinishedAnswers | None = None,
) -> tuple[list[Prediction], Profile]:
    """The student's answers to `prompts`, in their order, and its profile.

    `references` are answers by the id of their prompt, whose likelihood under the model is computed: by default the
    first gold of each row. Answers that `unfinished` has are not generated again.
    """
    tokenized = tokenize_prompts(student.tokenizer, [prompt.messages for prompt in prompts])
    rows = _reference_rows(student, prompts, gold_references(prompts) if references is None else references)
    expected = [rows[prompt.id].num_target_tokens if prompt.id in rows else 0 for prompt in prompts]
    unfinished = UnfinishedAnswers() if unfinished is None else unfinished
    answers, agreement = _answers(student, tokenized, expected, config, unfinished)
    # Before the likelihood is computed, which needs more memory than generation does.
    profile = _profile(student, answers, unfinished.seconds, _latency(student, tokenized, config), agreement)
    sums = dict(zip(rows, negative_log_likelihoods(student, list(rows.values())), strict=True))
    texts = [student.tokenizer.decode(answer.token_ids, skip_special_tokens=True) for answer in answers]
    predictions = [
        Prediction(id=prompt.id, completion=text, truncated=answer.truncated, **_likelihood(prompt.id, rows, sums))
        for prompt, text, answer in zip(prompts, texts, answers, strict=True)
    ]
    return predictions, profile


def gold_references(prompts: Sequence[Prompt]) -> dict[str, str]:
    """The first reference answer of each row that has one."""
    return {prompt.id: gold_texts(prompt.gold)[0] for prompt in prompts if gold_texts(prompt.gold)}


def _reference_rows(
    student: Student, prompts: Sequence[Prompt], references: Mapping[str, str]
) -> dict[str, TokenizedRow]:
    """Prompts with their references, tokenized as training rows are, by the id of the prompt."""
    known = [prompt for prompt in prompts if prompt.id in references]
    turns = [(*prompt.messages, Message(role="assistant", content=references[prompt.id])) for prompt in known]
    return {prompt.id: row for prompt, row in zip(known, tokenize_rows(student.tokenizer, turns), strict=True)}


def _likelihood(identity: str, rows: Mapping[str, TokenizedRow], sums: Mapping[str, float | None]) -> dict[str, Any]:
    """Fields of the prediction."""
    value = sums.get(identity)
    if value is None:
        return {}
    return {"reference_nll": round(value, 4), "reference_tokens": rows[identity].num_target_tokens}


def _answers(
    student: Student,
    tokenized: Sequence[list[int]],
    expected: Sequence[int],
    config: PredictConfig,
    unfinished: UnfinishedAnswers,
) -> tuple[list[GeneratedAnswer], float | None]:
    """Answers in the order of the prompts, and the agreement of vLLM with transformers if vLLM generated them.

    Those of an interrupted attempt are kept.
    """
    answers = {index: answer for index, ids in enumerate(tokenized) if (answer := unfinished.get(ids)) is not None}
    if answers:
        logger.info("predict: %d of %d answers are those of an interrupted attempt", len(answers), len(tokenized))
    waiting = [index for index in range(len(tokenized)) if index not in answers]
    prompts = [tokenized[index] for index in waiting]
    unfinished.start()
    checked = None
    progress = Progress("predict", len(waiting))
    if prompts and config.weights == "pretrained" and use_vllm(student, config.engine):
        checked = answers_of_vllm(student, prompts, config.max_new_tokens, config.batch_size, config.engine)
    if checked:
        generated: Iterable[tuple[int, GeneratedAnswer]] = enumerate(checked.answers)
    else:
        lengths = [expected[index] for index in waiting]
        generated = generate_each(student, prompts, config.max_new_tokens, config.batch_size, lengths, progress)
    for number, answer in generated:
        answers[waiting[number]] = answer
        unfinished.add(tokenized[waiting[number]], answer)
        progress.advance()
    unfinished.write()
    return [answers[index] for index in range(len(tokenized))], checked.agreement if checked else None


def _latency(student: Student, tokenized: Sequence[list[int]], config: PredictConfig) -> dict[str, Any]:
    """Fields of the profile. The prompts are spread evenly over the test rows."""
    count = min(config.latency_rows, len(tokenized))
    prompts = [tokenized[number * len(tokenized) // count] for number in range(count)]
    if count:
        logger.info("predict: measuring the latency of %d answers", count)
    single = measure_latency(student, prompts, config.max_new_tokens, count, concurrency=1)
    users = config.latency_concurrency
    several = measure_latency(student, prompts, config.max_new_tokens, count, users) if users > 1 else []
    seconds = [request.complete for request in single]
    return {
        "latency_rows": len(single),
        "latency_p50_s": percentile(seconds, 0.50),
        "latency_p95_s": percentile(seconds, 0.95),
        **percentiles(single),
        "concurrency": users if several else None,
        **{f"concurrent_{name}": value for name, value in percentiles(several).items()},
    }


def _profile(
    student: Student,
    answers: Sequence[GeneratedAnswer],
    seconds: float,
    latency: Mapping[str, Any],
    agreement: float | None,
) -> Profile:
    tokens = sum(len(answer.token_ids) for answer in answers)
    return Profile(
        rows=len(answers),
        parameters=num_parameters(student.model),
        weight_bytes=weight_bytes(student.model),
        weight_file_bytes=weight_file_bytes(student.folder),
        device=student.device.type,
        engine="transformers" if agreement is None else "vllm",
        engine_agreement=agreement,
        peak_memory_bytes=peak_memory_bytes(),
        peak_process_bytes=peak_process_bytes(),
        peak_device_bytes=peak_device_bytes(),
        generated_tokens=tokens,
        seconds=round(seconds, 3),
        tokens_per_s=round(tokens / seconds, 1) if seconds else 0.0,
        **latency,
    )
