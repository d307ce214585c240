"""The worker pool of a parallel node: send mini-batches to workers, and retry or count those that fail."""

import selectors
from collections import deque
from collections.abc import Iterable, Mapping
from time import monotonic
from typing import Any

from azdistill.engine.local.attempts import NodeAttempt
from azdistill.engine.local.parallel.batches import MiniBatch
from azdistill.engine.local.parallel.limits import BatchCounts, ParallelLimits
from azdistill.engine.local.parallel.results import BatchResults
from azdistill.engine.local.parallel.workers import BatchAttempt, Worker
from azdistill.engine.pipeline.model import Parallel

# Seconds between two lines of progress in the node's log.
_PROGRESS_INTERVAL_S = 1.0


class NodeAborted(Exception):
    """The node cannot be completed. The text is the reason."""


class WorkerPool:
    """Up to `size` workers that share a queue of mini-batches. `settings` are the first message to each."""

    def __init__(
        self,
        attempt: NodeAttempt,
        parallel: Parallel,
        settings: Mapping[str, Any],
        limits: ParallelLimits,
        results: BatchResults,
        counts: BatchCounts,
        size: int,
    ) -> None:
        self.attempt, self.parallel, self.settings = attempt, parallel, settings
        self.limits, self.results, self.counts, self.size = limits, results, counts, size
        self.queue: deque[BatchAttempt] = deque()
        self.workers: dict[int, Worker] = {}
        self.selector = selectors.DefaultSelector()
        self.last_progress = monotonic()

    def run(self, batches: Iterable[MiniBatch]) -> None:
        """Run until each mini-batch is done or every try of it has failed.

        Raises NodeAborted when a limit is exceeded or a worker does not get ready, and Stopped when the run ends.
        """
        self.queue.extend(map(BatchAttempt, batches))
        try:
            while self.queue or self._busy():
                self._check()
                self._start_workers()
                self._send_batches()
                for key, _ in self.selector.select(self._until_next_deadline()):
                    self._receive(key.data)
                self._end_late_workers()
            self._check()
            self._stop()
        finally:
            for worker in list(self.workers.values()):
                self._remove(worker)
            self.selector.close()
        self.attempt.processes.check()

    def _busy(self) -> int:
        return sum(worker.batch is not None for worker in self.workers.values())

    def _check(self) -> None:
        self.attempt.processes.check()
        if exceeded := self.counts.exceeded(self.limits):
            raise NodeAborted(f"aborted: {exceeded}")

    def _start_workers(self) -> None:
        """Start as many workers as there are mini-batches for."""
        while len(self.workers) < min(self.size, len(self.queue) + self._busy()):
            number = next(number for number in range(1, self.size + 1) if number not in self.workers)
            worker = Worker(self.attempt, number, self.settings, self.limits.start_timeout_s)
            self.workers[number] = worker
            self.selector.register(worker, selectors.EVENT_READ, worker)

    def _send_batches(self) -> None:
        for worker in self.workers.values():
            if worker.is_idle and self.queue:
                batch = self.queue.popleft()
                worker.send_batch(batch, self.results.partial(batch.batch), self.parallel.timeout)

    def _until_next_deadline(self) -> float | None:
        """Seconds until the next worker is late; None when none has a deadline."""
        next_deadline = min(worker.deadline for worker in self.workers.values())
        return None if next_deadline == float("inf") else max(next_deadline - monotonic(), 0)

    def _receive(self, worker: Worker) -> None:
        messages = worker.receive()
        if messages is None:
            self._replace(worker, f"its worker {worker.describe_exit()}")
        for message in messages or ():
            if worker.ready:
                self._handle_result(worker, message)
            elif "error" in message:
                raise NodeAborted(f"init() failed: {message['error']}; see {worker.log.name}")
            else:
                worker.set_ready()

    def _handle_result(self, worker: Worker, message: Mapping[str, Any]) -> None:
        attempt = worker.take_batch()
        returned = message.get("returned")
        if "unwritten" in message:
            raise NodeAborted(f"a result could not be written: {message['unwritten']}; free disk space and run again")
        if returned is None:
            self._fail(attempt, f"{message['error']}; see {worker.log.name}")
        elif returned < attempt.batch.items:
            self._fail(attempt, f"run() returned {returned} rows for {attempt.batch.items} items", returned)
        else:
            self.results.keep(attempt.batch)
            self._count(attempt.batch, returned)

    def _fail(self, attempt: BatchAttempt, reason: str, returned: int | None = None) -> None:
        tries = 1 + self.parallel.retries
        self.attempt.note(f"{attempt.batch}, try {attempt.number} of {tries}: {reason}")
        if attempt.number < tries:
            self.queue.append(BatchAttempt(attempt.batch, attempt.number + 1))
            return
        if returned is not None:
            self.results.keep(attempt.batch, complete=False)
        self._count(attempt.batch, returned)

    def _count(self, batch: MiniBatch, returned: int | None) -> None:
        if batch.copy == 0:
            self.counts.add(batch.items, returned)
        if monotonic() - self.last_progress >= _PROGRESS_INTERVAL_S:
            self.last_progress = monotonic()
            self.attempt.note(f"{self.counts}")

    def _end_late_workers(self) -> None:
        for worker in [worker for worker in self.workers.values() if worker.deadline <= monotonic()]:
            if not worker.ready:
                seconds = self.limits.start_timeout_s
                raise NodeAborted(f"init() is not done after {seconds} seconds; see {worker.log.name}")
            self._replace(worker, f"not done after retry_settings.timeout={self.parallel.timeout} seconds")

    def _replace(self, worker: Worker, reason: str) -> None:
        """Remove a worker that ended or hangs, and retry its mini-batch. Another worker starts in its place."""
        self._remove(worker)
        self.attempt.processes.check()
        if not worker.ready:
            raise NodeAborted(f"before init() was done {reason}; see {worker.log.name}")
        if worker.batch:
            self._fail(worker.take_batch(), f"{reason}; see {worker.log.name}")

    def _stop(self) -> None:
        """Let workers call shutdown(). An error there does not fail the node."""
        ready = [worker for worker in self.workers.values() if worker.ready]
        for worker in ready:
            worker.stop()
        deadline = monotonic() + self.parallel.timeout
        for worker in ready:
            code = worker.wait(max(deadline - monotonic(), 0))
            self.attempt.processes.check()
            if code != 0:
                how = "is not done" if code is None else f"ended with exit code {code}"
                self.attempt.note(f"shutdown() of worker {worker.number} {how}; see {worker.log.name}")

    def _remove(self, worker: Worker) -> None:
        del self.workers[worker.number]
        self.selector.unregister(worker)
        worker.close()
