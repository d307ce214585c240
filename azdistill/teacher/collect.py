"""From prompts to completions: what is stored is found, what is missing is asked, what fails is kept aside."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.progress import Progress
from azdistill.contracts.rows import Completion, Prompt, Reject, Usage
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.engine import Engine
from azdistill.teacher.meeting import Meeting
from azdistill.teacher.money import Purse
from azdistill.teacher.preflight import LARGEST_PREFLIGHT, PREFLIGHT_TOKENS, preflight
from azdistill.teacher.questions import Question
from azdistill.teacher.rank import Rank
from azdistill.teacher.replies import Answer, Refusal
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.tally import latencies
from azdistill.teacher.turns import Row, advance, rows_of

WAITING_SHOWN_EVERY_S = 5.0


@dataclass(frozen=True)
class Collected:
    """Rows in the order of the prompts, and the content of usage.json. Without a row for each prompt when
    asking stopped early because too many were refused."""

    completions: list[Completion]
    rejects: list[Reject]
    usage: dict[str, Any]

    def counts(self) -> dict[str, Any]:
        """What the manifest says."""
        return {
            "answered": len(self.completions),
            "rejected": len(self.rejects),
            "finish_reasons": Counter(row.finish_reason for row in self.completions),
            "reasons": Counter(reject.reason for reject in self.rejects),
        }


class _TooManyRefused(Exception):
    """Asking on would only cost: the job can't keep its ratio any more."""


class _Outcomes:
    """What became of each question, which rows wait for it, and how many more rows may be refused."""

    def __init__(self, rows: Sequence[Row], store: ResponseStore, allowed: int, look: Callable[[], None]) -> None:
        records = advance(rows, store)
        self.by_key = {record.key: record.outcome for record in records}
        self.latencies_s = [record.latency_s for record in records if record.latency_s is not None]
        self.from_store = sum(row.end is not None for row in rows)
        self.spent: Callable[[], str] = str
        self._allowed, self._look, self._refused = allowed, look, 0
        self._waiting: dict[str, list[Row]] = {}
        self.missing = self._questions(rows)
        self.progress = Progress("teacher", len(self.missing))

    def settle(self, question: Question, outcome: Answer | Refusal) -> list[Question]:
        """Tell the rows that waited for it; returns what they ask next."""
        self.by_key[question.key] = outcome
        following = self._questions(self._waiting.pop(question.key))
        self.progress.total += len(following)
        self.progress.advance(note=self._note())
        self._look()
        if self._refused > self._allowed:
            raise _TooManyRefused
        return following

    def _questions(self, rows: Iterable[Row]) -> list[Question]:
        """Take each row to a question without an outcome; returns those that no other row waits for already."""
        fresh = []
        for row in rows:
            while row.end is None and row.question.key in self.by_key:
                row.hear(self.by_key[row.question.key])
            self._refused += isinstance(row.end, Refusal)
            if row.end is None and row.question.key not in self._waiting:
                fresh.append(row.question)
            if row.end is None:
                self._waiting.setdefault(row.question.key, []).append(row)
        return fresh

    async def show_waiting(self, engine: Engine) -> None:
        """Keep the progress line alive while rows wait for a rate limit or an outage to pass."""
        while True:
            await asyncio.sleep(WAITING_SHOWN_EVERY_S)
            self.progress.advance(0, self._note(f"{engine.waiting} wait to be asked again" if engine.waiting else ""))

    def _note(self, more: str = "") -> str:
        rejected = f"{self._refused} rejected" if self._refused else ""
        return ", ".join(filter(None, (self.spent(), rejected, more)))


async def collect(
    prompts: Sequence[Prompt], config: TeacherConfig, endpoint: Endpoint, store: ResponseStore
) -> Collected:
    """Ask `endpoint` every prompt that the store has no answer to; prompts that read alike are asked once.

    Stops early when more than `max_reject_ratio` of the prompts were refused; see `check_rejects`.
    Raises EndpointError when the endpoint refuses all, InputError when its key is not set.
    """
    rows = rows_of(prompts, config, endpoint)
    part = await ask(rows, len(rows), config, endpoint, store)
    return gathered(rows, part, config, endpoint)


@dataclass
class Part:
    """What asking told beside the end of each row: non-final refusals by key, counts that add up with those of
    others, and latencies."""

    refused: dict[str, Refusal]
    counts: dict[str, Any]
    latencies_s: list[float]


