"""From prompts to completions: what is stored is found, what is missing is asked, what fails is kept aside."""

import asyncio
import contextlib
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.progress import Progress
from azdistill.contracts.rows import Completion, Prompt, Reject, Usage
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.engine import Engine
from azdistill.teacher.money import Purse
from azdistill.teacher.questions import Question, question
from azdistill.teacher.replies import Answer, Refusal
from azdistill.teacher.store import Found, ResponseStore

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
    """What became of each question, and how many more rows may be refused."""

    def __init__(self, asked: Mapping[str, Question], found: Found, allowed: int) -> None:
        records = [found.stored(key) for key in found]
        self.by_key = {record.key: record.outcome for record in records}
        self.latencies_s = [record.latency_s for record in records if record.latency_s is not None]
        self.found = frozenset(found)
        self.missing = list({q.key: q for q in asked.values() if q.key not in found}.values())
        self.progress = Progress("teacher", len(self.missing))
        self._rows = Counter(q.key for q in asked.values())
        self._refused = sum(self._rows[key] for key, end in self.by_key.items() if isinstance(end, Refusal))
        self._allowed = allowed
        self.spent: Callable[[], str] = str

    def settle(self, question: Question, outcome: Answer | Refusal) -> None:
        self.by_key[question.key] = outcome
        self._refused += self._rows[question.key] * isinstance(outcome, Refusal)
        self.progress.advance(note=self._note())
        if self._refused > self._allowed:
            raise _TooManyRefused

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
    asked = {prompt.id: question(prompt.messages, config, endpoint) for prompt in prompts}
    found = store.find({q.key for q in asked.values()})
    outcomes = _Outcomes(asked, found, allowed_rejects(len(prompts), config))
    print(_opening(endpoint, outcomes, store), flush=True)
    engine = Engine(endpoint, config, store, outcomes.settle, spent=_worth(outcomes.by_key.values(), config))
    engine.tally.latencies_s += outcomes.latencies_s
    outcomes.spent = engine.purse.note
    showing = asyncio.create_task(outcomes.show_waiting(engine))
    try:
        with contextlib.suppress(_TooManyRefused):
            await engine.ask(outcomes.missing)
    finally:
        showing.cancel()
    return _collected(prompts, asked, outcomes, engine)


def _worth(found: Iterable[Answer | Refusal], config: TeacherConfig) -> float:
    """What the answers in the store were bought for: a run that goes on after a crash goes on counting."""
    purse = Purse(config.teachers[0], None)
    answers = (outcome for outcome in found if isinstance(outcome, Answer))
    return sum(purse.cost(answer.prompt_tokens, answer.completion_tokens) for answer in answers)


def _collected(
    prompts: Sequence[Prompt], asked: Mapping[str, Question], outcomes: _Outcomes, engine: Engine
) -> Collected:
    keyed = [(prompt, asked[prompt.id].key) for prompt in prompts]
    ends = [(prompt, key, outcomes.by_key.get(key)) for prompt, key in keyed]
    completions = [_completion(p, key, end, engine.endpoint) for p, key, end in ends if isinstance(end, Answer)]
    rejects = [Reject(source=p.source, reason=e.reason, detail=e.detail) for p, _, e in ends if isinstance(e, Refusal)]
    usage = {
        "teacher": engine.endpoint.model,
        "route": engine.config.teacher_route,
        "asked": len(outcomes.missing),
        "answered": len(completions),
        "rejected": len(rejects),
        "from_store": sum(key in outcomes.found for _, key in keyed),
        "finish_reasons": Counter(row.finish_reason for row in completions),
        **engine.tally.usage(),
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


def _opening(endpoint: Endpoint, outcomes: _Outcomes, store: ResponseStore) -> str:
    unreadable = f", {store.unreadable} torn lines passed over" if store.unreadable else ""
    return (
        f"teacher: {endpoint.model} at {endpoint.url}: {len(outcomes.missing)} questions to ask, "
        f"{len(outcomes.by_key)} found in the store{unreadable}"
    )


def _completion(prompt: Prompt, key: str, answer: Answer, endpoint: Endpoint) -> Completion:
    return Completion(
        id=prompt.id,
        split=prompt.split,
        messages=prompt.messages,
        gold=prompt.gold,
        source=prompt.source,
        completion=answer.completion,
        finish_reason=answer.finish_reason,
        teacher=endpoint.model,
        key=key,
        usage=Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens),
    )
