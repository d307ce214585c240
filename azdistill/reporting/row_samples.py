"""Random rows for the data card: training rows, and rows that a step removed, by reason.

The rows with the smallest hashes of seed and source are chosen, so that the same run always shows the same rows.
"""

import hashlib
import heapq
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, TypeVar

from azdistill.contracts.files import read_rows
from azdistill.contracts.layout import DROPS_FILE, LEFT_OUT_FILE, REJECTS_FILE, TRAIN_FILE
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, TrainRow
from azdistill.engine.problems import looks_like_key
from azdistill.engine.redaction import redact
from azdistill.reporting.figures import shorten
from azdistill.reporting.report import RowSample, SampleGroup

# Rows of each group, and training rows for other facts than texts.
SAMPLES, MANY_SAMPLES = 10, 500

# Characters shown of one text.
LONGEST = 400

# Words that may be a key.
LONG_WORD = re.compile(r"[\w+/=.-]{20,}")
REDACTED = "[redacted]"

Record = TypeVar("Record")


class RandomRows(Generic[Record]):
    """At most `size` rows of all that were added, and the number of all."""

    def __init__(self, seed: int, size: int = SAMPLES) -> None:
        self.count = 0
        self._size = size
        self._seed = seed
        self._heap: list[tuple[int, int, Record]] = []

    def add(self, key: str, row: Record) -> None:
        digest = hashlib.blake2b(f"{self._seed} {key}".encode(), digest_size=8).digest()
        entry = (-int.from_bytes(digest), -self.count, row)
        self.count += 1
        if len(self._heap) < self._size:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    @property
    def rows(self) -> list[Record]:
        return [row for *_, row in sorted(self._heap, key=lambda entry: entry[:2], reverse=True)]


class RowSamples:
    """The chosen rows of a run. Their prompts and answers are in other files than the reasons, and are added."""

    def __init__(self, prompts: Path, completions: Path, curated: Path, seed: int) -> None:
        self.trained = RandomRows[TrainRow](seed, MANY_SAMPLES)
        for row in read_rows(curated / TRAIN_FILE, TrainRow):
            self.trained.add(row.id, row)
        self.kept = self.trained.rows[:SAMPLES]
        self.removed: dict[tuple[str, str], RandomRows[Reject]] = {}
        for step, file in (
            ("prepare", prompts / REJECTS_FILE),
            ("prepare", prompts / LEFT_OUT_FILE),
            ("teacher", completions / REJECTS_FILE),
            ("curate", curated / DROPS_FILE),
        ):
            for reject in read_rows(file, Reject) if file.is_file() else ():
                group = self.removed.setdefault((step, reject.reason), RandomRows(seed))
                group.add(f"{reject.source} {reject.detail}", reject)
        self._ids = {row.id for row in self.kept}
        self._sources = {reject.source for group in self.removed.values() for reject in group.rows}
        self._by_id: dict[str, Prompt] = {}
        self._by_source: dict[str, Prompt] = {}
        self._answers: dict[str, list[str]] = defaultdict(list)

    def add_prompt(self, prompt: Prompt) -> None:
        """Keep the prompt of a chosen row."""
        if prompt.id in self._ids:
            self._by_id[prompt.id] = prompt
        if prompt.source in self._sources:
            self._by_source.setdefault(prompt.source, prompt)

    def add_completion(self, row: Completion) -> None:
        """Keep an answer to a chosen row."""
        if row.source in self._sources and row.split != "test":
            self._answers[row.source].append(row.completion)

    def groups(self) -> tuple[SampleGroup, ...]:
        """Kept rows first, then the others in the order of the steps, the largest group of a step first."""
        steps = list(dict.fromkeys(step for step, _ in self.removed))
        order = sorted(self.removed, key=lambda key: (steps.index(key[0]), -self.removed[key].count, key[1]))
        kept = tuple(self._kept(row) for row in self.kept)
        return (
            SampleGroup(step="", reason="", rows=self.trained.count, samples=kept),
            *(self._group(step, reason, self.removed[step, reason]) for step, reason in order),
        )

    def _group(self, step: str, reason: str, group: RandomRows[Reject]) -> SampleGroup:
        samples = tuple(self._removed(step, reject) for reject in group.rows)
        return SampleGroup(step=step, reason=reason, rows=group.count, samples=samples)

    def _kept(self, row: TrainRow) -> RowSample:
        *prompt, target = row.messages
        source = self._by_id[row.id].source if row.id in self._by_id else ""
        return RowSample(source=source, id=row.id, messages=_clean(prompt), answer=clean(target.content))

    def _removed(self, step: str, reject: Reject) -> RowSample:
        """Of a row that step prepare removed, the run has no text. One answer of several cannot be told apart."""
        prompt = None if step == "prepare" else self._by_source.get(reject.source)
        answers = self._answers[reject.source] if step == "curate" else []
        return RowSample(
            source=reject.source,
            id=prompt.id if prompt else "",
            messages=_clean(prompt.messages) if prompt else (),
            answer=clean(answers[0]) if len(answers) == 1 else None,
            detail=clean(reject.detail),
        )


def clean(text: str) -> str:
    """Text without what looks like a secret, of at most LONGEST characters."""
    text = LONG_WORD.sub(lambda word: REDACTED if looks_like_key(word[0]) else word[0], redact(text))
    return shorten(text, LONGEST)


def _clean(messages: Sequence[Message]) -> tuple[Message, ...]:
    return tuple(message.model_copy(update={"content": clean(message.content)}) for message in messages)
