"""How the ranks of one job hear of each other: through notes in a folder that all of them see.

A note is written once, under a name of its own, and taken away when the next one is there: on a mount a file
appears when it is closed, and one that was written anew may be shown as it was. Each process draws a name for
itself and lists in its notes all names that it has heard. **A note counts for those whom it lists**: it was
written after they began. So nothing that an earlier attempt left is taken for this one's, whoever starts
first, and no clock is compared with another one.
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
LOOK_S = 0.2
BEAT_S = 10.0
SILENT_S = 300.0
LATE_S = 1800.0
"""Nodes of one job start minutes apart: an image is pulled here and was there already."""
LINGER_S = 30.0
CONTINUE = "all that was answered is stored; run again to continue"

State = Literal["asking", "done", "failed"]


class Heartbeat(BaseModel):
    """What one process says. `part` is what a rank that is done leaves to rank 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int
    name: str
    heard: tuple[str, ...] = ()
    state: State = "asking"
    error: str = ""
    part: dict[str, Any] = {}


class RankBarrier:
    """A process among the ranks of its job, as a context: what ends it is told to the others.

    Rank 0 hears all others, they hear rank 0. `silent_s` is how long one that was heard may say nothing,
    `late_s` how long the first word may take.
    """

    def __init__(
        self,
        folder: Path,
        rank: Rank,
        *,
        look_s: float = LOOK_S,
        beat_s: float = BEAT_S,
        silent_s: float = SILENT_S,
        late_s: float = LATE_S,
    ) -> None:
        self.folder, self.rank = folder, rank
        self.look_s, self.beat_s, self.silent_s, self.late_s = look_s, beat_s, silent_s, late_s
        self._note = Heartbeat(rank=rank.number, name=uuid.uuid4().hex)
        self._written: list[Path] = []
        self._number, self._beat_at, self._began = 0, 0.0, time.monotonic()
        self._read: set[str] = set()
        self._latest: dict[int, tuple[Heartbeat, float]] = {}
        self._lock, self._over = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._attend, name="ranks", daemon=True)

    def __enter__(self) -> "RankBarrier":
        self._look()
        self._tell()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(problem, AzdistillError) and not isinstance(problem, Interrupted):
            self._linger()
        self._over.set()
        self._thread.join()
        if problem is None:
            self._tell(state="done")
            return
        with contextlib.suppress(AzdistillError):  # what ended the work is told, not that it could not be passed on
            told = str(problem) if isinstance(problem, AzdistillError) else type(problem).__name__
            self._tell(state="failed", error=told)

    def _linger(self) -> None:
        """A failure that comes at once is told to nobody: wait a little for those that are starting."""
        end = time.monotonic() + min(LINGER_S, self.late_s)
        while any(number not in self._latest for number in self._awaited()) and time.monotonic() < end:
            time.sleep(self.look_s)

    def check(self) -> None:
        """Raise AzdistillError when a rank that this one depends on has failed or fallen silent."""
        for number in self._awaited():
            note, heard_at = self._latest.get(number, (None, self._began))
            if note and note.state == "failed":
                raise AzdistillError(f"rank {number} of {self.rank.world} failed: {note.error or 'no reason told'}")
            silent_s, limit_s = time.monotonic() - heard_at, self.silent_s if note else self.late_s
            if not (note and note.state == "done") and silent_s > limit_s:
                what = "fell silent" if note else "has not come"
                raise AzdistillError(
                    f"rank {number} of {self.rank.world} {what}: no note of it in {str(self.folder)!r} for "
                    f"{limit_s:.0f} s; see that process's log; {CONTINUE}"
                )

    async def others(self) -> list[dict[str, Any]]:
        """The parts of all other ranks, once the last of them is done."""
        await self._until_done()
        return [self._latest[number][0].part for number in self._awaited()]

    async def finish(self, part: dict[str, Any]) -> None:
        """Leave this rank's part to rank 0, and wait for what comes of it."""
        await asyncio.to_thread(self._tell, state="done", part=part)
        await self._until_done()

    async def _until_done(self) -> None:
        while any(number not in self._latest or self._latest[number][0].state != "done" for number in self._awaited()):
            self.check()
            await asyncio.sleep(self.look_s)

    def _awaited(self) -> Iterable[int]:
        return range(1, self.rank.world) if self.rank.leads else (0,)

    def _attend(self) -> None:
        """In a thread of its own, so that long work is not taken for silence."""
        while not self._over.wait(self.look_s):
            with contextlib.suppress(OSError, AzdistillError):  # a mount has its moments; silence tells if it stays
                news = self._look()
                if news or time.monotonic() - self._beat_at > self.beat_s:
                    self._tell()

    def _look(self) -> bool:
        """Read the notes that are new; returns whether one is of a process not heard before."""
        before = self._note.heard
        for path in sorted(self.folder.glob("*.json")):
            if path.name not in self._read and (note := _read(path)):
                self._read.add(path.name)
                self._hear(note)
        return self._note.heard != before

    def _hear(self, note: Heartbeat) -> None:
        if note.name == self._note.name:
            return
        if note.name not in self._note.heard:
            with self._lock:
                self._note = self._note.model_copy(update={"heard": (*self._note.heard, note.name)})
        if self._note.name in note.heard:
            self._latest[note.rank] = note, time.monotonic()

    def _tell(self, **news: Any) -> None:
        """Write this process's next note, then take the one before away."""
        with self._lock:
            self._note = self._note.model_copy(update=news)
            path = self.folder / f"{self.rank.number}-{self._note.name}-{self._number:08}.json"
            self._number, self._beat_at = self._number + 1, time.monotonic()
            try:
                write_json(path, self._note.model_dump())
                while self._written:
                    self._written.pop().unlink(missing_ok=True)
            except OSError as problem:
                raise AzdistillError(
                    f"store: {str(self.folder)!r} can't be written ({problem.strerror}); make room or give another "
                    f"folder; {CONTINUE}"
                ) from None
            self._written.append(path)


def _read(path: Path) -> Heartbeat | None:
    """None of a note that was taken away meanwhile, or that is not there as a whole yet."""
    try:
        return Heartbeat.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def meeting_folder(store: Path, job: str, world: int, keys: Iterable[str]) -> Path:
    """Where the ranks of one job meet: those that ask the same questions in as many parts."""
    named = hashlib.sha256("\n".join([job, str(world), *sorted(set(keys))]).encode())
    return store / FOLDER / named.hexdigest()[:16]
