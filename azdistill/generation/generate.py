"""Greedy generation: answers to tokenized prompts in batches, and a single chat reply."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from azdistill.contracts.progress import Progress
from azdistill.contracts.rows import Message
from azdistill.students.decode import DecodedAnswer, GenerationRequest, can_drop_rows, decode, short_positions
from azdistill.students.loading import Student, max_positions
from azdistill.students.template import tokenize_prompts

# Rows join a batch when this fraction of it is free.
JOIN_AT = 1 / 8


@dataclass(frozen=True)
class GeneratedAnswer:
    """Generated token ids without the end token. `truncated`: no end token within `max_new_tokens`."""

    token_ids: list[int]
    truncated: bool


def generate(
    student: Student,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
    expected_tokens: Sequence[int] | None = None,
) -> list[GeneratedAnswer]:
    """Answers to tokenized prompts, in their order. See `generate_each`."""
    answers = dict(generate_each(student, prompts, max_new_tokens, batch_size, expected_tokens))
    return [answers[index] for index in range(len(prompts))]


def generate_each(
    student: Student,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
    expected_tokens: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[int, GeneratedAnswer]]:
    """Index and answer of each tokenized prompt, as soon as the answer is finished.

    Rows that are finished leave the batch and others join it. The longest rows come first, so that no long one is left
    alone at the end, and a batch that doesn't fit into memory fails at the start. `expected_tokens` are the expected
    lengths of the answers. An answer ends at the last position of the model: a prompt that leaves none gets an empty,
    truncated answer. `progress` also counts the tokens of unfinished answers.
    """
    positions = max_positions(student.model) or sys.maxsize
    limits = [min(max_new_tokens, positions - len(prompt)) for prompt in prompts]
    expected = expected_tokens or [0] * len(prompts)
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]) - min(expected[index], max_new_tokens))
    yield from ((index, GeneratedAnswer([], truncated=True)) for index in order if limits[index] <= 0)
    droppable, short = can_drop_rows(student.model), short_positions(student.model) or sys.maxsize
    together: list[int] = []
    alone: list[int] = []
    for index in order:
        if limits[index] > 0:
            fits = len(prompts[index]) + limits[index] <= short and (droppable or limits[index] == max_new_tokens)
            (together if fits else alone).append(index)
    if droppable:
        requests = [GenerationRequest(prompts[index], limits[index]) for index in together]
        lengths = [min(expected[index] or limits[index], limits[index]) for index in together]

        def watch(unfinished: Sequence[DecodedAnswer]) -> None:
            if progress:
                progress.tick(
                    lambda: sum(min(len(answer.token_ids) / lengths[answer.index], 1) for answer in unfinished)
                )

        for answer in decode(student, requests, batch_size, max(1, round(batch_size * JOIN_AT)), watch):
            yield together[answer.index], GeneratedAnswer(answer.token_ids, answer.truncated)
    else:
        yield from _in_fixed_batches(student, prompts, limits, together, batch_size)
    yield from _in_fixed_batches(student, prompts, limits, alone, batch_size=1)


def chat_reply(student: Student, messages: Sequence[Message], max_new_tokens: int) -> str:
    """The student's answer to a conversation that ends with a user turn."""
    (answer,) = generate(student, tokenize_prompts(student.tokenizer, [messages]), max_new_tokens, batch_size=1)
    text: str = student.tokenizer.decode(answer.token_ids, skip_special_tokens=True)
    return text


def _in_fixed_batches(
    student: Student, prompts: Sequence[list[int]], limits: Sequence[int], order: Sequence[int], batch_size: int
) -> Iterator[tuple[int, GeneratedAnswer]]:
    """Answers by the model's own `generate`, which computes a batch until all of its rows are finished."""
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        new_tokens = min(limits[index] for index in batch)
        yield from zip(batch, _generate_batch(student, [prompts[index] for index in batch], new_tokens), strict=True)


@torch.inference_mode()
def _generate_batch(student: Student, prompts: Sequence[list[int]], max_new_tokens: int) -> list[GeneratedAnswer]:
    settings = student.model.generation_config
    longest = max(map(len, prompts))
    padded = [(longest - len(prompt), prompt) for prompt in prompts]
    input_ids = torch.tensor([[settings.pad_token_id] * left + prompt for left, prompt in padded])
    attention_mask = torch.tensor([[0] * left + [1] * len(prompt) for left, prompt in padded])
    output = student.model.generate(
        input_ids=input_ids.to(student.device),
        attention_mask=attention_mask.to(student.device),
        max_new_tokens=max_new_tokens,
    )
    return [_cut_at_end(row, settings.eos_token_id) for row in output[:, longest:].tolist()]


def _cut_at_end(token_ids: list[int], eos_token_ids: Sequence[int]) -> GeneratedAnswer:
    end = next((index for index, token in enumerate(token_ids) if token in eos_token_ids), None)
    return GeneratedAnswer(token_ids[:end], truncated=end is None)
