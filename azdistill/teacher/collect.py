"""From prompts to completions: find stored answers, ask for the missing ones, and report rows that have none."""

import contextlib
import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.rows import AnswerCall, Completion, Prompt, Reject, TokenUsage
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.budget import Budget
from azdistill.teacher.capabilities import Capabilities, detect_logprobs
from azdistill.teacher.conversation import Conversation
from azdistill.teacher.dispatcher import Dispatcher, TooManyRejected, is_answered
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.policies import Conversations
from azdistill.teacher.prompting import apply_trace
from azdistill.teacher.rank import Rank
from azdistill.teacher.rank_barrier import RankBarrier
from azdistill.teacher.replies import Answer, RowRejected
from azdistill.teacher.store import ResponseStore, StoreIndex
from azdistill.teacher.usage import latency_percentiles

if TYPE_CHECKING:
    from azdistill.tasks.task import Task

logger = logging.getLogger("azdistill.teacher")


@dataclass(frozen=True)
class Collected:
    """Rows in the order of the prompts, the teachers and the samples, and the content of usage.json.

    `unanswered` prompts have no completion. When asking ended early, because too many prompts were rejected, only the
    prompts so far have rows. `calls` has a record for each completion. It is not part of the completion, because it may
    differ from run to run: equal answers give equal completions. It is empty if no teacher was asked. `spent` is the
    cost of all answers, also of those that were in the store.
    """

    completions: list[Completion]
    rejects: list[Reject]
    usage: dict[str, Any]
    unanswered: int
    calls: Sequence[AnswerCall] = ()
    spent: float = 0.0

    def counts(self) -> dict[str, Any]:
        """The counts of the manifest."""
        return {
            "answered": len(self.completions),
            "rejected": len(self.rejects),
            "finish_reasons": Counter(row.finish_reason for row in self.completions),
            "reasons": Counter(reject.reason for reject in self.rejects),
        }


@dataclass
class AskedPrompts:
    """Result of all requests: conversations by prompt, rejected requests by key, counts and latencies in seconds.

    `stored` is the store as it was before the first call, None if that is not known. `spent` is the cost of all
    answers, also of stored ones.
    """

    results: Sequence[Conversations | None]
    rejected: dict[str, RowRejected]
    counts: dict[str, Any]
    latencies_s: list[float]
    spent: float
    stored: StoreIndex | None = None


async def collect(
    prompts: Sequence[Prompt],
    config: RequestConfig,
    endpoints: Sequence[Endpoint],
    store: ResponseStore,
    task_file: Path | None = None,
    spent: float = 0.0,
) -> Collected:
    """Answer every prompt by the policy of the job. Stored answers are used, and equal requests are sent once.

    `endpoints` are those of the config's teachers, in their order. `spent` of the budget is not available any more.
    Asking ends early when more than `max_reject_ratio` of the prompts have no answer; see `check_rejects`. Raises
    EndpointError when an endpoint refuses every row, InputError when its key is not set or `task_file` is no task.
    """
    index = store.index()
    capabilities = await detect_logprobs(endpoints, config, store, index, config.budget)
    task = load_task(config, task_file)
    results = await ask_prompts(prompts, len(prompts), config, capabilities, store, index, task, spent=spent)
    return to_rows(results, config)


def load_task(config: RequestConfig, task_file: Path | None) -> "Task | None":
    """The task of a cascade, which compares answers. Other policies need no task: they start faster without it.
    Raises InputError for a `task_file` that is no task."""
    if config.policy != "cascade":
        return None
    from azdistill.tasks.registry import task_of

    return task_of(config.task, task_file, config.labels)


async def ask_prompts(
    prompts: Sequence[Prompt],
    of_prompts: int,
    config: RequestConfig,
    capabilities: Capabilities,
    store: ResponseStore,
    index: StoreIndex,
    task: "Task | None",
    barrier: RankBarrier | None = None,
    spent: float = 0.0,
) -> AskedPrompts:
    """Answer prompts of a job that has `of_prompts` of them, as one of several ranks if there is a barrier.

    `spent` of the budget is not available any more.
    """
    rank = barrier.rank if barrier else Rank()
    budget = Budget(rank.budget(config), spent + capabilities.cost)
    answers = JobAnswers(config, index, budget)
    dispatcher = Dispatcher(
        prompts,
        config,
        capabilities.endpoints,
        store,
        answers,
        rank=rank,
        task=task,
        allowed_rejects=allowed_rejects(of_prompts, config),
        check=barrier.check if barrier else lambda: None,
    )
    await dispatcher.load_stored()
    _log_start(dispatcher, rank, index.unreadable)
    with contextlib.suppress(TooManyRejected):
        await dispatcher.run()
    rejected = {key: outcome for key, outcome in answers.outcomes.items() if isinstance(outcome, RowRejected)}
    counts, latencies_s = dispatcher.counts(), dispatcher.latencies_s()
    return AskedPrompts(dispatcher.results, rejected, counts, latencies_s, budget.spent - spent, index)


