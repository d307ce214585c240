"""azdistill plan: show what a job does and needs, before it runs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.options import Format, Settings, read_job_fields
from azdistill.cli.render import print_text

if TYPE_CHECKING:
    from azdistill.job.estimates import Estimate
    from azdistill.job.model import DistillationJob
    from azdistill.job.planned_requests import EstimatedRange, PlannedTeacher
    from azdistill.job.planned_training import PlannedTraining
    from azdistill.job.serving import PlannedServing

UNKNOWN = "unknown, because not all rows are on this machine"


def plan(
    job: Annotated[Path, typer.Argument(metavar="JOB", help="job file (YAML)")],
    format: Annotated[Format, typer.Option("--format", help="json: one object, for programs")] = Format.text,
    settings: Settings = None,
) -> None:
    """Show what a job does and needs: nodes, rows, cost, memory.

    It counts the rows of local files and sends no request. Tokens are estimated from the length of the rows, with
    answers of at most max_tokens. Answers that are already in the store cost nothing. The cost is shown if the
    teacher has input_price and output_price.

    Example: azdistill plan job.yaml

    Exit codes: 0 shown, 2 wrong input.
    """
    from azdistill.cli.paths import job_file
    from azdistill.contracts.errors import SpecError
    from azdistill.doctor.data import check_files, local_problems
    from azdistill.job.estimates import estimate
    from azdistill.job.loading import check_job, located
    from azdistill.job.teacher_time import teacher_minutes, time_problems

    job = job_file(job)
    valid_job, problems = check_job(job, settings=read_job_fields(settings))
    if valid_job is None:
        raise SpecError(problems=problems)
    problems += located(job, local_problems(valid_job, check_files(valid_job)))
    estimated = estimate(valid_job)
    minutes = teacher_minutes(valid_job, estimated.teachers)
    warnings = [str(problem) for problem in (*problems, *time_problems(valid_job, minutes))]
    (_print_as_json if format == Format.json else _print_as_text)(valid_job, estimated, minutes, warnings)


def _print_as_json(
    job: "DistillationJob", estimated: "Estimate", minutes: "EstimatedRange | None", warnings: list[str]
) -> None:
    """The estimate, with the warnings as texts."""
    import dataclasses
    import json

    figures = dataclasses.asdict(estimated) | {"teacher_minutes": minutes and dataclasses.asdict(minutes)}
    print_text(json.dumps({"job": job.name, **figures, "warnings": warnings}, indent=2))


def _print_as_text(
    job: "DistillationJob", estimated: "Estimate", minutes: "EstimatedRange | None", warnings: list[str]
) -> None:
    """Two tables, and the warnings below them."""
    from azdistill.cli.render import console, framed_table

    nodes = [
        (
            node.name,
            ", ".join(node.after),
            " ".join(filter(None, (node.compute, node.instance_type))),
            f"{node.timeout / 3600:g} h" + (f" for each of {node.trials} trials" if node.trials > 1 else ""),
        )
        for node in estimated.nodes
    ]
    tables = (
        framed_table(("node", "after", "compute", "time limit"), nodes),
        framed_table(("item", "estimate"), list(_figures(job, estimated, minutes))),
    )
    console().print(*tables, *warnings, sep="\n", markup=False, highlight=False, soft_wrap=True)


def _figures(
    job: "DistillationJob", estimated: "Estimate", minutes: "EstimatedRange | None"
) -> Iterator[tuple[str, str]]:
    rows = (f"{'unknown' if count is None else f'{count:,}'} {split}" for split, count in estimated.rows.items())
    new = job.data.augment.new_prompts if job.data.augment else 0
    yield "rows", ", ".join(rows) + (f"; {new:,} new training prompts" if new else "")
    yield from _augment(job, estimated)
    yield from _teachers(job, estimated)
    if job.teacher.teacher_route == "endpoint":
        yield "prompt tokens", _tokens(estimated.input_tokens)
        limit = f"at most max_tokens={job.teacher.max_tokens} per answer"
        yield "answer tokens", f"{_tokens(estimated.output_tokens)}, {limit}"
        yield "cost", _cost(estimated, job.teacher.budget)
    yield from _judge(job, estimated)
    yield from _scorer(job, estimated)
    if minutes:
        yield "teacher time", f"{minutes.low:,.0f} to {minutes.high:,.0f} minutes at the rate limits"
    yield "student", job.student.model
    yield from _training(estimated.training)
    if estimated.serving:
        yield from _serving(estimated.serving)


def _teachers(job: "DistillationJob", estimated: "Estimate") -> Iterator[tuple[str, str]]:
    """One line for one teacher. For several teachers, one line for all and one line for each that gets requests."""
    names = ", ".join(teacher.called for teacher in job.teacher.teachers)
    if len(job.teacher.teachers) == 1:
        yield "teacher", f"{names}: {_requests(job, estimated)}"
        return
    policy = f"policy {job.teacher.policy}, samples {job.teacher.samples}"
    yield "teachers", f"{policy if estimated.teachers else names}: {_requests(job, estimated)}"
    for teacher in estimated.teachers:
        cost = "no prices" if teacher.cost is None else _amount(teacher.cost)
        yield f"  {teacher.name}", f"{_count(teacher.asked)}, cost {cost}"


def _augment(job: "DistillationJob", estimated: "Estimate") -> Iterator[tuple[str, str]]:
    """The requests for new prompts."""
    augment = estimated.augment
    if augment:
        asked = f"{augment.asked.low:,} to {augment.asked.high:,} requests, the more of them the more are rejected"
        yield "new prompts", f"{augment.name}: {asked}"
        yield from _cost_lines(augment, job.data.augment.budget if job.data.augment else None)
    elif job.data.augment and job.teacher.teacher_route == "endpoint":
        yield "new prompts", UNKNOWN


def _cost_lines(planned: "PlannedTeacher", budget: float | None) -> Iterator[tuple[str, str]]:
    cost = "no prices: set input_price and output_price" if planned.cost is None else _amount(planned.cost, budget)
    yield "  tokens", f"{_tokens(planned.input_tokens)} of prompts, {_tokens(planned.output_tokens)} of replies"
    yield "  cost", cost


def _judge(job: "DistillationJob", estimated: "Estimate") -> Iterator[tuple[str, str]]:
    if job.judge is None:
        return
    name, minimum = job.judge.judge_model.called, job.curate.min_judge_score
    if job.judge.judge_route != "endpoint":
        yield "judge", f"{name}: no requests, because judge_route is {job.judge.judge_route}"
        return
    if minimum is not None:
        purpose = f"for curate.min_judge_score={minimum:g}"
        yield from _judge_requests("judge, answers", name, estimated.judge_answers, purpose, job.judge.budget)
    yield from _judge_requests("judge, test", name, estimated.judge, f"mode {job.judge.mode}", job.judge.budget)
    if minimum is not None and estimated.judge_cost:
        yield "judge, cost", f"of both: {_amount(estimated.judge_cost, job.judge.budget)}"


def _judge_requests(
    label: str, name: str, planned: "PlannedTeacher | None", purpose: str, budget: float | None
) -> Iterator[tuple[str, str]]:
    if planned is None:
        yield label, f"{name}: {UNKNOWN}"
    else:
        yield label, f"{name}: {_count(planned.asked)}, {purpose}"
        yield from _cost_lines(planned, budget)


def _scorer(job: "DistillationJob", estimated: "Estimate") -> Iterator[tuple[str, str]]:
    """The requests that score sampled answers. They cost nothing at a model that is served next to the training."""
    scorer = estimated.scorer
    if job.scorer is None:
        return
    if job.scorer.scorer_route == "simulated":
        yield "scorer", "no requests, because scorer_route is simulated"
    elif scorer is None:
        yield "scorer", UNKNOWN
    elif job.scorer.teacher is None:
        share = f"in {job.scorer.gpu_memory:.0%} of the GPU memory"
        yield "scorer", f"{scorer.name}, served {share}: {_count(scorer.asked)}"
        yield "  tokens", f"{_tokens(scorer.input_tokens)} of prompts and sampled answers"
    else:
        yield "scorer", f"{scorer.name}: {_count(scorer.asked)}, one for each sampled answer"
        yield from _cost_lines(scorer, job.scorer.budget)


def _requests(job: "DistillationJob", estimated: "Estimate") -> str:
    if job.teacher.teacher_route != "endpoint":
        return f"no requests, because teacher_route is {job.teacher.teacher_route}"
    return UNKNOWN if estimated.asked is None else _count(estimated.asked)


def _count(requests: "EstimatedRange") -> str:
    if requests.low == requests.high:
        return f"at most {requests.high:,} requests"
    return f"{requests.low:,} to {requests.high:,} requests, depending on the policy"


def _tokens(tokens: "EstimatedRange | None") -> str:
    return UNKNOWN if tokens is None else f"{tokens.low:,.0f} to {tokens.high:,.0f}"


def _cost(estimated: "Estimate", budget: float | None) -> str:
    if estimated.cost is not None:
        return f"in the currency of the prices: {_amount(estimated.cost, budget)}"
    if estimated.asked is None:
        return UNKNOWN
    names = [repr(teacher.name) for teacher in estimated.teachers if teacher.cost is None]
    teachers = "the teacher" if len(estimated.teachers) == 1 else ", ".join(names)
    return f"no prices: set input_price and output_price of {teachers}"


def _amount(cost: "EstimatedRange", budget: float | None = None) -> str:
    """A cost, which is at most the budget, and whether the budget may end the requests."""
    from azdistill.reporting.figures import amount

    text = f"{amount(cost.low)} to {amount(cost.high)}"
    if budget is None or cost.high < budget:
        return text
    return f"{text}: the budget of {amount(budget)} {'is too small' if cost.low >= budget else 'may be too small'}"


def _training(training: "PlannedTraining") -> Iterator[tuple[str, str]]:
    """The settings that were chosen, and the memory by part."""
    yield "method", _chosen(training, "method", training.method)
    if training.processes > 1:
        yield "sharding", _chosen(training, "sharding", f"{training.sharding}, {training.processes} GPUs")
    batch = f"{training.batch_size} rows" + (f", {training.rows} at a time" * (training.rows < training.batch_size))
    yield "batch", _chosen(training, "batch_size", batch)
    checkpointing = "on" if training.gradient_checkpointing else "off"
    yield "checkpointing", _chosen(training, "gradient_checkpointing", checkpointing)
    yield "GPU memory", _memory(training)
    for part, size in (training.parts or {}).items():
        yield f"  {part}", f"{size:,.1f} GB{_explained(part)}"
    if training.rows_gb is not None:
        rows = f"{training.rows} rows of {training.rows_length:,} tokens"
        yield "  of these rows", f"{training.rows_gb:,.1f} GB for {rows}, the most that yours have on average"
    if training.largest_rows is not None:
        rows = f"{training.largest_rows:,} rows of {training.length:,} tokens"
        yield "  at most", f"{rows}, or one row of {training.largest_length:,} tokens"


def _chosen(training: "PlannedTraining", field: str, value: str) -> str:
    reason = training.reasons.get(field)
    return f"{value}, chosen: {reason}" if reason else value


def _memory(training: "PlannedTraining") -> str:
    if training.needed_gb is None:
        return "unknown; set the student's parameters in catalog.students"
    batch = f"for {training.rows} rows of {training.length:,} tokens"
    extent = "before activations, a rough estimate" if training.is_rough else batch
    needed = f"{training.needed_gb:,.1f} GB {extent}"
    if training.fits is None:
        return f"{needed}; the memory of {training.vm or 'the cluster'} is unknown"
    fixes = ", or ".join(training.fixes) or "no known VM size has a GPU that is large enough"
    largest = f"; the largest is the {training.during}" if training.during else ""
    verdict = f"fits{largest}" if training.fits else f"DOES NOT FIT; {fixes}"
    return f"{needed}, a GPU of {training.vm} has {training.vm_gb}: {verdict}"


def _serving(serving: "PlannedServing") -> Iterator[tuple[str, str]]:
    """VMs of the endpoint, their price and their memory."""
    least, most = serving.min_instances, serving.max_instances
    count = f"{least}" if least == most else f"{least} to {most}"
    yield "endpoint", f"{serving.endpoint}: {count} x {serving.instance_type}"
    price = "unknown: set prices.serving_hour"
    if serving.hour_price is not None:
        price = f"{serving.hour_price:,.2f} per hour, without requests too; twice as much during a rollout"
    yield "  price", price
    if serving.weights_gb is None or serving.gpu_gb is None:
        yield "  GPU memory", "unknown; set the student's parameters in catalog.students, or a known VM size"
        return
    verdict = "fits" if serving.fits else "DOES NOT FIT; choose a larger VM size"
    yield "  GPU memory", f"{serving.weights_gb:,.1f} GB of weights in bfloat16, a VM has {serving.gpu_gb}: {verdict}"


def _explained(part: str) -> str:
    return ", assumed for CUDA and for memory that the allocator cannot use" if part == "reserve" else ""
