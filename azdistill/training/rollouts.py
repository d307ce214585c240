"""Rollouts of on-policy distillation: answers that the student samples to prompts of training rows."""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import numpy as np
import torch

from azdistill.contracts.errors import InputError
from azdistill.contracts.scoring import Scorer
from azdistill.contracts.train import OnPolicy, TrainConfig
from azdistill.students.decode import DecodedAnswer, GenerationRequest, can_drop_rows, context_of, decode
from azdistill.students.loading import Student
from azdistill.students.template import TokenizedRow
from azdistill.training.architecture import evaluated
from azdistill.training.batches import collate, group, privileged_inputs
from azdistill.training.rollout_diagnostics import RolloutCounts, has_loop, warnings_of
from azdistill.training.rollout_scores import with_scores
from azdistill.training.self_teacher import SelfTeacher

# Rollouts that are decoded together. Waiting ones join when this fraction of them has left.
ROLLOUTS_TOGETHER, JOIN_AT = 64, 1 / 8

Batch = dict[str, torch.Tensor]

logger = logging.getLogger("azdistill.training")


class OnPolicyBatches:
    """Batches of an optimizer step, in which rollouts take the place of a share of the rows.

    Rows and rollouts are drawn from the seed, the step and the prompt: they are the same after a resume, and do not
    depend on the division into batches. `model` is the causal language model without wrappers. A batch becomes several
    forward passes where its rollouts exceed `token_budget` (rows times the longest row); None: always one. `scorer`
    adds the likely tokens of a teacher to the rollouts of a step: see `with_scores`. With `self_teacher`, which is
    updated before each step that samples, only rows with privileged prompts are sampled.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        config: TrainConfig,
        token_budget: int | None,
        scorer: Scorer | None = None,
        self_teacher: SelfTeacher | None = None,
    ) -> None:
        if not can_drop_rows(model):
            raise InputError(
                f"rows of {type(model).__name__} cannot leave a batch that is generated, so its rollouts are too slow",
                code="no_row_cache",
                field=("train", "on_policy"),
                fix="remove it, or choose a student with attention in all layers",
            )
        assert config.on_policy is not None
        self._student, self._config, self._token_budget = Student(model, tokenizer), config, token_budget
        self._scorer = scorer
        self._settings: OnPolicy = config.on_policy
        self._self_teacher = self_teacher
        # A scoring teacher generates one token after each sequence.
        self._longest = min(config.max_length, context_of(model)) - config.has_scorer
        self._counts = RolloutCounts()
        self._first: RolloutCounts | None = None
        self._warned: set[str] = set()

    def batches(
        self, rows_of_batches: Sequence[Sequence[TokenizedRow]], step: int, max_steps: int
    ) -> list[list[Batch]]:
        """The forward passes of each batch of the step after the first `step` of `max_steps`."""
        rows = [row for batch in rows_of_batches for row in batch]
        begins = step >= self._settings.start_fraction * max_steps
        if begins and self._self_teacher:
            self._self_teacher.update()
        rollouts = self._rollouts(rows, step) if begins else {}
        with_rollouts = iter([rollouts.get(index, [(row, False)]) for index, row in enumerate(rows)])
        return [self._divided(list(chain(*islice(with_rollouts, len(batch))))) for batch in rows_of_batches]

    def take_diagnostics(self, seconds: float, overlap: float | None) -> dict[str, float]:
        """Diagnostics of the rollouts since the last call, `seconds` ago. Logs a warning where they go wrong."""
        counts, self._counts = self._counts, RolloutCounts()
        if counts.rollouts:
            self._first = self._first or counts
            new = set(warnings_of(counts, self._first, overlap, self._settings.start_fraction)) - self._warned
            self._warned |= new
            for warning in sorted(new):
                logger.warning("train: %s", warning)
        return counts.diagnostics(seconds)

    def _divided(self, rows: list[tuple[TokenizedRow, bool]]) -> list[Batch]:
        if self._token_budget is None:
            return [self._collated(rows)]
        rows = sorted(rows, key=lambda row: len(row[0].input_ids))
        return [
            self._collated(rows[part]) for part in group([len(row.input_ids) for row, _ in rows], self._token_budget)
        ]

    def _collated(self, rows: Sequence[tuple[TokenizedRow, bool]]) -> Batch:
        batch = collate([row for row, _ in rows], self._student.tokenizer.pad_token_id)
        is_rollout = torch.tensor([flag for _, flag in rows])
        if is_rollout.any():
            batch["on_policy"] = is_rollout[:, None].expand(batch["labels"].shape)
            if self._self_teacher:
                batch |= privileged_inputs([row for row, flag in rows if flag], self._student.tokenizer.pad_token_id)
        return batch

    def _rollouts(self, rows: Sequence[TokenizedRow], step: int) -> dict[int, list[tuple[TokenizedRow, bool]]]:
        """Index of a row -> the rollouts that take its place."""
        started = time.perf_counter()
        chosen, number = self._chosen(rows, step), self._settings.rollouts
        requests = [self._request(_prompt(rows[index]), step, one) for index in chosen for one in range(number)]
        answers = self._answers(requests)
        tokens = [answer.token_ids + ([] if answer.end is None else [answer.end]) for answer in answers]
        self._counts += RolloutCounts(
            rollouts=len(answers),
            ended=sum(answer.end is not None for answer in answers),
            tokens=sum(map(len, tokens)),
            loops=sum(map(has_loop, tokens)),
            seconds=time.perf_counter() - started,
        )
        rollouts = [_rollout(rows[chosen[index // number]], ids) for index, ids in enumerate(tokens)]
        if self._config.has_scorer:
            rollouts = self._scored(rollouts)
        return {
            index: [(row, True) for row in rollouts[position * number : (position + 1) * number]]
            for position, index in enumerate(chosen)
        }

    def _scored(self, rollouts: Sequence[TokenizedRow]) -> list[TokenizedRow]:
        started = time.perf_counter()
        vocabulary = len(self._student.model.get_output_embeddings().weight)
        scored = with_scores(rollouts, self._scorer, vocabulary)
        self._counts += RolloutCounts(scoring_seconds=time.perf_counter() - started)
        return scored

    def _chosen(self, rows: Sequence[TokenizedRow], step: int) -> list[int]:
        """Indices of the rows that rollouts take the place of: on average the share of all."""
        usable = [index for index, row in enumerate(rows) if self._is_usable(row)]
        count = math.floor(self._settings.share * len(rows) + self._rng(step, 0, []).random())
        return sorted(usable, key=lambda index: self._rng(step, 0, _prompt(rows[index])).random())[:count]

    def _is_usable(self, row: TokenizedRow) -> bool:
        return len(_prompt(row)) < self._longest and (self._self_teacher is None or row.privileged_ids is not None)

    def _request(self, prompt: list[int], step: int, number: int) -> GenerationRequest:
        limit = min(self._settings.max_new_tokens, self._longest - len(prompt))
        draws = self._rng(step, number + 1, prompt).random(limit).tolist()
        return GenerationRequest(prompt, limit, draws, self._settings.temperature)

    def _rng(self, step: int, stream: int, prompt: Sequence[int]) -> np.random.Generator:
        return np.random.default_rng([self._config.seed, step, stream, *prompt])

    def _answers(self, requests: Sequence[GenerationRequest]) -> list[DecodedAnswer]:
        """In evaluation mode, because dropout would change the student's distribution."""
        together = min(ROLLOUTS_TOGETHER, len(requests))
        order = sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt))
        with evaluated(self._student.model):
            answers = decode(
                self._student, [requests[index] for index in order], together, max(1, round(together * JOIN_AT))
            )
            by_request = {order[answer.index]: answer for answer in answers}
        return [by_request[index] for index in range(len(requests))]


def _prompt(row: TokenizedRow) -> list[int]:
    """The tokens before the last target turn."""
    return row.input_ids[: row.targets[-1][0]]


def _rollout(row: TokenizedRow, answer: list[int]) -> TokenizedRow:
    """The prompt of a row with another answer, all of whose tokens are targets: also an end token that pads."""
    prompt = _prompt(row)
    span = (len(prompt), len(prompt) + len(answer))
    return replace(row, input_ids=prompt + answer, targets=(span,), top_k=None)