async def ask(
    rows: Sequence[Row],
    of_rows: int,
    config: TeacherConfig,
    endpoint: Endpoint,
    store: ResponseStore,
    meeting: Meeting | None = None,
) -> Part:
    """Take the rows to their ends, in a job of so many; as one of several ranks when they meet."""
    rank = meeting.rank if meeting else Rank()
    outcomes = _Outcomes(rows, store, allowed_rejects(of_rows, config), meeting.check if meeting else lambda: None)
    print(_opening(endpoint, outcomes, store, rank), flush=True)
    spent = _worth(outcomes.by_key.values(), config)
    engine = Engine(endpoint, rank.portion(config), store, outcomes.settle, spent=spent, share=rank.share)
    outcomes.spent = engine.purse.note
    showing = asyncio.create_task(outcomes.show_waiting(engine))
    try:
        with contextlib.suppress(_TooManyRefused):
            if outcomes.missing and config.teacher_route == "endpoint":
                await _check(engine, config)
            await engine.ask(outcomes.missing)
    finally:
        showing.cancel()
    return _part(outcomes, engine)


async def _check(engine: Engine, config: TeacherConfig) -> None:
    """The preflight: paced and paid for as any call, and before any other."""
    engine.store.check_writable()
    reserved = await engine.purse.reserve(LARGEST_PREFLIGHT, PREFLIGHT_TOKENS)
    await engine.pace.turn(PREFLIGHT_TOKENS)
    answer = await preflight(engine.endpoint, config)
    engine.purse.settle(reserved, answer.prompt_tokens if answer else 0, answer.completion_tokens if answer else 0)


def _part(outcomes: _Outcomes, engine: Engine) -> Part:
    refused = {key: outcome for key, outcome in outcomes.by_key.items() if isinstance(outcome, Refusal)}
    counts = {"asked": outcomes.progress.total, "from_store": outcomes.from_store, **engine.tally.counts()}
    return Part(refused, counts, outcomes.latencies_s + engine.tally.latencies_s)


def _worth(found: Iterable[Answer | Refusal], config: TeacherConfig) -> float:
    """What the answers in the store were bought for: a run that goes on after a crash goes on counting."""
    purse = Purse(config.teachers[0], None)
    answers = (outcome for outcome in found if isinstance(outcome, Answer))
    return sum(purse.cost(answer.prompt_tokens, answer.completion_tokens) for answer in answers)


def gathered(rows: Sequence[Row], part: Part, config: TeacherConfig, endpoint: Endpoint) -> Collected:
    """What a job writes, from its rows and what asking told of them."""
    ends = [(row, row.end) for row in rows]
    completions = [_completion(row, end, endpoint) for row, end in ends if isinstance(end, Answer)]
    rejects = [_reject(row.prompt, end) for row, end in ends if isinstance(end, Refusal)]
    usage = {
        "teacher": endpoint.model,
        "route": config.teacher_route,
        "answered": len(completions),
        "rejected": len(rejects),
        "finish_reasons": Counter(row.finish_reason for row in completions),
        **part.counts,
        **latencies(part.latencies_s),
    }
    return Collected(completions, rejects, usage)


def allowed_rejects(prompts: int, config: TeacherConfig) -> int:
    return math.floor(prompts * config.max_reject_ratio)


def check_rejects(collected: Collected, prompts: int, config: TeacherConfig) -> None:
    """Raise AzdistillError when more prompts were refused than the config allows, with the commonest reasons."""
    rejected, allowed = len(collected.rejects), allowed_rejects(prompts, config)
    if rejected > allowed:
        reasons = Counter(reject.reason for reject in collected.rejects).most_common(3)
        raise AzdistillError(
            f"{rejected} of {prompts} prompts got no answer, more than the {allowed} that max_reject_ratio="
            f"{config.max_reject_ratio!r} allows ({', '.join(f'{reason}: {count}' for reason, count in reasons)}); "
            f"the last: {collected.rejects[-1].detail}; mend it or raise max_reject_ratio, then run again: "
            "what was answered is not asked again"
        )


def _opening(endpoint: Endpoint, outcomes: _Outcomes, store: ResponseStore, rank: Rank) -> str:
    unreadable = f", {store.unreadable} torn lines passed over" if store.unreadable else ""
    who = "teacher" if rank.world == 1 else f"teacher, {rank}"
    return (
        f"{who}: {endpoint.model} at {endpoint.url}: {len(outcomes.missing)} questions to ask, "
        f"{len(outcomes.by_key)} found in the store{unreadable}"
    )


def _reject(prompt: Prompt, end: Refusal) -> Reject:
    return Reject(source=prompt.source, reason=end.reason, detail=end.detail)


def _completion(row: Row, answer: Answer, endpoint: Endpoint) -> Completion:
    prompt = row.prompt
    return Completion(
        id=prompt.id,
        split=prompt.split,
        messages=row.messages,
        gold=prompt.gold,
        source=prompt.source,
        completion=answer.completion,
        finish_reason=answer.finish_reason,
        teacher=endpoint.model,
        key=row.question.key,
        usage=Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
    )
