"""Near duplicates: MinHash over character n-grams proposes pairs, and a comparison of the n-grams decides.

Sources: P. Li, A. Owen, C.-H. Zhang, One Permutation Hashing (2012); empty bins are filled as in A. Shrivastava, P. Li,
Densifying One Permutation Hashing via Rotation for Fast Near Neighbor Search (2014).
"""

import re
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

# Characters of an n-gram, a power of 2. Unlike words, characters fit languages without spaces; n-grams of this length
# are rarely shared by texts that have nothing else in common.
GRAM = 8

# Texts with fewer characters must be equal but for case, white space and punctuation: with ten words, one other word
# makes another question.
SHORT = 60

# A passage of this many characters (a power of 2) that is in more than COMMON of the rows, and in more than MANY, is
# part of a template and is not compared. It is counted in at most SAMPLE rows, in their first SAMPLE_CHARS characters.
PASSAGE = 32
COMMON, MANY = 0.01, 10
SAMPLE, SAMPLE_CHARS = 5_000, 4_000

# Rows that agree on the BAND bins of one of the BANDS are compared: of pairs with a similarity of 0.8 all but
# (1 - 0.8^5)^20 = 0.04%, with 0.7 all but 2.5%.
BANDS, BAND = 20, 5
BINS = BANDS * BAND

# Rows that are hashed together, so that the arrays fit a processor's cache.
BATCH = 128

_EMPTY = np.uint64(2**64 - 1)
_FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)
_SHIFT, _HALF = np.uint64(31), np.uint64(32)
_PUNCTUATION = re.compile(r"[.,;:!?\"'\u2018-\u201f«»…]+(?=\s|$)|(?<!\S)[\"'\u2018-\u201f«»]+")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


