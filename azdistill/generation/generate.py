"""Greedy generation in batches of prompts of similar length, and a single chat reply."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from azdistill.contracts.rows import Message
from azdistill.students.loading import Student, max_positions
from azdistill.students.template import tokenize_prompts


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
    on_batch: Callable[[int], None] = lambda rows: None,
) -> list[GeneratedAnswer]:
    """Answers to tokenized prompts, in their order. `on_batch` is called with the size of each finished batch.

    The longest prompts come first, so that a batch that doesn't fit into memory fails at the start and not at the end.
    An answer ends at the last position of the model: a prompt that leaves none gets an empty, truncated answer.
    """
    positions = max_positions(student.model) or sys.maxsize
    too_long = [index for index, prompt in enumerate(prompts) if len(prompt) >= positions]
    answers = {index: GeneratedAnswer([], truncated=True) for index in too_long}
    if too_long:
        on_batch(len(too_long))
    fitting = [index for index in range(len(prompts)) if index not in answers]
    longest_first = sorted(fitting, key=lambda index: -len(prompts[index]))
    for start in range(0, len(longest_first), batch_size):
        batch = longest_first[start : start + batch_size]
        new_tokens = min(max_new_tokens, positions - len(prompts[batch[0]]))
        answers |= zip(batch, _generate_batch(student, [prompts[i] for i in batch], new_tokens), strict=True)
        on_batch(len(batch))
    return [answers[index] for index in range(len(prompts))]


def chat_reply(student: Student, messages: Sequence[Message], max_new_tokens: int) -> str:
    """The student's answer to a conversation that ends with a user turn."""
    (answer,) = generate(student, tokenize_prompts(student.tokenizer, [messages]), max_new_tokens, batch_size=1)
    text: str = student.tokenizer.decode(answer.token_ids, skip_special_tokens=True)
    return text


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
