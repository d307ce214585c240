"""Estimate the requests of a job to teachers, judge and scorer: number, tokens and cost. Reads local files only."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.augment import AugmentSettings
from azdistill.contracts.augmenting import MOST_REQUESTS, PromptRequest
from azdistill.contracts.augmenting import render as render_request
from azdistill.contracts.judging import REQUESTS
from azdistill.contracts.judging import render as render_case
from azdistill.contracts.prompting import render
from azdistill.contracts.requests import Prompting, Teacher
from azdistill.contracts.rows import Message
from azdistill.job.judge_section import JudgeSection
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote, is_rubric_file
from azdistill.job.samples import first_rows, reference_in, row_texts
from azdistill.tasks.records import count_rows

# Minimum and maximum characters of a token, as measured on European languages.
CHARACTERS = (3, 5)

# Number of rows of each file whose length is measured. The other rows are only counted.
SAMPLE = 200

# Minimum tokens of a chain of thought, and of a judge's reasons: two sentences.
THOUGHT_TOKENS = 30

# Summaries of a chain of density, each about as long as the answer.
DRAFTS = 5

MILLION = 1_000_000


@dataclass(frozen=True)
class EstimatedRange:
    """A minimum and a maximum."""

    low: float
    high: float


@dataclass(frozen=True)
class PlannedTeacher:
    """Estimate of one teacher, of a judge of answers or of test rows, of a scorer, or of the requests for new prompts.

    `asked` is the number of paid requests. `cost` is in the currency of the prices and at most the budget. It is None
    without prices.
    """

    name: str
    asked: EstimatedRange
    input_tokens: EstimatedRange
    output_tokens: EstimatedRange
    cost: EstimatedRange | None


@dataclass(frozen=True)
class SampledFile:
    """Statistics of a data file: number of rows, and means per row of characters, characters of the reference answer
    and assistant turns."""

    rows: int
    characters: float
    reference: float
    turns: float


def sample_file(path: Path, max_rows: int) -> SampledFile:
    """Statistics of the first `max_rows` rows of a file, 0 for all: the means are of at most SAMPLE rows."""
    rows = list(first_rows(path, min(max_rows or SAMPLE, SAMPLE)))
    characters = sum(len(text) for row in rows for text in row_texts(row))
    references = sum(len(reference_in(row)) for row in rows)
    counted, read = count_rows(path), max(len(rows), 1)
    turns = sum(map(_turns, rows)) / read
    return SampledFile(min(counted, max_rows or counted), characters / read, references / read, turns)


def _turns(row: Any) -> int:
    """Assistant turns of a row's conversation, including the answer to its last turn."""
    turns = row.get("messages") if isinstance(row, dict) else None
    roles = [turn.get("role") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return roles.count("assistant") + (roles[-1:] != ["assistant"])


def planned_teachers(
    job: DistillationJob, rows: Mapping[str, int], sampled: Mapping[str, SampledFile]
) -> Iterator[PlannedTeacher]:
    """Requests to each teacher. `rows` is the number of rows by split, `sampled` has the files with rows by split."""
    for teacher, requests in zip(job.teacher.teachers, _requests(job, rows, sampled["train"].turns), strict=True):
        prompts, answers = _tokens(job, requests, sampled)
        cost = _cost(teacher, prompts, answers, job.teacher.budget)
        yield PlannedTeacher(teacher.called, requests, prompts, answers, cost)


def _requests(job: DistillationJob, rows: Mapping[str, int], turns: float) -> Iterator[EstimatedRange]:
    """Number of requests to each teacher. A test row gets one answer, with policy all from the first teacher only.
    A cascade also samples test rows, because it compares the samples."""
    config, total = job.teacher, sum(teacher.weight for teacher in job.teacher.teachers)
    training = _answers_to_train(job, rows["train"] + rows["validation"], turns)
    testing = rows["test"] * (config.samples if config.policy == "cascade" else 1)
    for index, teacher in enumerate(config.teachers):
        share = teacher.weight / total if config.policy == "route" else 1
        maximum = share * (training + (0 if index and config.policy == "all" else testing))
        is_always_asked = index == 0 or config.policy in ("route", "all")
        yield EstimatedRange(round(maximum) if is_always_asked else 0, round(maximum))


def _answers_to_train(job: DistillationJob, rows: int, turns: float) -> float:
    """Number of answers of one teacher that is asked about all training and validation rows, and about new prompts."""
    new = job.data.augment.new_prompts if job.data.augment else 0
    return (rows * (turns if job.teacher.turns == "all" else 1) + new) * job.teacher.samples


def _tokens(
    job: DistillationJob, requests: EstimatedRange, sampled: Mapping[str, SampledFile]
) -> tuple[EstimatedRange, EstimatedRange]:
    """Tokens of all prompts and of all answers. An answer is assumed to be at least as long as a reference answer. It
    has at most max_tokens."""
    short, long = CHARACTERS
    prompting, max_tokens = job.teacher.prompting, job.teacher.max_tokens
    characters = sampled["train"].characters + added_characters(prompting)
    reference = max(file.reference for file in sampled.values())
    min_tokens = min(_reasoned(max(reference / long, 1), prompting), max_tokens)
    # An early turn has a short history.
    history = 0.5 if job.teacher.turns == "all" else 1
    return (
        EstimatedRange(round(requests.low * characters * history / long), round(requests.high * characters / short)),
        EstimatedRange(round(requests.low * min_tokens), round(requests.high * max_tokens)),
    )


def added_characters(prompting: Prompting) -> int:
    """Characters that the prompting adds to a row."""
    return sum(len(turn["content"]) for turn in render((Message(role="user", content=""),), prompting))


def _reasoned(answer: float, prompting: Prompting) -> float:
    """Tokens of an answer with the reasoning that the prompting requests."""
    if prompting.chain_of_density:
        return answer * (DRAFTS + 1)
    return answer + THOUGHT_TOKENS if prompting.chain_of_thought else answer


def planned_judge(
    job: DistillationJob, test_rows: int | None, sampled: Mapping[str, SampledFile]
) -> PlannedTeacher | None:
    """Requests of a judge about `test_rows` rows and the labels of people, if all answers differ.

    A prompt has the instructions, the row with its reference, and answers as long as the reference up to the maximum.
    """
    judge, rows = job.judge, sampled.get("test") or sampled.get("train")
    if judge is None or judge.judge_route != "endpoint" or test_rows is None or rows is None:
        return None
    answers = 2 if judge.mode == "pairwise" else 1
    labels = count_rows(Path(judge.human_labels)) if judge.human_labels and not is_remote(judge.human_labels) else 0
    judged = min(judge.rows or test_rows, test_rows)
    asked = judged * REQUESTS[judge.mode] + labels * answers
    longest = max(job.teacher.max_tokens, job.predict.max_new_tokens)
    return _judged(judge, asked, answers, longest, rows)


def planned_judge_answers(
    job: DistillationJob, rows: Mapping[str, int | None], sampled: Mapping[str, SampledFile]
) -> PlannedTeacher | None:
    """Requests of a judge about the answers that may become training or validation rows, if all are complete and
    differ. With policy all, each teacher answers."""
    judge, train, validation = job.judge, rows["train"], rows["validation"]
    if job.curate.min_judge_score is None or judge is None or judge.judge_route != "endpoint":
        return None
    if train is None or validation is None:
        return None
    answers = _answers_to_train(job, train + validation, sampled["train"].turns)
    asked = round(answers * (len(job.teacher.teachers) if job.teacher.policy == "all" else 1))
    return _judged(judge, asked, 1, job.teacher.max_tokens, sampled["train"])


def _judged(judge: JudgeSection, asked: int, answers: int, longest: int, rows: SampledFile) -> PlannedTeacher:
    """At most `asked` requests to a judge about `answers` answers each, which have at most `longest` tokens."""
    instructions = render_case((), (), ("",) * answers, _rubric(judge.rubric))
    characters = sum(len(turn.content) for turn in instructions) + rows.characters + rows.reference
    short, long = CHARACTERS
    prompts = EstimatedRange(
        round(asked * (characters + answers * rows.reference) / long),
        round(asked * (characters / short + answers * longest)),
    )
    replies = EstimatedRange(asked * min(THOUGHT_TOKENS, judge.max_tokens), asked * judge.max_tokens)
    cost = _cost(judge.judge_model, prompts, replies, judge.budget)
    return PlannedTeacher(judge.judge_model.called, EstimatedRange(asked, asked), prompts, replies, cost)


def judge_cost(job: DistillationJob, planned: Sequence[PlannedTeacher]) -> EstimatedRange | None:
    """The cost of all requests to the judge, for which there is one budget."""
    costs = [requests.cost for requests in planned if requests.cost]
    total = _sum(costs)
    return _within_budget(total.low, total.high, job.judge.budget) if job.judge and costs else None


def planned_scorer(
    job: DistillationJob, train_rows: int | None, sampled: Mapping[str, SampledFile]
) -> PlannedTeacher | None:
    """Requests to score the answers that the student samples to `train_rows` rows, all of them different.

    Each costs its prompt and answer, and one generated token.
    """
    scorer, settings, rows = job.scorer, job.train.on_policy, sampled.get("train")
    if scorer is None or settings is None or train_rows is None or rows is None or scorer.scorer_route == "simulated":
        return None
    new = job.data.augment.new_prompts if job.data.augment else 0
    visits = (train_rows + new) * job.teacher.samples * job.train.num_epochs * (1 - settings.start_fraction)
    asked = round(visits * settings.share * settings.rollouts)
    short, long = CHARACTERS
    longest = min((rows.characters - rows.reference) / short + settings.max_new_tokens, job.train.max_length)
    tokens = EstimatedRange(round(asked * rows.characters / long), round(asked * longest))
    requests = EstimatedRange(asked, asked)
    (teacher,) = scorer.requests.teachers
    cost = _cost(teacher, tokens, requests, scorer.budget)
    return PlannedTeacher(scorer.model or teacher.called, requests, tokens, requests, cost)


def planned_augment(job: DistillationJob, sampled: Mapping[str, SampledFile]) -> PlannedTeacher | None:
    """Requests for new prompts that are as long as the training rows."""
    augment, rows = job.data.augment, sampled.get("train")
    if augment is None or job.teacher.teacher_route != "endpoint" or rows is None:
        return None
    needed = math.ceil(augment.new_prompts / augment.per_request)
    requests = EstimatedRange(needed, MOST_REQUESTS * needed)
    instructions = render_request(PromptRequest(1, augment.per_request, ()))
    length = max(rows.characters - rows.reference, 1)
    characters = sum(len(turn.content) for turn in instructions) + augment.examples * length
    short, long = CHARACTERS
    prompts = EstimatedRange(round(requests.low * characters / long), round(requests.high * characters / short))
    reply = min(augment.per_request * length / long, augment.max_tokens)
    replies = EstimatedRange(round(requests.low * reply), round(requests.high * augment.max_tokens))
    names = ", ".join(teacher.called for teacher in job.teacher.teachers)
    return PlannedTeacher(names, requests, prompts, replies, _augment_cost(job, augment, prompts, replies))


def _augment_cost(
    job: DistillationJob, augment: AugmentSettings, prompts: EstimatedRange, replies: EstimatedRange
) -> EstimatedRange | None:
    """The cost of requests that the teachers share by their weights. None if a teacher has no price."""
    weights = sum(teacher.weight for teacher in job.teacher.teachers)
    costs = [(teacher.weight / weights, _cost(teacher, prompts, replies, None)) for teacher in job.teacher.teachers]
    known = [EstimatedRange(share * cost.low, share * cost.high) for share, cost in costs if cost]
    total = _sum(known)
    return _within_budget(total.low, total.high, augment.budget) if len(known) == len(costs) else None


def _rubric(rubric: str) -> str:
    """The text of a rubric; empty for a remote file."""
    if not is_rubric_file(rubric):
        return rubric
    return "" if is_remote(rubric) else Path(rubric).read_text(encoding="utf-8")


def _cost(
    teacher: Teacher, prompts: EstimatedRange, answers: EstimatedRange, budget: float | None
) -> EstimatedRange | None:
    if teacher.input_price is None or teacher.output_price is None:
        return None
    low = prompts.low * teacher.input_price + answers.low * teacher.output_price
    high = prompts.high * teacher.input_price + answers.high * teacher.output_price
    return _within_budget(low / MILLION, high / MILLION, budget)


def _within_budget(low: float, high: float, budget: float | None) -> EstimatedRange:
    most = float("inf") if budget is None else budget
    return EstimatedRange(min(low, most), min(high, most))


def totals(
    job: DistillationJob, teachers: Sequence[PlannedTeacher]
) -> tuple[EstimatedRange, EstimatedRange | None, EstimatedRange | None, EstimatedRange | None]:
    """Sums of requests, input tokens, output tokens and cost. The cost is None if the cost of a teacher is unknown."""
    if not teachers:
        return EstimatedRange(0, 0), None, None, None
    costs = [teacher.cost for teacher in teachers if teacher.cost]
    total = _sum(costs) if len(costs) == len(teachers) else None
    return (
        _sum([teacher.asked for teacher in teachers]),
        _sum([teacher.input_tokens for teacher in teachers]),
        _sum([teacher.output_tokens for teacher in teachers]),
        total and _within_budget(total.low, total.high, job.teacher.budget),
    )


def _sum(ranges: Sequence[EstimatedRange]) -> EstimatedRange:
    return EstimatedRange(sum(item.low for item in ranges), sum(item.high for item in ranges))
