"""Estimate a job before it runs: nodes, rows, tokens, cost and memory. Reads local files only."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
from azdistill.engine.pipeline import expressions
from azdistill.job.bundle import pipeline_document
from azdistill.job.judge_section import JudgeSection
from azdistill.job.memory import Memory, Training, choose_settings, gpu_of, training_of, what_would_fit
from azdistill.job.model import DistillationJob
from azdistill.job.paths import is_remote, is_rubric_file
from azdistill.job.plan import plan
from azdistill.job.run_settings import SERVERLESS, train_processes
from azdistill.job.samples import first_rows, reference_in, row_texts
from azdistill.job.serving import PlannedServing, planned_serving
from azdistill.tasks.records import count_rows

# Minimum and maximum characters of a token, as measured on European languages.
CHARACTERS = (3, 5)

# Number of rows of each file whose length is measured. The other rows are only counted.
SAMPLE = 200

# Minimum tokens of a chain of thought, and of a judge's reasons: two sentences.
THOUGHT_TOKENS = 30

# Summaries of a chain of density, each about as long as the answer.
DRAFTS = 5

# Largest batch that is looked for.
MOST_ROWS = 1024

MILLION = 1_000_000
SPLITS = {"train": "training_data", "validation": "validation_data", "test": "test_data"}


@dataclass(frozen=True)
class EstimatedRange:
    """A minimum and a maximum."""

    low: float
    high: float


@dataclass(frozen=True)
class EstimatedNode:
    """A node, the nodes it depends on, its compute and its time limit in seconds.

    `instance_type` is None on a cluster, which has a fixed one. With section `tuning`, train is a sweep of at most
    `trials` trainings, and the time limit is that of each one. 1 for every other node.
    """

    name: str
    after: tuple[str, ...]
    compute: str
    instance_type: str | None
    timeout: int
    trials: int


@dataclass(frozen=True)
class PlannedTraining:
    """Settings and GPU memory of the training. Memory is in GB, of one GPU: each holds a complete student unless it is
    sharded. `processes` is the number of GPUs that train together.

    `reasons` say why a setting was chosen that the job leaves open. `parts` are those of `needed_gb`, which is the
    largest `during` a part of a step, for a batch of `rows` rows of `length` tokens: the largest that the settings
    allow. `largest_rows` (of `length` tokens) and `largest_length` (of one row) fit. `rows_gb` is the memory for rows
    of `rows_length` tokens, which is the most that the rows of the job have on average. `is_rough` is true where the
    architecture is not measured: then the memory is that of the parameters only. `fixes` make it fit. None if unknown.
    """

    method: str
    sharding: str
    processes: int
    gradient_checkpointing: bool
    batch_size: int
    reasons: Mapping[str, str]
    rows: int
    length: int
    needed_gb: float | None = None
    parts: Mapping[str, float] | None = None
    during: str = ""
    is_rough: bool = False
    vm: str | None = None
    vm_gb: int | None = None
    fits: bool | None = None
    largest_rows: int | None = None
    largest_length: int | None = None
    rows_length: int | None = None
    rows_gb: float | None = None
    fixes: tuple[str, ...] = ()


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
class Estimate:
    """Estimate of a job.

    `rows` is the number of rows by split, None for a remote file. `asked` (the number of paid requests),
    `input_tokens`, `output_tokens` and `cost` are sums over `teachers`. They are None, and `teachers` is empty, when a
    file is remote. `asked` is 0 when the job sends no requests to an endpoint. `judge` is None without one, when its
    rows are remote, and when it is simulated, and so is `judge_answers`, the requests about the teacher's answers to
    training and validation rows. `judge_cost` is the cost of both, None without prices. `augment` are the requests for
    new prompts, whose answers are counted in `teachers`; None without data.augment, for remote rows and simulated
    teachers. `scorer` are the requests of step train to score sampled answers; None without section `scorer`, for
    remote rows and a dry run. `serving` is None without section `deployment`.
    """

    nodes: tuple[EstimatedNode, ...]
    rows: Mapping[str, int | None]
    teachers: tuple[PlannedTeacher, ...]
    asked: EstimatedRange | None
    input_tokens: EstimatedRange | None
    output_tokens: EstimatedRange | None
    cost: EstimatedRange | None
    training: PlannedTraining
    judge: PlannedTeacher | None = None
    judge_answers: PlannedTeacher | None = None
    judge_cost: EstimatedRange | None = None
    augment: PlannedTeacher | None = None
    serving: PlannedServing | None = None
    scorer: PlannedTeacher | None = None


@dataclass(frozen=True)
class _Sampled:
    """Statistics of a data file: number of rows, and means per row of characters, characters of the reference answer
    and assistant turns."""

    rows: int
    characters: float
    reference: float
    turns: float


def estimate(job: DistillationJob) -> Estimate:
    """Estimate a job whose local files exist."""
    files = {split: path for split, name in SPLITS.items() if (path := getattr(job.data, name))}
    sampled = {split: _sampled(Path(path), job.prepare.rows) for split, path in files.items() if not is_remote(path)}
    rows = _rows(job, files, sampled)
    counted = {split: count for split, count in rows.items() if count is not None}
    has_endpoint = job.teacher.teacher_route == "endpoint"
    teachers = tuple(_teachers(job, counted, sampled)) if has_endpoint and len(counted) == len(rows) else ()
    asked, input_tokens, output_tokens, cost = _totals(job, teachers)
    judge, judge_answers = planned_judge(job, rows["test"], sampled), planned_judge_answers(job, rows, sampled)
    return Estimate(
        nodes=planned_nodes(job),
        rows=rows,
        teachers=teachers,
        asked=None if has_endpoint and not teachers else asked,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        cost=cost,
        training=_training(job, sampled),
        judge=judge,
        judge_answers=judge_answers,
        judge_cost=_judge_cost(job, [planned for planned in (judge_answers, judge) if planned]),
        augment=planned_augment(job, sampled),
        serving=planned_serving(job),
        scorer=planned_scorer(job, rows["train"], sampled),
    )


def planned_nodes(job: DistillationJob) -> tuple[EstimatedNode, ...]:
    """The nodes of the pipeline that is submitted."""
    return tuple(_planned_node(name, node) for name, node in pipeline_document(plan(job))["jobs"].items())


def _planned_node(name: str, node: Mapping[str, Any]) -> EstimatedNode:
    limits = node["limits"]
    return EstimatedNode(
        name=name,
        after=_upstream(node["inputs"]),
        compute=node["compute"],
        instance_type=node.get("resources", {}).get("instance_type"),
        timeout=limits["trial_timeout" if node["type"] == "sweep" else "timeout"],
        trials=limits.get("max_total_trials", 1),
    )


def _upstream(inputs: Mapping[str, Any]) -> tuple[str, ...]:
    references = [expressions.reference(value) for value in inputs.values() if isinstance(value, str)]
    return tuple(dict.fromkeys(source.node for source in references if isinstance(source, expressions.JobOutput)))


def _rows(job: DistillationJob, files: Mapping[str, str], sampled: Mapping[str, _Sampled]) -> dict[str, int | None]:
    """Number of rows by split. A split without a file is a fraction of the training rows."""
    counts: dict[str, int | None] = {split: sampled[split].rows if split in sampled else None for split in files}
    total = counts["train"]
    for split, fraction in (("test", job.prepare.test_fraction), ("validation", job.prepare.validation_fraction)):
        if split not in files:
            counts[split] = None if total is None else _drawn(total, fraction)
            counts["train"] = None if counts["train"] is None else max(0, counts["train"] - (counts[split] or 0))
    return {split: counts[split] for split in SPLITS}


def _drawn(rows: int, fraction: float) -> int:
    """Number of rows that step prepare draws for a split: one at least."""
    return max(1, round(rows * fraction)) if fraction and rows > 1 else 0


def _teachers(
    job: DistillationJob, rows: Mapping[str, int], sampled: Mapping[str, _Sampled]
) -> Iterator[PlannedTeacher]:
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
    job: DistillationJob, requests: EstimatedRange, sampled: Mapping[str, _Sampled]
) -> tuple[EstimatedRange, EstimatedRange]:
    """Tokens of all prompts and of all answers. An answer is assumed to be at least as long as a reference answer. It
    has at most max_tokens."""
    short, long = CHARACTERS
    prompting, max_tokens = job.teacher.prompting, job.teacher.max_tokens
    characters = sampled["train"].characters + _added(prompting)
    reference = max(file.reference for file in sampled.values())
    min_tokens = min(_reasoned(max(reference / long, 1), prompting), max_tokens)
    # An early turn has a short history.
    history = 0.5 if job.teacher.turns == "all" else 1
    return (
        EstimatedRange(round(requests.low * characters * history / long), round(requests.high * characters / short)),
        EstimatedRange(round(requests.low * min_tokens), round(requests.high * max_tokens)),
    )


def _added(prompting: Prompting) -> int:
    """Characters that the prompting adds to a row."""
    return sum(len(turn["content"]) for turn in render((Message(role="user", content=""),), prompting))


def _reasoned(answer: float, prompting: Prompting) -> float:
    """Tokens of an answer with the reasoning that the prompting requests."""
    if prompting.chain_of_density:
        return answer * (DRAFTS + 1)
    return answer + THOUGHT_TOKENS if prompting.chain_of_thought else answer


def planned_judge(
    job: DistillationJob, test_rows: int | None, sampled: Mapping[str, _Sampled]
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
    job: DistillationJob, rows: Mapping[str, int | None], sampled: Mapping[str, _Sampled]
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


def _judged(judge: JudgeSection, asked: int, answers: int, longest: int, rows: _Sampled) -> PlannedTeacher:
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


def _judge_cost(job: DistillationJob, planned: Sequence[PlannedTeacher]) -> EstimatedRange | None:
    """The cost of all requests to the judge, for which there is one budget."""
    costs = [requests.cost for requests in planned if requests.cost]
    total = _sum(costs)
    return _within_budget(total.low, total.high, job.judge.budget) if job.judge and costs else None


def planned_scorer(
    job: DistillationJob, train_rows: int | None, sampled: Mapping[str, _Sampled]
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


def planned_augment(job: DistillationJob, sampled: Mapping[str, _Sampled]) -> PlannedTeacher | None:
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


def _totals(
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


def _training(job: DistillationJob, sampled: Mapping[str, _Sampled]) -> PlannedTraining:
    choice = choose_settings(job)
    config, unsized = choice.config, training_of(job)
    training = unsized and unsized.with_settings(**dict(config))
    planned = PlannedTraining(
        config.method,
        config.sharding,
        train_processes(job.compute),
        bool(config.gradient_checkpointing),
        config.batch_size,
        choice.reasons,
        rows=math.ceil(config.batch_size / config.gradient_accumulation_steps),
        length=config.max_length,
        vm=job.compute.gpu_instance_type if job.compute.gpu == SERVERLESS else None,
        vm_gb=gpu.gpu_memory_gb if (gpu := gpu_of(job)) else None,
    )
    memory = training.memory() if training else None
    if training is None or memory is None:
        return planned
    planned = replace(planned, needed_gb=memory.total_gb, is_rough=memory.is_rough, fits=training.fits())
    if training.fits() is False:
        planned = replace(planned, fixes=tuple(what_would_fit(training)))
    return planned if memory.is_rough else replace(planned, **_measured(job, training, memory, sampled))


def _measured(
    job: DistillationJob, training: Training, memory: Memory, sampled: Mapping[str, _Sampled]
) -> dict[str, Any]:
    """The fields of a training whose student is measured."""
    length = _row_tokens(job, sampled["train"]) if "train" in sampled else None
    typical = training.memory(length=length) if length else None
    fields: dict[str, Any] = {
        "parts": memory.parts,
        "during": memory.during,
        "rows_length": length,
        "rows_gb": typical and typical.total_gb,
    }
    if training.gpu is None:
        return fields
    context = training.student.context or training.config.max_length
    return fields | {
        "largest_rows": training.largest_rows(MOST_ROWS),
        "largest_length": training.largest_length(context),
    }


def _row_tokens(job: DistillationJob, sampled: _Sampled) -> int:
    """The most tokens that a training row has on average: of its prompt, and of the longest answer."""
    prompt = (sampled.characters + _added(job.teacher.prompting)) / CHARACTERS[0]
    return min(math.ceil(prompt) + job.teacher.max_tokens, job.train.max_length)


def _sampled(path: Path, max_rows: int) -> _Sampled:
    rows = list(first_rows(path, min(max_rows or SAMPLE, SAMPLE)))
    characters = sum(len(text) for row in rows for text in row_texts(row))
    references = sum(len(reference_in(row)) for row in rows)
    counted, read = count_rows(path), max(len(rows), 1)
    turns = sum(map(_turns, rows)) / read
    return _Sampled(min(counted, max_rows or counted), characters / read, references / read, turns)


def _turns(row: Any) -> int:
    """Assistant turns of a row's conversation, including the answer to its last turn."""
    turns = row.get("messages") if isinstance(row, dict) else None
    roles = [turn.get("role") for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
    return roles.count("assistant") + (roles[-1:] != ["assistant"])