class Rows(Protocol):
    """The texts of each row, such as prompt and answer: a list, or rows in a file."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Sequence[str]: ...


def near_duplicates(rows: Rows, threshold: float) -> dict[int, int]:
    """Index of each row that repeats an earlier one, and the index of that row, which repeats none.

    Two rows are near duplicates when each text of one has the numbers of the other's, and their n-grams have a Jaccard
    similarity of at least `threshold`.
    """
    if not len(rows):
        return {}
    common = _common_passages(rows)
    repeats: dict[int, int] = {}
    for later, earlier in _candidates(_bands(rows, common)):
        first = repeats.get(earlier, earlier)
        if later not in repeats and _similar(rows[first], rows[later], threshold, common):
            repeats[later] = first
    return repeats


def batches(rows: Rows) -> Iterator[list[str]]:
    """The normalized texts of BATCH rows at a time, those of one row joined."""
    for start in range(0, len(rows), BATCH):
        yield [_joined(rows[index]) for index in range(start, min(start + BATCH, len(rows)))]


def _joined(row: Sequence[str]) -> str:
    return " ".join(map(_normalized, row))


def windows(texts: Sequence[str], length: int) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of the windows of `length` characters in texts, padded where shorter, and the index of each one's text."""
    padded = [text.ljust(length) for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    row = np.repeat(np.arange(len(texts)), [len(text) for text in padded])
    hashes = _extended(_mixed(codes, codes), 1, length)
    within = row[: hashes.size] == row[length - 1 :]
    return hashes[within], row[: hashes.size][within]


def _similar(first: Sequence[str], second: Sequence[str], threshold: float, common: Hashes) -> bool:
    shortest_first = sorted(zip(first, second, strict=True), key=lambda texts: len(texts[0]))
    return all(_similar_text(*texts, threshold, common) for texts in shortest_first)


def _similar_text(first: str, second: str, threshold: float, common: Hashes) -> bool:
    first, second = _normalized(first), _normalized(second)
    if first == second:
        return True
    if min(len(first), len(second)) < SHORT or _NUMBER.findall(first) != _NUMBER.findall(second):
        return False
    grams, other_grams = (set(_grams([text], common)[0].tolist()) for text in (first, second))
    return len(grams & other_grams) >= threshold * len(grams | other_grams)


def _normalized(text: str) -> str:
    """The text in lower case, without punctuation at the ends of words and repeated white space."""
    return " ".join(_PUNCTUATION.sub("", text.casefold()).split())


def _candidates(bands: Hashes) -> Iterator[tuple[int, int]]:
    """Pairs (later, earlier) of rows with the same key of a band, in order: a row with the first and the previous."""
    pairs = np.empty((0, 2), np.int64)
    position = np.arange(len(bands))
    for keys in bands.T:
        order = np.argsort(keys, kind="stable")
        repeated = np.append([False], keys[order][1:] == keys[order][:-1])
        first = np.maximum.accumulate(np.where(repeated, 0, position))
        later = position[repeated]
        of_band = [order[np.stack((later, earlier), axis=1)] for earlier in (later - 1, first[repeated])]
        pairs = np.unique(np.concatenate((pairs, *of_band)), axis=0)
    yield from ((int(later_row), int(earlier_row)) for later_row, earlier_row in pairs)


def _bands(rows: Rows, common: Hashes) -> Hashes:
    """Keys of each row, [rows, BANDS]: hashes of BAND bins of its MinHash signature."""
    keys = []
    for batch in batches(rows):
        grams, row = _grams(batch, common)
        bins = row * BINS + ((grams >> _HALF) * np.uint64(BINS) >> _HALF).astype(np.int64)
        signatures = np.full(len(batch) * BINS, _EMPTY)
        np.minimum.at(signatures, bins, grams)
        filled = _filled(signatures.reshape(-1, BINS)).reshape(-1, BANDS, BAND)
        key = filled[:, :, 0]
        for number in range(1, BAND):
            key = _mixed(key, filled[:, :, number])
        keys.append(key)
    return np.concatenate(keys)


def _filled(signatures: Hashes) -> Hashes:
    """Signatures in which an empty bin has the value of the next one that is not, changed by the distance to it."""
    twice = np.concatenate((signatures, signatures), axis=1)
    index = np.where(twice == _EMPTY, 2 * BINS - 1, np.arange(2 * BINS))
    following = np.minimum.accumulate(index[:, ::-1], axis=1)[:, ::-1][:, :BINS]
    distance = (following - np.arange(BINS)).astype(np.uint64)
    return np.take_along_axis(twice, following, axis=1) + distance * _FACTORS[0]


def _grams(texts: Sequence[str], common: Hashes) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of the n-grams of texts, and the index of each one's text. N-grams of common passages are left out, unless
    the text has no others."""
    hashes, row = windows(texts, GRAM)
    if not common.size:
        return hashes, row
    passages = _extended(hashes, GRAM, PASSAGE)
    starts = np.zeros(hashes.size, np.int64)
    starts[: passages.size] = common[np.searchsorted(common, passages) % common.size] == passages
    covering = np.cumsum(starts)
    reach = PASSAGE - GRAM + 1
    covering[reach:] -= covering[:-reach].copy()
    is_kept = covering == 0
    is_kept |= (np.bincount(row, is_kept, minlength=len(texts)) == 0)[row]
    return hashes[is_kept], row[is_kept]


def _common_passages(rows: Rows) -> Hashes:
    """Sorted hashes of the passages of templates."""
    sample = range(0, len(rows), max(1, -(-len(rows) // SAMPLE)))
    passages = [np.unique(windows([_joined(rows[number])[:SAMPLE_CHARS]], PASSAGE)[0]) for number in sample]
    hashes, counts = np.unique(np.concatenate(passages), return_counts=True)
    return hashes[counts > max(MANY, COMMON * len(sample))]


def _extended(hashes: Hashes, length: int, to: int) -> Hashes:
    """Hashes of windows of `to` characters from those of `length` characters, by doubling."""
    while length < to:
        hashes = _mixed(hashes[:-length], hashes[length:])
        length *= 2
    return hashes


def _mixed(first: Hashes, second: Hashes) -> Hashes:
    mixed = (first ^ (first >> _SHIFT)) * _FACTORS[0] + second
    return (mixed ^ (mixed >> _SHIFT)) * _FACTORS[1]
