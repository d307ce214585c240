"""Minimum time of the teacher step: what the rate limits of its teachers allow."""

from collections.abc import Iterator

from azdistill.contracts.problems import Problem
from azdistill.contracts.requests import Teacher
from azdistill.job.model import DistillationJob
from azdistill.job.planned_requests import EstimatedRange, PlannedTeacher
from azdistill.job.run_settings import timeout


def teacher_minutes(job: DistillationJob, planned: tuple[PlannedTeacher, ...]) -> EstimatedRange | None:
    """Minutes in which the teachers answer all requests at their rate limits. They work concurrently.

    None if no teacher has a rate limit in the job, or if the number of requests is unknown.
    """
    teachers = zip(job.teacher.teachers, planned, strict=True) if planned else ()
    minutes = [time for teacher, estimate in teachers if (time := _minutes(teacher, estimate))]
    return EstimatedRange(max(time.low for time in minutes), max(time.high for time in minutes)) if minutes else None


def _minutes(teacher: Teacher, planned: PlannedTeacher) -> EstimatedRange | None:
    limits = {"requests": teacher.requests_per_minute, "tokens": teacher.tokens_per_minute}
    if not any(limits.values()):
        return None
    prompts, answers = planned.input_tokens, planned.output_tokens
    low = {"requests": planned.asked.low, "tokens": prompts.low + answers.low}
    high = {"requests": planned.asked.high, "tokens": prompts.high + answers.high}
    return EstimatedRange(
        max(low[name] / limit for name, limit in limits.items() if limit),
        max(high[name] / limit for name, limit in limits.items() if limit),
    )


def time_problems(job: DistillationJob, minutes: EstimatedRange | None) -> Iterator[Problem]:
    """A warning if the rate limits do not allow all answers within the time limit of the teacher step."""
    limit = timeout("teacher", job.compute) / 60
    if minutes and minutes.high > limit:
        needed = f"at least {minutes.low:,.0f}" if minutes.low > limit else f"up to {minutes.high:,.0f}"
        yield Problem(
            code="short_timeout",
            message=f"the rate limits allow all answers in {needed} minutes, and the step ends after {limit:,.0f}",
            fix="raise it or the rate limits; the next run continues with the answers that are in the store",
            field=("compute", "timeout", "teacher"),
            severity="warning",
        )
