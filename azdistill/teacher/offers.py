"""Whether each teacher gives log probabilities: asked once, and kept in the store like any answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import Budget, cost
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.engine import wait_s
from azdistill.teacher.preflight import LARGEST_PREFLIGHT, PREFLIGHT_TOKENS, Seen, call, preflight, short_request
from azdistill.teacher.replies import Answer, Retry, RowRejected, read_reply
from azdistill.teacher.store import ResponseStore, StoredAnswer

NO_LOGPROBS = "no_logprobs"
"""Reason of the refusal that is kept of a teacher that gives none."""


@dataclass(frozen=True)
class Probed:
    """The endpoints, those that give log probabilities set to ask for them, and what finding that out cost."""

    endpoints: Sequence[Endpoint]
    spent: float = 0.0


async def probed(
    endpoints: Sequence[Endpoint], config: TeacherConfig, store: ResponseStore, budget: float | None
) -> Probed:
    """Raises EndpointError where no answer tells, and BudgetReached."""
    if not config.top_logprobs:
        return Probed(endpoints)
    purse = Budget(budget)
    wanted = [replace(endpoint, top_logprobs=config.top_logprobs) for endpoint in endpoints]
    found = [await _found_or_asked(endpoint, config, store, purse) for endpoint in wanted]
    spent = sum(_cost(endpoint, outcome) for endpoint, outcome in zip(wanted, found, strict=True))
    pairs = zip(endpoints, wanted, found, strict=True)
    return Probed([with_ if isinstance(outcome, Answer) else without for without, with_, outcome in pairs], spent)


async def _found_or_asked(
    endpoint: Endpoint, config: TeacherConfig, store: ResponseStore, purse: Budget
) -> Answer | RowRejected:
    key = short_request(endpoint, config).key
    outcome = store.find([key]).get(key) or await _asked(endpoint, config, store, purse)
    if isinstance(outcome, RowRejected):
        print(f"{endpoint}: answers come without log probabilities: {outcome.detail}", flush=True)
    return outcome


async def _asked(
    endpoint: Endpoint, config: TeacherConfig, store: ResponseStore, purse: Budget
) -> Answer | RowRejected:
    """After a preflight without them, so that what is refused is them."""
    store.check_writable()
    await preflight(replace(endpoint, top_logprobs=0), config)
    reserved = await purse.reserve(cost(endpoint.teacher, LARGEST_PREFLIGHT, PREFLIGHT_TOKENS))
    outcome = await _told(endpoint, config)
    purse.settle(reserved, _cost(endpoint, outcome))
    key = short_request(endpoint, config).key
    store.put(StoredAnswer(key, endpoint.identity, endpoint.model, outcome), lambda: None)
    store.close()
    return outcome


async def _told(endpoint: Endpoint, config: TeacherConfig) -> Answer | RowRejected:
    from azdistill.teacher.logprobs import read_offer  # most jobs start without it, and sooner

    for tries in range(1, config.max_attempts + 1):
        seen = await call(endpoint, config)
        offer = read_offer(seen.status, seen.headers, seen.body) if seen.status else None
        if offer and offer.offered is not None:
            reply = read_reply(seen.status, seen.headers, seen.body)
            if offer.offered and isinstance(reply, Answer):
                return reply
            return RowRejected(NO_LOGPROBS, endpoint.access.redact(offer.why))
        await asyncio.sleep(wait_s(tries, _why_again(seen)))
    raise EndpointError(
        endpoint.access.redact(f"{endpoint}: {config.max_attempts} tries did not tell whether it gives log ")
        + "probabilities; run again when it is well, or set top_logprobs to 0"
    )


def _why_again(seen: Seen) -> Retry:
    reply = read_reply(seen.status, seen.headers, seen.body) if seen.status else None
    return reply if isinstance(reply, Retry) else Retry("connection", str(seen.problem))


def _cost(endpoint: Endpoint, outcome: Answer | RowRejected) -> float:
    paid = (outcome.prompt_tokens, outcome.completion_tokens) if isinstance(outcome, Answer) else (0, 0)
    return cost(endpoint.teacher, *paid)
