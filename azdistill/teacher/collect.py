"""From prompts to completions: what is stored is found, what is missing is asked, what fails is kept aside."""

import contextlib
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.rows import Completion, Prompt, Reject, TokenUsage
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import Budget, cost
from azdistill.teacher.capabilities import Capabilities, detect_logprobs
from azdistill.teacher.dispatcher import Panel
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.outcomes import Outcomes, Record, TooManyRefused
from azdistill.teacher.policy import COURSES, Course, Rules
from azdistill.teacher.prompting import answered, unreasoned
from azdistill.teacher.rank import Rank
from azdistill.teacher.rank_barrier import RankBarrier
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.requests import Request, chat_request
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.turns import Messages, Talk, nothing
from azdistill.teacher.usage import latencies

if TYPE_CHECKING:
    from azdistill.tasks.task import Task


@dataclass(frozen=True)
class Collected:
    """Rows in the order of the prompts, of the teachers and of the samples, and the content of usage.json.
    `unanswered` prompts have no completion. Without a row for each prompt when asking stopped early because too
    many of them were."""

    completions: list[Completion]
    rejects: list[Reject]
    usage: dict[str, Any]
    unanswered: int

    def counts(self) -> dict[str, Any]:
        """What the manifest says."""
        return {
            "answered": len(self.completions),
            "rejected": len(self.rejects),
            "finish_reasons": Counter(row.finish_reason for row in self.completions),
            "reasons": Counter(reject.reason for reject in self.rejects),
        }


async def collect(
    prompts: Sequence[Prompt],
    config: TeacherConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    task_file: Path | None = None,
) -> Collected:
    """Put every prompt that the store has no answer to to the teachers, as the policy has it; prompts that read alike
    are asked once. The endpoints are those of the config's teachers, in their order.

    Stops early when more than `max_reject_ratio` of the prompts stay without an answer; see `check_rejects`.
    Raises EndpointError when an endpoint refuses all, InputError when its key is not set or `task_file` is no task.
    """
    found = await detect_logprobs(endpoints, config, store, config.budget)
    courses = courses_of(prompts, config, found.endpoints, task_file)
    part = await ask(courses, len(courses), config, found, store)
    return gathered(courses, part, config)


def courses_of(
    prompts: Iterable[Prompt], config: TeacherConfig, endpoints: Sequence[Endpoint], task_file: Path | None = None
) -> list[Course]:
    """Each prompt at its first questions. Raises InputError for a `task_file` that is no task."""

    def lacks(answer: Answer) -> str | None:
        return unreasoned(answer.trace, config.prompting)

    def begin(prompt: Prompt, teacher: int, sample: int) -> Talk:
        def ask(messages: Messages) -> Request:
            return chat_request(messages, config, endpoints[teacher], sample)

        learned = prompt.split != "test"
        return Talk(
            prompt,
            teacher,
            sample,
            ask,
            every_turn=learned and config.turns == "all",
            lacks=lacks if learned else nothing,
        )

    rules = Rules(config, begin, _task(config, task_file))
    return [COURSES[config.policy](prompt, rules) for prompt in prompts]


def _task(config: TeacherConfig, task_file: Path | None) -> "Task | None":
    """Only a cascade reads answers; the others start sooner, and run no file of the user's."""
    if config.policy != "cascade":
        return None
    from azdistill.tasks.registry import task_of

    return task_of(config.task, task_file)


@dataclass
class Part:
    """What asking told beside the ends of the talks: refusals by key, counts that add up with those of others, and
    latencies."""

    refused: dict[str, RowRejected]
    counts: dict[str, Any]
    latencies_s: list[float]


async def ask(
    courses: Sequence[Course],
    of_prompts: int,
    config: TeacherConfig,
    found: Capabilities,
    store: ResponseStore,
    meeting: RankBarrier | None = None,
) -> Part:
    """Take the courses to their ends, in a job of so many prompts; as one of several ranks when they meet."""
    rank = meeting.rank if meeting else Rank()
    outcomes = Outcomes(courses, store, allowed_rejects(of_prompts, config), meeting.check if meeting else lambda: None)
    print(_opening(found.endpoints, outcomes, store, rank), flush=True)
    purse = Budget(rank.budget(config), found.cost + _worth(outcomes.records, config))
    panel = Panel(found.endpoints, config, store, outcomes, purse, rank)
    outcomes.spent = purse.note
    with contextlib.suppress(TooManyRefused):
        await panel.ask()
    return _part(outcomes, panel)


