"""Answers of an interrupted attempt, from which the next attempt continues."""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from azdistill.contracts.files import write_text
from azdistill.generation.generate import GeneratedAnswer

# Seconds between two files. A crash loses at most the answers since the last one.
EVERY = 10.0

logger = logging.getLogger("azdistill.generation")


class UnfinishedAnswers:
    """Answers by prompt, written to files of `folder`. Without a folder nothing is read or written.

    A file appears complete and is never appended to, which mounted object storage needs. Its first line is the digest
    of the second. A damaged file is reported, and its answers are generated again. Files of another `key` (see
    `key_of`) are ignored. `seconds` is the time that generating all answers took, in all attempts.
    """

    def __init__(self, folder: Path | None = None, key: str = "") -> None:
        self._folder, self._key = folder, key
        self._answers: dict[str, GeneratedAnswer] = {}
        self._unwritten: dict[str, GeneratedAnswer] = {}
        self.seconds = 0.0
        self._files = 0
        for path in sorted(folder.glob("*.answers")) if folder else ():
            self._files = max(self._files, int(path.stem)) if path.stem.isdecimal() else self._files
            self._read(path)
        self._written = time.perf_counter()

    def start(self) -> None:
        """Measure the time from now on."""
        self._written = time.perf_counter()

    def get(self, prompt: Sequence[int]) -> GeneratedAnswer | None:
        """The answer to a tokenized prompt."""
        return self._answers.get(_hash(prompt))

    def add(self, prompt: Sequence[int], answer: GeneratedAnswer) -> None:
        """Add an answer. It is written with others, EVERY seconds."""
        self._answers[_hash(prompt)] = self._unwritten[_hash(prompt)] = answer
        if time.perf_counter() - self._written >= EVERY:
            self.write()

    def write(self) -> None:
        """Write the answers since the last file."""
        now = time.perf_counter()
        elapsed, self._written = now - self._written, now
        self.seconds += elapsed
        if self._folder is None or not self._unwritten:
            return
        self._files += 1
        answers = {prompt: [answer.truncated, answer.token_ids] for prompt, answer in self._unwritten.items()}
        content = json.dumps({"key": self._key, "seconds": elapsed, "answers": answers}, separators=(",", ":"))
        write_text(self._folder / f"{self._files:06}.answers", f"{_digest(content)}\n{content}")
        self._unwritten = {}

    def delete(self) -> None:
        """Delete the files: the predictions have been written."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _read(self, path: Path) -> None:
        try:
            digest, _, text = path.read_text(encoding="utf-8").partition("\n")
        except (OSError, ValueError):
            digest = text = ""
        if digest != _digest(text):
            logger.warning("predict: %s is damaged; its answers are generated again", path.name)
            return
        content = json.loads(text)
        if content["key"] == self._key:
            self._answers |= {
                prompt: GeneratedAnswer(token_ids, truncated)
                for prompt, (truncated, token_ids) in content["answers"].items()
            }
            self.seconds += content["seconds"]


def key_of(settings: Mapping[str, Any]) -> str:
    """Hash of what decides about the answers, except for the prompts."""
    return _digest(json.dumps(settings, sort_keys=True))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _hash(prompt: Sequence[int]) -> str:
    return _digest(json.dumps(list(prompt)))[:32]