def _log_start(dispatcher: Dispatcher, rank: Rank, unreadable: int) -> None:
    role = dispatcher.config.role
    asker = role if rank.world == 1 else f"{role}, {rank}"
    teachers = ", ".join(f"{client.teacher.called} at {client.endpoint.url}" for client in dispatcher.clients)
    skipped = f", {unreadable} unreadable {'line' if unreadable == 1 else 'lines'} skipped" if unreadable else ""
    logger.info(
        "%s: %s: %d prompts to ask, the store has the results of %d%s",
        asker,
        teachers,
        len(dispatcher.missing),
        dispatcher.from_store,
        skipped,
    )


def to_rows(prompts: AskedPrompts, config: RequestConfig) -> Collected:
    """Completions, rejects and usage of a job."""
    results = [result for result in prompts.results if result is not None]
    conversations = [conversation for result in results for conversation in result]
    answered = [
        (conversation, conversation.outcome)
        for conversation in conversations
        if isinstance(conversation.outcome, Answer)
    ]
    completions = [_completion(conversation, answer, config) for conversation, answer in answered]
    rejects = [
        _reject(conversation, conversation.outcome, config)
        for conversation in conversations
        if isinstance(conversation.outcome, RowRejected)
    ]
    usage = {
        "teacher": ", ".join(teacher.called for teacher in config.teachers),
        "route": config.teacher_route,
        "answered": len(completions),
        "rejected": len(rejects),
        "answered_by": {teacher.called: 0 for teacher in config.teachers} | Counter(row.teacher for row in completions),
        "finish_reasons": Counter(row.finish_reason for row in completions),
        "reported_models": Counter(answer.model for _, answer in answered if answer.model),
        **prompts.counts,
        **latency_percentiles(prompts.latencies_s),
    }
    calls = [
        AnswerCall(
            key=conversation.key,
            model=answer.model,
            attempts=answer.attempts,
            from_store=None if prompts.stored is None else conversation.key in prompts.stored,
        )
        for conversation, answer in answered
    ]
    unanswered = sum(not is_answered(result) for result in results)
    return Collected(completions, rejects, usage, unanswered, calls, prompts.spent)


def allowed_rejects(prompts: int, config: RequestConfig) -> int:
    return math.floor(prompts * config.max_reject_ratio)


def check_rejects(collected: Collected, prompts: int, config: RequestConfig) -> None:
    """Raise AzdistillError when more prompts have no answer than the config allows, with the commonest reasons."""
    allowed = allowed_rejects(prompts, config)
    if collected.unanswered > allowed:
        reasons = Counter(reject.reason for reject in collected.rejects).most_common(3)
        raise AzdistillError(
            f"{collected.unanswered} of {prompts} prompts have no answer, and {allowed} are allowed "
            f"({', '.join(f'{reason}: {count}' for reason, count in reasons)}); "
            f"the last: {collected.rejects[-1].detail}",
            code="too_many_rejects",
            field=("teacher", "max_reject_ratio"),
            value=config.max_reject_ratio,
            fix="fix the cause or raise max_reject_ratio, then run again; stored answers are not paid for again",
        )


def _reject(conversation: Conversation, rejected: RowRejected, config: RequestConfig) -> Reject:
    teacher = f"{config.teachers[conversation.teacher].called}: " if len(config.teachers) > 1 else ""
    return Reject(source=conversation.prompt.source, reason=rejected.reason, detail=f"{teacher}{rejected.detail}")


def _completion(conversation: Conversation, answer: Answer, config: RequestConfig) -> Completion:
    prompt = conversation.prompt
    completion, trace = apply_trace(answer.completion, answer.trace, config)
    return Completion(
        id=prompt.id,
        split=prompt.split,
        messages=conversation.messages,
        gold=prompt.gold,
        source=prompt.source,
        weight=prompt.weight,
        completion=completion,
        finish_reason=answer.finish_reason,
        teacher=config.teachers[conversation.teacher].called,
        sample=conversation.sample,
        trace=trace,
        key=conversation.key,
        usage=TokenUsage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
    )
