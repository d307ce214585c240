"""The workers of a parallel node: who gets which mini-batch, and what becomes of those that fail."""

import selectors
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from time import monotonic
from typing import Any

from azdistill.engine.local.parallel.batches import MiniBatch
from azdistill.engine.local.parallel.limits import Limits, Tally
from azdistill.engine.local.parallel.results import Results
from azdistill.engine.local.parallel.workers import Attempt, Worker
from azdistill.engine.local.task import Task
from azdistill.engine.pipeline.model import Parallel

_TELL_S = 1.0
"""At most one line of progress in this time."""


class GivenUp(Exception):
    """The node can't be completed, with the reason."""


class Crew:
    """At most `most` workers, told the same `orders`, that share a queue of mini-batches."""

    def __init__(
        self,
        task: Task,
        work: Parallel,
        orders: Mapping[str, Any],
        limits: Limits,
        results: Results,
        tally: Tally,
        most: int,
    ) -> None:
        self.task, self.work, self.orders = task, work, orders
        self.limits, self.results, self.tally, self.most = limits, results, tally, most
        self.queue: deque[Attempt] = deque()
        self.workers: dict[int, Worker] = {}
        self.selector = selectors.DefaultSelector()
        self.told = monotonic()

    def run(self, batches: Iterable[MiniBatch]) -> None:
        """Until each mini-batch is done or has failed for good.

        Raises GivenUp when more failed than may, or no worker gets ready, and Stopped when the run is being ended.
        """
        self.queue.extend(map(Attempt, batches))
        try:
            while self.queue or self._busy():
                self._check()
                self._staff()
                self._hand_out()
                for worker in list(self._heard()):
                    self._hear(worker)
                self._end_late()
            self._check()
            self._dismiss()
        finally:
            for worker in list(self.workers.values()):
                self._let_go(worker)
            self.selector.close()
        self.task.processes.check()

    def _busy(self) -> int:
        return sum(worker.attempt is not None for worker in self.workers.values())

    def _check(self) -> None:
        self.task.processes.check()
        if excess := self.tally.excess(self.limits):
            raise GivenUp(f"given up: {excess}")

    def _staff(self) -> None:
        """Start the workers that there is something to do for."""
        while len(self.workers) < min(self.most, len(self.queue) + self._busy()):
            number = next(number for number in range(1, self.most + 1) if number not in self.workers)
            worker = self.workers[number] = Worker(self.task, number, self.orders, self.limits.start_s)
            self.selector.register(worker, selectors.EVENT_READ, worker)

    def _hand_out(self) -> None:
        for worker in self.workers.values():
            if worker.is_idle and self.queue:
                attempt = self.queue.popleft()
                worker.give(attempt, self.results.partial(attempt.batch), self.work.timeout)

    def _heard(self) -> Iterator[Worker]:
        """Those that have something to say, before the next one is late."""
        soonest = min(worker.deadline for worker in self.workers.values())
        seconds = None if soonest == float("inf") else max(soonest - monotonic(), 0)
        for key, _ in self.selector.select(seconds):
            yield key.data

    def _hear(self, worker: Worker) -> None:
        messages = worker.receive()
        if messages is None:
            self._lose(worker, f"its worker {worker.how_it_ended()}")
        for message in messages or ():
            if worker.ready:
                self._settle(worker, message)
            elif "error" in message:
                raise GivenUp(f"init() failed: {message['error']}; see {worker.log.name}")
            else:
                worker.is_ready()

    def _settle(self, worker: Worker, answer: Mapping[str, Any]) -> None:
        attempt = worker.release()
        returned = answer.get("returned")
        if "unwritten" in answer:
            raise GivenUp(f"a result could not be written: {answer['unwritten']}; make room and run again")
        if returned is None:
            self._fail(attempt, f"{answer['error']}; see {worker.log.name}")
        elif returned < attempt.batch.items:
            self._fail(attempt, f"run() returned {returned} for {attempt.batch.items} items", returned)
        else:
            self.results.keep(attempt.batch)
            self._count(attempt.batch, returned)

    def _fail(self, attempt: Attempt, why: str, returned: int | None = None) -> None:
        tries = 1 + self.work.retries
        self.task.note(f"{attempt.batch}, try {attempt.number} of {tries}: {why}")
        if attempt.number < tries:
            self.queue.append(Attempt(attempt.batch, attempt.number + 1))
            return
        if returned is not None:
            self.results.keep(attempt.batch, short=True)
        self._count(attempt.batch, returned)

    def _count(self, batch: MiniBatch, returned: int | None) -> None:
        if batch.copy == 0:
            self.tally.add(batch.items, returned)
        if monotonic() - self.told >= _TELL_S:
            self.told = monotonic()
            self.task.note(f"{self.tally}")

    def _end_late(self) -> None:
        for worker in [one for one in self.workers.values() if one.deadline <= monotonic()]:
            if worker.ready:
                self._lose(worker, f"not done after retry_settings.timeout={self.work.timeout} seconds")
            else:
                raise GivenUp(f"init() is not done after {self.limits.start_s} seconds; see {worker.log.name}")

    def _lose(self, worker: Worker, why: str) -> None:
        """A worker that is gone or hangs. The next one takes its place, and its mini-batch is tried again."""
        self._let_go(worker)
        self.task.processes.check()
        if not worker.ready:
            raise GivenUp(f"before init() was done {why}; see {worker.log.name}")
        if worker.attempt:
            self._fail(worker.release(), f"{why}; see {worker.log.name}")

    def _dismiss(self) -> None:
        """Let those that are ready call shutdown(); what goes wrong there spoils nothing."""
        ready = [worker for worker in self.workers.values() if worker.ready]
        for worker in ready:
            worker.dismiss()
        deadline = monotonic() + self.work.timeout
        for worker in ready:
            code = worker.wait(max(deadline - monotonic(), 0))
            self.task.processes.check()
            if code != 0:
                how = "is not done" if code is None else f"ended with exit code {code}"
                self.task.note(f"shutdown() of worker {worker.number} {how}; see {worker.log.name}")

    def _let_go(self, worker: Worker) -> None:
        del self.workers[worker.number]
        self.selector.unregister(worker)
        worker.close()
