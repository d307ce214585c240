"""Detect optional capabilities of endpoints. The result is kept in the store, so that each endpoint is probed once."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.requests import RequestConfig
from azdistill.teacher.budget import Budget, billed_tokens, cost
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.preflight import (
    PREFLIGHT_TOKENS,
    ProbeResult,
    preflight,
    probe,
    probe_request,
)
from azdistill.teacher.replies import Answer, Retry, RowRejected, read_reply
from azdistill.teacher.retries import wait_s
from azdistill.teacher.store import ResponseStore, StoredAnswer, StoreIndex

logger = logging.getLogger("azdistill.teacher")

# Reason in the store for an endpoint that returns no log probabilities.
NO_LOGPROBS = "no_logprobs"


@dataclass(frozen=True)
class Capabilities:
    """Endpoints with `top_logprobs` set where they return log probabilities, and the cost of finding out."""

    endpoints: Sequence[Endpoint]
    cost: float = 0.0


async def detect_logprobs(
    endpoints: Sequence[Endpoint], config: RequestConfig, store: ResponseStore, index: StoreIndex, budget: float | None
) -> Capabilities:
    """Detect which endpoints return log probabilities, if the job asks for them.

    Raises EndpointError when an endpoint does not answer, unless policy fallback has another one for its rows, or when
    it returns none and the job needs them, and BudgetReached.
    """
    if not config.top_logprobs:
        return Capabilities(endpoints)
    job_budget = Budget(budget)
    detected: list[Endpoint] = []
    total = 0.0
    for endpoint in endpoints:
        with_logprobs = replace(endpoint, top_logprobs=config.top_logprobs)
        try:
            outcome = await _stored_or_probed(with_logprobs, config, store, index, job_budget)
        except EndpointError:
            if config.policy != "fallback" or len(detected) + 1 == len(endpoints):
                raise
            detected.append(endpoint)  # its own preflight reports the error, and its rows go to the next endpoint
            continue
        total += _cost(with_logprobs, outcome, config)
        if isinstance(outcome, Answer):
            detected.append(with_logprobs)
        elif config.require_logprobs:
            raise _no_logprobs(endpoint, outcome)
        else:
            logger.warning("%s: its answers have no log probabilities: %s", endpoint, outcome.detail)
            detected.append(endpoint)
    return Capabilities(detected, total)


def _no_logprobs(endpoint: Endpoint, outcome: RowRejected) -> EndpointError:
    return EndpointError(
        f"its answers have no log probabilities, which train.losses.top_k needs: {outcome.detail}",
        subject=str(endpoint),
        code=NO_LOGPROBS,
        fix="choose an endpoint that returns them, or remove top_k from train.losses",
    )


async def _stored_or_probed(
    endpoint: Endpoint, config: RequestConfig, store: ResponseStore, index: StoreIndex, job_budget: Budget
) -> Answer | RowRejected:
    request = probe_request(endpoint, config)
    if stored := index.get(request.key):
        return stored.outcome
    store.check_writable()
    # Without log probabilities first, so that an error of the next call is about them.
    await preflight(replace(endpoint, top_logprobs=0), config)
    reserved = await job_budget.reserve(cost(endpoint.teacher, len(request.body), PREFLIGHT_TOKENS))
    outcome = await _probe(endpoint, config)
    job_budget.settle(reserved, _cost(endpoint, outcome, config))
    store.put(StoredAnswer(request.key, endpoint.identity, endpoint.model, outcome), lambda: None)
    store.close()
    return outcome


async def _probe(endpoint: Endpoint, config: RequestConfig) -> Answer | RowRejected:
    """Ask for log probabilities until a reply shows whether the endpoint returns them."""
    # Imported here, because most jobs need no log probabilities and start faster without.
    from azdistill.teacher.logprobs import check_support

    for tries in range(1, config.max_attempts + 1):
        result = await probe(endpoint, config)
        support = check_support(result.status, result.headers, result.body) if result.status else None
        if support and support.supported is not None:
            reply = read_reply(result.status, result.headers, result.body)
            if support.supported and isinstance(reply, Answer):
                redact, model = endpoint.auth.redact, reply.model
                return replace(reply, finish_reason=redact(reply.finish_reason), model=model and redact(model))
            return RowRejected(NO_LOGPROBS, endpoint.auth.redact(support.reason))
        await asyncio.sleep(wait_s(tries, _as_retry(result)))
    raise EndpointError(
        f"{config.max_attempts} attempts did not show whether it returns log probabilities ({result.summary})",
        subject=str(endpoint),
        fix="run again when the endpoint answers, or set top_logprobs to 0",
    )


def _as_retry(result: ProbeResult) -> Retry:
    reply = read_reply(result.status, result.headers, result.body) if result.status else None
    return reply if isinstance(reply, Retry) else Retry("connection", result.summary)


def _cost(endpoint: Endpoint, outcome: Answer | RowRejected, config: RequestConfig) -> float:
    if not isinstance(outcome, Answer):
        return 0.0
    size = len(probe_request(endpoint, config).body)
    return cost(endpoint.teacher, *billed_tokens(outcome, size, PREFLIGHT_TOKENS))