def _part(outcomes: Outcomes, panel: Panel) -> Part:
    refused = {key: outcome for key, outcome in outcomes.by_key.items() if isinstance(outcome, RowRejected)}
    counts = {"asked": outcomes.progress.total, "from_store": outcomes.from_store, **panel.counts()}
    found = [record.latency_s for _, record in outcomes.records if record.latency_s is not None]
    return Part(refused, counts, found + panel.latencies_s())


def _worth(records: Iterable[Record], config: TeacherConfig) -> float:
    """What the answers in the store were bought for: a run that goes on after a crash goes on counting."""
    found = [(config.teachers[place], record.outcome) for place, record in records]
    answers = [(teacher, outcome) for teacher, outcome in found if isinstance(outcome, Answer)]
    return sum(cost(teacher, answer.prompt_tokens, answer.completion_tokens) for teacher, answer in answers)


def gathered(courses: Sequence[Course], part: Part, config: TeacherConfig) -> Collected:
    """What a job writes, from its courses and what asking told of them."""
    ends = [(talk, talk.end) for course in courses for talk in course.counted]
    completions = [_completion(talk, end, config) for talk, end in ends if isinstance(end, Answer)]
    rejects = [_reject(talk, end, config) for talk, end in ends if isinstance(end, RowRejected)]
    usage = {
        "teacher": ", ".join(teacher.called for teacher in config.teachers),
        "route": config.teacher_route,
        "answered": len(completions),
        "rejected": len(rejects),
        "answered_by": {teacher.called: 0 for teacher in config.teachers} | Counter(row.teacher for row in completions),
        "finish_reasons": Counter(row.finish_reason for row in completions),
        **part.counts,
        **latencies(part.latencies_s),
    }
    return Collected(completions, rejects, usage, sum(not course.is_answered for course in courses))


def allowed_rejects(prompts: int, config: TeacherConfig) -> int:
    return math.floor(prompts * config.max_reject_ratio)


def check_rejects(collected: Collected, prompts: int, config: TeacherConfig) -> None:
    """Raise AzdistillError when more prompts were refused than the config allows, with the commonest reasons."""
    allowed = allowed_rejects(prompts, config)
    if collected.unanswered > allowed:
        reasons = Counter(reject.reason for reject in collected.rejects).most_common(3)
        raise AzdistillError(
            f"{collected.unanswered} of {prompts} prompts got no answer, more than the {allowed} that max_reject_ratio="
            f"{config.max_reject_ratio!r} allows ({', '.join(f'{reason}: {count}' for reason, count in reasons)}); "
            f"the last: {collected.rejects[-1].detail}; mend it or raise max_reject_ratio, then run again: "
            "what was answered is not asked again"
        )


def _opening(endpoints: Sequence[Endpoint], outcomes: Outcomes, store: ResponseStore, rank: Rank) -> str:
    lines = "line" if store.unreadable == 1 else "lines"
    unreadable = f", {store.unreadable} torn {lines} passed over" if store.unreadable else ""
    who = "teacher" if rank.world == 1 else f"teacher, {rank}"
    places = ", ".join(f"{endpoint.teacher.called} at {endpoint.url}" for endpoint in endpoints)
    return (
        f"{who}: {places}: {len(outcomes.missing)} questions to ask, "
        f"{len(outcomes.by_key)} found in the store{unreadable}"
    )


def _reject(talk: Talk, end: RowRejected, config: TeacherConfig) -> Reject:
    several = len(config.teachers) > 1
    detail = f"{config.teachers[talk.teacher].called}: {end.detail}" if several else end.detail
    return Reject(source=talk.prompt.source, reason=end.reason, detail=detail)


def _completion(talk: Talk, answer: Answer, config: TeacherConfig) -> Completion:
    prompt = talk.prompt
    completion, trace = answered(answer.completion, answer.trace, config)
    return Completion(
        id=prompt.id,
        split=prompt.split,
        messages=talk.messages,
        gold=prompt.gold,
        source=prompt.source,
        completion=completion,
        finish_reason=answer.finish_reason,
        teacher=config.teachers[talk.teacher].called,
        sample=talk.sample,
        trace=trace,
        key=talk.question.key,
        usage=TokenUsage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
    )
