"""File-based barrier and heartbeat between the ranks of one job, on a shared folder.

A heartbeat is a file that is written once, under a new name, and removed when the next one exists: a mount shows a file
that another node has rewritten with its old content, as long as the mount lasts. Each process draws a name, and lists
in its heartbeats all names that it has received. **A heartbeat counts for the processes that it lists**: it was written
after they started. So a file of an earlier attempt does not count for this attempt, whichever rank starts first, and no
clocks are compared.
"""

import asyncio
import contextlib
import hashlib
import threading
import time
import uuid
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from azdistill.contracts.errors import AzdistillError, Interrupted
from azdistill.contracts.files import write_json
from azdistill.teacher.rank import Rank

FOLDER = "ranks"
POLL_S = 0.2
HEARTBEAT_S = 10.0
LONGEST_SILENCE_S = 300.0
# Nodes of one job start minutes apart: one of them has to pull the image first.
LONGEST_START_S = 1800.0
FAILURE_WAIT_S = 30.0
CONTINUE = "all answers are stored; run again to continue"

State = Literal["asking", "done", "failed"]


class Heartbeat(BaseModel):
    """The state of one process. `report` is the result of a rank that is done, for rank 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    name: str
    received: tuple[str, ...] = ()
    state: State = "asking"
    error: str = ""
    report: dict[str, Any] = {}


class RankBarrier:
    """Barrier of one process, as a context: an error that ends it is published to the others.

    Rank 0 depends on all others, and they depend on rank 0. `silence_s` is how long a rank may be silent after its
    first heartbeat, `start_s` how long the first one may take.
    """

    def __init__(
        self,
        folder: Path,
        rank: Rank,
        *,
        poll_s: float = POLL_S,
        heartbeat_s: float = HEARTBEAT_S,
        silence_s: float = LONGEST_SILENCE_S,
        start_s: float = LONGEST_START_S,
    ) -> None:
        self.folder, self.rank = folder, rank
        self.poll_s, self.heartbeat_s, self.silence_s, self.start_s = poll_s, heartbeat_s, silence_s, start_s
        self._heartbeat = Heartbeat(rank=rank.number, name=uuid.uuid4().hex)
        self._written: list[Path] = []
        self._number, self._published_at, self._began = 0, 0.0, time.monotonic()
        self._read: set[str] = set()
        self._latest: dict[int, tuple[Heartbeat, float]] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._poll_until_over, name="ranks", daemon=True)

    def __enter__(self) -> "RankBarrier":
        self._poll()
        self._publish()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, AzdistillError) and not isinstance(error, Interrupted):
            self._wait_for_first_heartbeats()
        self._over.set()
        self._thread.join()
        if error is None:
            self._publish(state="done")
            return
        with contextlib.suppress(AzdistillError):  # the error that ended the work matters more
            text = str(error) if isinstance(error, AzdistillError) else type(error).__name__
            self._publish(state="failed", error=text)

    def _wait_for_first_heartbeats(self) -> None:
        """Wait a little for ranks that are starting, so that they receive an early failure."""
        end = time.monotonic() + min(FAILURE_WAIT_S, self.start_s)
        while any(number not in self._latest for number in self._others()) and time.monotonic() < end:
            time.sleep(self.poll_s)

    def check(self) -> None:
        """Raise AzdistillError when a rank that this one depends on has failed or is silent for too long."""
        for number in self._others():
            heartbeat, received_at = self._latest.get(number, (None, self._began))
            if heartbeat and heartbeat.state == "failed":
                raise AzdistillError(
                    f"rank {number} of {self.rank.world} failed: {heartbeat.error or 'unknown reason'}"
                )
            silence_s, limit_s = time.monotonic() - received_at, self.silence_s if heartbeat else self.start_s
            if not (heartbeat and heartbeat.state == "done") and silence_s > limit_s:
                fault = "is silent" if heartbeat else "has not started"
                raise AzdistillError(
                    f"rank {number} of {self.rank.world} {fault}: no heartbeat in {str(self.folder)!r} for "
                    f"{limit_s:.0f} s",
                    fix=f"see the log of that process; {CONTINUE}",
                )

    async def reports(self) -> list[dict[str, Any]]:
        """The reports of all other ranks, once the last of them is done."""
        await self._wait()
        return [self._latest[number][0].report for number in self._others()]

    async def finish(self, report: dict[str, Any]) -> None:
        """Publish this rank's report, and wait until rank 0 is done."""
        await asyncio.to_thread(self._publish, state="done", report=report)
        await self._wait()

    async def _wait(self) -> None:
        while any(number not in self._latest or self._latest[number][0].state != "done" for number in self._others()):
            self.check()
            await asyncio.sleep(self.poll_s)

    def _others(self) -> Iterable[int]:
        return range(1, self.rank.world) if self.rank.leads else (0,)

    def _poll_until_over(self) -> None:
        """Publish heartbeats from a thread, so that a rank with long work is not reported as silent."""
        while not self._over.wait(self.poll_s):
            # A mount may fail temporarily; other ranks detect silence.
            with contextlib.suppress(OSError, AzdistillError):
                has_new = self._poll()
                if has_new or time.monotonic() - self._published_at > self.heartbeat_s:
                    self._publish()

    def _poll(self) -> bool:
        """Read new heartbeats; returns whether one is of a process that is new."""
        before = self._heartbeat.received
        for path in sorted(self.folder.glob("*.json")):
            if path.name not in self._read and (heartbeat := _read(path)):
                self._read.add(path.name)
                self._receive(heartbeat)
        return self._heartbeat.received != before

    def _receive(self, heartbeat: Heartbeat) -> None:
        if heartbeat.name == self._heartbeat.name:
            return
        if heartbeat.name not in self._heartbeat.received:
            with self._lock:
                received = (*self._heartbeat.received, heartbeat.name)
                self._heartbeat = self._heartbeat.model_copy(update={"received": received})
        if self._heartbeat.name in heartbeat.received:
            self._latest[heartbeat.rank] = heartbeat, time.monotonic()

    def _publish(self, **changes: Any) -> None:
        """Write this process's next heartbeat, then remove the one before."""
        with self._lock:
            self._heartbeat = self._heartbeat.model_copy(update=changes)
            path = self.folder / f"{self.rank.number}-{self._heartbeat.name}-{self._number:08}.json"
            self._number, self._published_at = self._number + 1, time.monotonic()
            try:
                write_json(path, self._heartbeat.model_dump())
                while self._written:
                    self._written.pop().unlink(missing_ok=True)
            except OSError as error:
                raise AzdistillError(
                    f"store: {str(self.folder)!r} cannot be written ({error.strerror})",
                    fix=f"free disk space or use another folder; {CONTINUE}",
                ) from None
            self._written.append(path)


def _read(path: Path) -> Heartbeat | None:
    """None of a heartbeat that was removed meanwhile, or that is incomplete."""
    try:
        return Heartbeat.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def barrier_folder(store: Path, job: str, world: int, keys: Iterable[str]) -> Path:
    """Folder of the heartbeats of one job: of ranks that ask the same requests in a world of the same size."""
    digest = hashlib.sha256("\n".join([job, str(world), *sorted(set(keys))]).encode())
    return store / FOLDER / digest.hexdigest()[:16]
