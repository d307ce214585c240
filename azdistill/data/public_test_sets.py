"""Training rows with text of public test sets: a model that was trained on them may know the answers of a test set.

As in GPT-3's check (https://arxiv.org/abs/2005.14165, appendix C), a row has text of a test row if both have the same
n-gram of 13 words, and n-grams of more than 10 training or test rows do not count: they belong to a template. A row
that equals a text of a test row, such as a short question, has it too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import write_rows
from azdistill.contracts.layout import CONTAMINATION_FILE, PROMPTS_FILE
from azdistill.contracts.rows import Reject
from azdistill.data.gram_index import NGRAM, GramIndex, Hashes, Rows, ngrams
from azdistill.tasks.records import read_records
from azdistill.tasks.task import BadRow
from azdistill.tasks.texts import words

# An n-gram of more rows belongs to a template. It is counted in at most SAMPLE training rows.
MOST_ROWS, SAMPLE = 10, 20_000

# Shorter texts, such as the options of a question, are equal by chance.
FEWEST = 5

BATCH = 1000


@dataclass(frozen=True)
class Contamination:
    """The test set with a row whose text another text has."""

    test_set: str
    detail: str


class PublicTestSets:
    """The rows of test sets, each a file in a folder, and named after it.

    N-grams of templates are those of many test rows or of many of `texts`. Raises DataError for a folder without a
    file, and for a file without a row.
    """

    def __init__(self, folder: Path, texts: Iterable[str]) -> None:
        self._sources: list[tuple[str, str]] = []
        # Test row by text, for texts that are shorter than an n-gram.
        self._rows: dict[str, int] = {}
        grams = list(self._read(folder))
        sample = list(islice(texts, SAMPLE))
        self._index = GramIndex.of(grams, len(self._sources))
        self._templates = [
            GramIndex.of(grams, len(self._sources), more_than=MOST_ROWS),
            GramIndex.of([ngrams(sample)[:2]], len(sample), more_than=MOST_ROWS),
        ]

    def counts(self) -> dict[str, int]:
        """The number of rows by test set."""
        return Counter(name for name, _ in self._sources)

    def overlaps(self, texts: Sequence[str]) -> dict[int, Contamination]:
        """The indexes of the texts that equal a text of a test row or have an n-gram of it, with that row."""
        hashes, row, _ = ngrams(texts)
        others = self._index.first_rows(hashes)
        for template in self._templates:
            others[template.first_rows(hashes) >= 0] = -1
        common = np.flatnonzero(others >= 0)
        first = common[np.unique(row[common], return_index=True)[1]]
        overlaps = {
            index: self._overlap(other, f"{NGRAM} consecutive words are those of {{}}")
            for index, other in zip(row[first].tolist(), others[first].tolist(), strict=True)
        }
        for index in np.flatnonzero(np.bincount(row, minlength=len(texts)) == 0).tolist():
            if (other := self._rows.get(" ".join(words(texts[index])))) is not None:
                overlaps[index] = self._overlap(other, "equals a text of {}")
        return overlaps

    def _overlap(self, row: int, detail: str) -> Contamination:
        name, source = self._sources[row]
        return Contamination(name, detail.format(source))

    def _read(self, folder: Path) -> Iterator[tuple[Hashes, Rows]]:
        """N-grams of all test rows, which are numbered."""
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
        if not files:
            raise DataError("no file of a test set", file=folder, code="no_rows", fix="add files such as gsm8k.jsonl")
        for path in files:
            first = len(self._sources)
            records = ((source, record) for source, record in read_records(path) if not isinstance(record, BadRow))
            for batch in _batches(records):
                start = len(self._sources)
                self._sources += ((path.name.partition(".")[0], source) for source, _ in batch)
                texts = [list(_texts(record)) for _, record in batch]
                for number, texts_of_row in enumerate(texts, start):
                    short = (of_text for of_text in map(words, texts_of_row) if FEWEST <= len(of_text) < NGRAM)
                    self._rows |= {" ".join(of_text): number for of_text in short}
                hashes, row, _ = ngrams(list(map(" ".join, texts)))
                yield hashes, row + start
            if len(self._sources) == first:
                raise DataError("no row of a test set", file=path, code="no_rows", fix="remove it from the folder")


def check_public_test_sets(folder: Path, test_sets: Path) -> dict[str, dict[str, int]]:
    """Compare the training and validation prompts in a folder of step prepare with the test sets of another folder.

    Writes the prompts that have text of a test set to contamination.jsonl. Returns the numbers of test rows and of such
    prompts by test set. Raises DataError as PublicTestSets does.
    """
    prompts = folder / PROMPTS_FILE
    sets = PublicTestSets(test_sets, (text for _, text in _prompts(prompts)))
    rejects = [
        Reject(source=batch[index][0], reason=overlap.test_set, detail=overlap.detail)
        for batch in _batches(_prompts(prompts))
        for index, overlap in sorted(sets.overlaps([text for _, text in batch]).items())
    ]
    write_rows(folder / CONTAMINATION_FILE, rejects)
    overlapping = Counter(reject.reason for reject in rejects)
    return {name: {"rows": rows, "prompts": overlapping[name]} for name, rows in sets.counts().items()}


def _prompts(path: Path) -> Iterator[tuple[str, str]]:
    """Source and text of the training and validation prompts, without system turns."""
    with path.open("rb") as stream:
        for row in map(orjson.loads, stream):
            if row["split"] != "test":
                turns = (turn["content"] for turn in row["messages"] if turn["role"] != "system")
                yield row["source"], " ".join(turns)


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
