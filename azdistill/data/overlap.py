"""Rows that are nearly a held-out row: they share a 13-gram with it, most of their words, and the numbers.

The rule is made of two published ones. GPT-3 (https://arxiv.org/abs/2005.14165, appendix C) looks for common 13-grams
and ignores those of more than 10 documents. Llama 2 (https://arxiv.org/abs/2307.09288, appendix A.6) takes a text as
contaminated when 80% of its words are in common n-grams. 13-grams alone miss most copies in which one word in 20 is
another one, so the words are counted in shorter n-grams. With other numbers, a problem or an order is another one.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from azdistill.data.gram_index import NGRAM, GramIndex, Hashes, ngrams
from azdistill.data.processes import map_in_processes
from azdistill.tasks.texts import words

Integers = npt.NDArray[np.int64]

# Fraction of a row's own words that are in SHORT-grams of the held-out row.
SHARE, SHORT = 0.8, 5

# The rule, for the manifest.
CHECK = f"a common {NGRAM}-gram, {SHARE:.0%} of the words in common {SHORT}-grams, and equal numbers"

# A row with fewer own words must repeat a held-out row: with ten words, one other word makes another question.
FEWEST = 13

# An n-gram of more rows belongs to a template, such as the instruction of a task: it is no row's own. It is counted in
# at most SAMPLE rows. Of fewer than 40 rows it must be in more than a quarter.
MANY, SAMPLE = 10, 20_000

# Held-out rows with the most n-grams of a row that are compared with it.
COMPARED = 5

BATCH = 1000


class Texts(Protocol):
    """The texts of rows by their numbers."""

    def texts(self, rows: Integers, /) -> Iterator[str]: ...


@dataclass(frozen=True)
class Overlap:
    """A row and the held-out row that it is nearly equal to."""

    row: int
    other: int


def template_ngrams(store: Texts, rows: Integers) -> GramIndex:
    """The n-grams that many of the rows have."""
    sample = rows[:: max(1, -(-len(rows) // SAMPLE))]
    return _index(store, sample, more_than=min(MANY, max(2, len(sample) // 4)))


def find_overlaps(store: Texts, rows: Integers, held_out: Integers, templates: GramIndex) -> list[Overlap]:
    """The rows that are nearly a row of `held_out`. The index holds the held-out rows only."""
    index = _index(store, held_out, templates)
    compare = partial(_compare, store, held_out, index, templates)
    return [overlap for overlaps in map_in_processes(compare, _batches(rows)) for overlap in overlaps]


def _compare(
    store: Texts, held_out: Integers, index: GramIndex, templates: GramIndex, batch: Integers
) -> list[Overlap]:
    texts = list(store.texts(batch))
    grams, row = _own_ngrams(texts, templates)
    others = index.first_rows(grams)
    is_shared = others >= 0
    overlaps = []
    for number in np.unique(row[is_shared]).tolist():
        candidates = Counter(others[is_shared & (row == number)].tolist()).most_common(COMPARED)
        similar = held_out[[candidate for candidate, _ in candidates]]
        shares = [_share(texts[number], other, templates) for other in store.texts(similar)]
        if max(shares) >= SHARE:
            overlaps.append(Overlap(int(batch[number]), int(similar[shares.index(max(shares))])))
    return overlaps


def _share(text: str, other: str, templates: GramIndex) -> float:
    """Fraction of the own words of a text that are in SHORT-grams of another text; 0 if that has other numbers."""
    of_text, of_other = words(text), words(other)
    is_own = ~_covered(templates.first_rows(ngrams([text])[0]) >= 0, NGRAM)
    if np.count_nonzero(is_own) < FEWEST or _numbers(of_text) != _numbers(of_other):
        return 0.0
    grams = set(_tuples(of_other))
    is_shared = _covered(np.fromiter((gram in grams for gram in _tuples(of_text)), np.bool_), SHORT)
    return float(np.mean(is_shared[is_own]))


def _numbers(of_text: Sequence[str]) -> list[str]:
    return sorted(word for word in of_text if any(map(str.isdecimal, word)))


def _tuples(of_text: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return zip(*(of_text[start:] for start in range(SHORT)), strict=False)


def _covered(is_counted: npt.NDArray[np.bool_], length: int) -> npt.NDArray[np.bool_]:
    """Words that are in the n-grams that are counted, of `length` words."""
    return np.convolve(is_counted, np.ones(length)) > 0


def _index(store: Texts, rows: Integers, without: GramIndex | None = None, more_than: int = 0) -> GramIndex:
    """The n-grams of rows, numbered in their order: those that are in more than `more_than` rows."""
    starts = range(0, len(rows), BATCH)
    grams = map_in_processes(partial(_ngrams_of, store, without), _batches(rows))
    return GramIndex.of(
        ((hashes, row + start) for (hashes, row), start in zip(grams, starts, strict=True)), len(rows), more_than
    )


def _ngrams_of(store: Texts, without: GramIndex | None, batch: Integers) -> tuple[Hashes, Integers]:
    texts = list(store.texts(batch))
    return ngrams(texts)[:2] if without is None else _own_ngrams(texts, without)


def _own_ngrams(texts: Sequence[str], templates: GramIndex) -> tuple[Hashes, Integers]:
    """Hashes of the n-grams without a word of a template, and the index of each one's text."""
    grams, row, position = ngrams(texts)
    if not len(grams):
        return grams, row
    # An n-gram has a word in common with those that begin less than NGRAM words before or after it.
    is_template = np.zeros(position[-1] + 2 * NGRAM, np.int64)
    is_template[position + NGRAM] = templates.first_rows(grams) >= 0
    before = np.cumsum(is_template)
    is_own = before[position + 2 * NGRAM - 1] == before[position]
    return grams[is_own], row[is_own]


def _batches(rows: Integers) -> Iterator[Integers]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
