"""Score sequences of token ids at one teacher, from a loop that is not asynchronous."""

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.requests import RequestConfig
from azdistill.contracts.scoring import ScoredTokens, TokenizerProbe
from azdistill.teacher.answers import JobAnswers
from azdistill.teacher.budget import Budget
from azdistill.teacher.client import TeacherClient
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.event_loop import new_event_loop
from azdistill.teacher.replies import Answer
from azdistill.teacher.scoring import (
    OTHER_TOKENIZER,
    ScoreRequest,
    from_json,
    probe_request,
    score_request,
    scoring_endpoint,
    split_request,
    tokenize_url,
)
from azdistill.teacher.session import auth_headers, open_session, read_body
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.usage import add_counts

Result = TypeVar("Result")

LONGEST_TOKENIZE_S = 30.0

# Token ids that every model has.
ANY_TOKENS = (1, 2, 3, 4)


class ScoringClient:
    """Scores of one teacher, each paid once: within its rate limits and the budget, with retries, from the store.

    Entering it starts a thread with an event loop, and checks with one request that the teacher scores given tokens and
    has the tokenizer of `probe`. Without a probe only the former is checked. `config` has the budget, the attempts and
    the timeout; of its teachers, the one of `endpoint` is asked. `route` is the source of the scores in `usage`.
    `longest` is the length of the longest sequence with the token that is generated after it, None if unknown: vLLM's
    tokenizer reports the length of the teacher's context.

    Raises InputError or EndpointError on entry for a teacher that cannot score the tokens of the student.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        config: RequestConfig,
        store: ResponseStore,
        probe: TokenizerProbe | None,
        top_k: int,
        *,
        route: str = "endpoint",
        longest: int | None = None,
    ) -> None:
        self.endpoint, self.top_k, self._store, self._probe = scoring_endpoint(endpoint, top_k), top_k, store, probe
        self._config = config.model_copy(update={"max_tokens": 1})
        store.check_writable()
        self._answers = JobAnswers(self._config, store.index(), Budget(config.budget))
        self._client = TeacherClient(self.endpoint, self._config, store, self._answers)
        self._loop = new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="scoring", daemon=True)
        self._commits: asyncio.Task[None] | None = None
        self.scored, self._route, self._longest = 0, route, longest
        self._before: Mapping[str, Any] = {}  # counts of earlier attempts

    def __enter__(self) -> "ScoringClient":
        self._thread.start()
        try:
            self._run(self._open())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()

    def score_all(self, sequences: Sequence[Sequence[int]], firsts: Sequence[int]) -> list[ScoredTokens]:
        """Score sequences concurrently, each from its own first position on.

        Raises EndpointError when the teacher fails or rejects a sequence, and BudgetReached. The sequences that were
        scored until then are stored.
        """
        requests = [
            score_request(self.endpoint, ids, first, self.top_k) for ids, first in zip(sequences, firsts, strict=True)
        ]
        scores = self._run(self._score_all(requests))
        self.scored += len(scores)
        return scores

    def usage(self) -> dict[str, Any]:
        """The content of usage.json: a ScorerUsage. Its counts are those of different sequences, with the probe."""
        answers, called = self._answers, self._client.usage.counts()
        counts = {
            "asked": answers.asked,
            "answered": len(answers.outcomes),
            "rejected": 0,  # a rejected sequence ends the training
            "from_store": len(answers.outcomes) - answers.asked,
            "scored": self.scored,
            **called,
        }
        names = {"teacher": self.endpoint.teacher.called, "route": self._route}
        return {**names, **add_counts(self._before, counts), "spent": answers.budget.spent}

    def resume(self, usage: Mapping[str, Any]) -> None:
        """Continue with the usage of an earlier attempt. Its cost counts towards the budget, with that of the probe."""
        self._before = {name: usage[name] for name in usage if name not in ("teacher", "route", "spent")}
        self._answers.budget.spent = usage["spent"]

    async def _open(self) -> None:
        await self._client.__aenter__()
        self._commits = asyncio.create_task(self._store.commit_forever())
        await self._until_failure(self._check_teacher())

    async def _check_teacher(self) -> None:
        """Ask for the scores of the probe. An endpoint that was checked by an earlier run is not asked again."""
        outcome = await self._client.ask(await self._first_request())
        if isinstance(outcome, Answer):
            return
        if outcome.reason == OTHER_TOKENIZER:
            raise _other_tokenizer(self.endpoint, outcome.detail)
        if outcome.gave_up:
            raise EndpointError(
                f"it cannot be reached or does not answer: {outcome.detail}",
                subject=str(self.endpoint),
                code="no_answer",
                fix="start the server or correct its address, and run again",
            )
        raise EndpointError(
            f"it does not score given tokens: {outcome.detail}",
            subject=str(self.endpoint),
            code="no_scoring",
            fix="use an endpoint with vLLM's prompt_logprobs, whose --max-logprobs is not below the number of likely "
            "tokens; serverless endpoints have none",
        )

    async def _first_request(self) -> ScoreRequest:
        """The probe. Without the server's tokenizer, the text of its tokens is compared in the reply."""
        if self._probe is None:
            return score_request(self.endpoint, ANY_TOKENS, 1, self.top_k)
        request = probe_request(self.endpoint, self._probe, self.top_k, compare=True)
        if self._answers.find(request, self.endpoint.teacher) is not None:
            return request
        if await self._has_same_tokenizer(self._probe):
            return probe_request(self.endpoint, self._probe, self.top_k, compare=False)
        await self._compare_split(self._probe)
        return request

    async def _compare_split(self, probe: TokenizerProbe) -> None:
        """Raise EndpointError if the server divides the text of the probe into other tokens.

        A server that scores no text cannot be compared: its tokens are compared one by one, by their text.
        """
        outcome = await self._client.ask(split_request(self.endpoint, probe))
        if not isinstance(outcome, Answer) and outcome.reason == OTHER_TOKENIZER:
            raise _other_tokenizer(self.endpoint, outcome.detail)

    async def _has_same_tokenizer(self, probe: TokenizerProbe) -> bool:
        """True if the server's tokenizer gives the ids of the probe, False if the server has no /tokenize.

        Raises EndpointError for other ids, and for a context that is too short.
        """
        body = {"model": self.endpoint.model, "prompt": probe.text, "add_special_tokens": False}
        headers = await auth_headers(self.endpoint.auth)
        try:
            async with (
                open_session(self.endpoint, 1, min(self._config.timeout_s, LONGEST_TOKENIZE_S)) as session,
                session.post(
                    tokenize_url(self.endpoint), data=orjson.dumps(body), headers=headers, allow_redirects=False
                ) as response,
            ):
                content = await read_body(response, 2**20)
                reply = orjson.loads(content) if response.status == 200 else {}
                tokens, limit = reply.get("tokens"), reply.get("max_model_len")
        except Exception:  # aiohttp raises errors of many types; the next request reports an endpoint that is down
            return False
        if not isinstance(tokens, list):
            return False
        if tokens != list(probe.token_ids):
            raise _other_tokenizer(self.endpoint, _first_difference(probe.token_ids, tokens))
        if self._longest and isinstance(limit, int) and limit < self._longest:
            raise EndpointError(
                f"its context has {limit} tokens, and {self._longest} are needed",
                subject=str(self.endpoint),
                code="context_too_short",
                fix="start the server with a larger --max-model-len, or lower train.max_length",
            )
        return True

    async def _score_all(self, requests: Sequence[ScoreRequest]) -> list[ScoredTokens]:
        return await self._until_failure(self._score_unique(requests))

    async def _score_unique(self, requests: Sequence[ScoreRequest]) -> list[ScoredTokens]:
        """Each different request is sent once. All end before the first error is raised: none is paid and lost."""
        unique = {request.key: request for request in requests}
        results = await asyncio.gather(*map(self._score, unique.values()), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        scores = dict(zip(unique, results, strict=True))
        return [scores[request.key] for request in requests]  # type: ignore[misc]

    async def _score(self, request: ScoreRequest) -> ScoredTokens:
        outcome = await self._client.ask(request)
        if not isinstance(outcome, Answer):
            raise EndpointError(
                f"a sequence of {len(request.token_ids)} tokens was not scored: {outcome.detail}",
                subject=str(self.endpoint),
                code=outcome.reason,
                fix="fix the cause and run again; scores that are stored are not paid for again",
            )
        return from_json(request.first, outcome.logprobs or await self._stored(request.key))

    async def _stored(self, key: str) -> bytes:
        """The scores of a request that was answered before. Only the store keeps them: they are long."""
        if key not in self._answers.index:  # stored after the index was read
            self._answers.index = await asyncio.to_thread(self._store.index)
        stored = self._answers.index.get(key)
        assert stored is not None
        assert isinstance(stored.outcome, Answer)
        assert stored.outcome.logprobs is not None
        return stored.outcome.logprobs

    async def _until_failure(self, work: Coroutine[Any, Any, Result]) -> Result:
        """The result of `work`. Raises the error of a store that cannot be written, for which work would wait."""
        assert self._commits is not None
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._commits}, return_when=asyncio.FIRST_COMPLETED)
            if self._commits.done():
                self._commits.result()
            return await task
        finally:
            task.cancel()

    def _run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run `work` in the thread. An exception here, such as KeyboardInterrupt, cancels it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def _stop(self) -> None:
        """End the thread and write what arrived."""
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._store.close()

    async def _close(self) -> None:
        if self._commits is not None:
            self._commits.cancel()
            await asyncio.gather(self._commits, return_exceptions=True)
            await self._client.__aexit__()


def _other_tokenizer(endpoint: Endpoint, detail: str) -> EndpointError:
    return EndpointError(
        f"its tokenizer is not the student's: {detail}",
        subject=str(endpoint),
        code=OTHER_TOKENIZER,
        fix="choose a teacher of the student's family, which reads the student's token ids",
    )


def _first_difference(student: Sequence[int], teacher: Sequence[int]) -> str:
    index = next(
        (index for index, pair in enumerate(zip(student, teacher, strict=False)) if pair[0] != pair[1]),
        min(len(student), len(teacher)),
    )
    shown = " and ".join(
        f"{list(ids[index : index + 3])} for the {who}" for ids, who in ((student, "student"), (teacher, "teacher"))
    )
    return f"from token {index} on, the ids of a test text are {shown}"
