"""Prompts of self-distillation: the prompt of a row with its stored answer.

The student with this prompt is the teacher of the student without it, as in "Self-Distillation Enables Continual
Learning" (Shenfeld et al. 2026, https://arxiv.org/abs/2601.19897) and "Self-Distilled Reasoner" (Zhao et al. 2026,
https://arxiv.org/abs/2601.18734).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from azdistill.contracts.rows import Message
from azdistill.contracts.train import TrainConfig
from azdistill.students.template import TokenizedRow, tokenize_prompts

# Content of the last user turn. The words around the answer are the same for every row.
WORDING = """{message}

Reference answer:
{answer}

Use it to give a correct answer of your own."""


@dataclass(frozen=True)
class PrivilegedPrompts:
    """Adds privileged prompts to rows whose answers are sampled.

    A row has none if its answer is empty, if no user turn is before it, or if the prompt and the longest answer that
    the student may sample have more tokens than `context`. Prompts are never cut: the answer would be incomplete.
    """

    config: TrainConfig
    context: int

    def added(
        self, tokenizer: Any, rows: Sequence[TokenizedRow], conversations: Sequence[Sequence[Message]]
    ) -> list[TokenizedRow]:
        """The rows with the privileged prompts of their last targets."""
        turns = [with_stored_answer(conversations[row.conversation][: row.num_turns]) for row in rows]
        prompts = iter(tokenize_prompts(tokenizer, [prompt for prompt in turns if prompt]))
        return [
            replace(row, privileged_ids=self._fitting(row, next(prompts))) if prompt else row
            for row, prompt in zip(rows, turns, strict=True)
        ]

    def _fitting(self, row: TokenizedRow, prompt: list[int]) -> list[int] | None:
        assert self.config.on_policy is not None
        longest_answer = min(self.config.on_policy.max_new_tokens, self.config.max_length - row.targets[-1][0])
        return prompt if len(prompt) + longest_answer <= self.context else None


def with_stored_answer(turns: Sequence[Message]) -> tuple[Message, ...] | None:
    """The turns before the last one, which is the stored answer, with this answer in the last user turn. None without
    an answer or a user turn."""
    *before, answer = turns
    asking = max((index for index, turn in enumerate(before) if turn.role == "user"), default=None)
    if asking is None or not answer.content.strip():
        return None
    content = WORDING.format(message=before[asking].content, answer=answer.content)
    before[asking] = before[asking].model_copy(update={"content": content})
    return tuple(before)
