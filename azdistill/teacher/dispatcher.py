"""The teachers of a job, asked side by side: an engine each, one purse, one store."""

import asyncio
from collections.abc import Sequence
from functools import reduce
from typing import Any

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.budget import Budget
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.engine import Engine, first_of
from azdistill.teacher.outcomes import Asked, Outcome, Outcomes
from azdistill.teacher.rank import Rank
from azdistill.teacher.replies import RowRejected
from azdistill.teacher.requests import Request
from azdistill.teacher.store import ResponseStore
from azdistill.teacher.usage import added

WAITING_SHOWN_EVERY_S = 5.0


class Panel:
    """Takes the questions of a job to their outcomes, and what follows from them to the teacher that it is put to."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],
        config: TeacherConfig,
        store: ResponseStore,
        outcomes: Outcomes,
        purse: Budget,
        rank: Rank,
    ) -> None:
        self.config, self.store, self.outcomes = config, store, outcomes
        self.engines = [
            Engine(rank.portion(endpoint), config, store, purse, self._settle, share=rank.share)
            for endpoint in endpoints
        ]
        self._closed: dict[int, RowRejected] = {}

    async def ask(self) -> None:
        """Settle every question. Raises EndpointError when an endpoint refuses all or stays down and no other teacher
        stands in, BudgetReached, TooManyRefused, and AzdistillError when the store can't be written. Cancelling it
        loses nothing that has arrived."""
        if not self.outcomes.missing:
            return
        self.store.check_writable()
        self._put(self.outcomes.missing)
        try:
            await self._ask_all()
        except BaseExceptionGroup as group:
            raise first_of(group) from None
        finally:
            self.store.close()

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(self.store.commit_forever()), tasks.create_task(self._show_waiting())]
            if self.config.teacher_route == "endpoint":
                await asyncio.gather(*(engine.preflight() for engine in self._heard()))
            running += [tasks.create_task(self._serve(place)) for place in range(len(self.engines))]
            await self.outcomes.over.wait()
            for task in running:
                task.cancel()

    def _heard(self) -> list[Engine]:
        """The engines that have something to ask, or may come to it."""
        later = self.config.policy in ("cascade", "fallback")
        begun = {place for place, _, _ in self.outcomes.missing}
        return [engine for place, engine in enumerate(self.engines) if place in begun or (later and place > min(begun))]

    async def _serve(self, place: int) -> None:
        """Where another teacher stands in, one that can't be asked any more leaves it its questions."""
        try:
            await self.engines[place].run()
        except EndpointError as problem:
            if self.config.policy != "fallback" or place + 1 == len(self.engines):
                raise
            print(f"{problem}; what is left goes to the next teacher", flush=True)
            self._closed[place] = RowRejected("endpoint", str(problem))
            for question in self.engines[place].unanswered():
                self._settle(question, self._closed[place])

    def _settle(self, question: Request, outcome: Outcome) -> None:
        self._put(self.outcomes.settle(question, outcome))

    def _put(self, asked: Sequence[Asked]) -> None:
        for place, question, number in asked:
            if place in self._closed:
                self._settle(question, self._closed[place])
            else:
                self.engines[place].add(question, number)

    async def _show_waiting(self) -> None:
        while True:
            await asyncio.sleep(WAITING_SHOWN_EVERY_S)
            self.outcomes.show_waiting(sum(engine.waiting for engine in self.engines))

    def counts(self) -> dict[str, Any]:
        """The part of usage.json that asking counted: of each teacher, and of all."""
        by_teacher = {engine.endpoint.teacher.called: engine.tally.counts() for engine in self.engines}
        return {**reduce(added, by_teacher.values()), "teachers": by_teacher}

    def latencies_s(self) -> list[float]:
        return [seconds for engine in self.engines for seconds in engine.tally.latencies_s]
