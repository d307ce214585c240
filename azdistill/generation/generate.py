"""Greedy generation (see `greedy` in students.loading) in batches of prompts of like length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from azdistill.students.loading import Student


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a prompt: ids without the mark that ends it; `truncated` when it never came to one."""

    ids: list[int]
    truncated: bool


def generate(
    student: Student,
    prompts: Sequence[list[int]],
    max_new_tokens: int,
    batch_size: int,
    advance: Callable[[int], None] = lambda rows: None,
) -> list[Generated]:
    """An answer to each prompt, in the order of the prompts. `advance` hears of each finished batch.

    Prompts go longest first, so that what doesn't fit into memory fails at once and not at the end.
    """
    order = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
    found: dict[int, Generated] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        found |= zip(batch, _answer(student, [prompts[index] for index in batch], max_new_tokens), strict=True)
        advance(len(batch))
    return [found[index] for index in range(len(prompts))]


@torch.inference_mode()
def _answer(student: Student, prompts: Sequence[list[int]], max_new_tokens: int) -> list[Generated]:
    longest, settings = max(map(len, prompts)), student.model.generation_config
    padding = [longest - len(prompt) for prompt in prompts]
    ids = torch.tensor([[settings.pad_token_id] * left + prompt for left, prompt in zip(padding, prompts, strict=True)])
    mask = torch.tensor([[0] * left + [1] * len(prompt) for left, prompt in zip(padding, prompts, strict=True)])
    written = student.model.generate(
        input_ids=ids.to(student.device), attention_mask=mask.to(student.device), max_new_tokens=max_new_tokens
    )
    return [_cut(row, settings.eos_token_id) for row in written[:, longest:].tolist()]


def _cut(ids: list[int], ends: Sequence[int]) -> Generated:
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    return Generated(ids if end is None else ids[:end], truncated=end is None)
