"""Word n-grams of texts as hashes, and an index of the rows that have them: 8 bytes an n-gram."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from azdistill.tasks.texts import spaced_words

Hashes = npt.NDArray[np.uint64]
Rows = npt.NDArray[np.int64]

# Words of an n-gram, as in GPT-3's check: shorter ones are frequent in unrelated texts.
NGRAM = 13

# Bits of the table of hashes for each n-gram, so that few of the n-grams that are not in the index are looked up.
TABLE_BITS = 16
_CHUNK = 1 << 20

# Texts whose words are hashed together: about 36 bytes a character, which should fit into the cache of a core.
_TEXTS = 100

_FACTOR = np.uint64(0x9E3779B97F4A7C15)
_INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_ONE, _BYTE, _IN_BYTE, _HALF = np.uint64(1), np.uint64(3), np.uint64(7), np.uint64(32)


def ngrams(texts: Sequence[str]) -> tuple[Hashes, Rows, Rows]:
    """Hashes of all n-grams in the order of the texts, the index of each one's text, and that of its first word among
    the words of all texts.

    Words are case-folded and without punctuation. Equal n-grams have equal hashes.
    """
    parts = [_word_hashes(texts[start : start + _TEXTS]) for start in range(0, len(texts), _TEXTS)]
    hashes = np.concatenate([part for part, _ in parts] or [np.empty(0, np.uint64)])
    if len(hashes) < NGRAM:
        return np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.int64)
    lengths = np.concatenate([counts for _, counts in parts])
    two = _joined(hashes, hashes, 1)
    four = _joined(two, two, 2)
    eight = _joined(four, four, 4)
    grams = _joined(_joined(eight, four, 8), hashes, 12)
    row = np.repeat(np.arange(len(texts)), lengths)
    positions = np.flatnonzero(row[: len(grams)] == row[NGRAM - 1 :])
    return grams[positions], row[positions], positions


def _word_hashes(texts: Sequence[str]) -> tuple[Hashes, Rows]:
    """Hashes of the words of all texts, and the number of words of each text.

    The hash of a word is a polynomial of its characters: a difference of two sums over the characters of all texts.
    """
    spaced = list(map(spaced_words, texts))
    characters = np.frombuffer(" ".join(spaced).encode("utf-32-le"), np.uint32)
    is_letter = np.zeros(len(characters) + 2, np.bool_)
    np.not_equal(characters, ord(" "), out=is_letter[1:-1])
    edges = np.flatnonzero(is_letter[1:] != is_letter[:-1])
    starts, ends = edges[::2], edges[1::2]
    powers, inverses = _powers(len(characters).bit_length())
    sums = np.zeros(len(characters) + 1, np.uint64)
    np.cumsum(characters * powers[: len(characters)], out=sums[1:])
    text_ends = np.cumsum([len(text) + 1 for text in spaced])
    counts = np.diff(np.searchsorted(starts, text_ends), prepend=0)
    return (sums[ends] - sums[starts]) * inverses[starts], counts


@lru_cache(maxsize=2)
def _powers(bits: int) -> tuple[Hashes, Hashes]:
    """Powers of a number and of its inverse, modulo 2**64, from the power 0: 2**bits of each."""
    factors = np.full((2, 1 << bits), [[_FACTOR], [_INVERSE]])
    factors[:, 0] = 1
    powers, inverses = np.multiply.accumulate(factors, axis=1)
    return powers, inverses


def _joined(first: Hashes, second: Hashes, distance: int) -> Hashes:
    """Hashes of an n-gram of `distance` words and the one that follows it."""
    following = second[distance:]
    mixed = first[: len(following)] * _FACTOR + following
    return (mixed ^ (mixed >> _HALF)) * _FACTOR


class GramIndex:
    """The rows in which n-grams occur. Of an n-gram's hash the index has the first 40 bits or more."""

    def __init__(self, keys: Hashes, row_bits: int) -> None:
        """`keys`: sorted; the last `row_bits` bits of each are a row, the others the first bits of a hash."""
        self._keys, self._row_bits = keys, np.uint64(row_bits)
        table_bits = max(16, (len(keys) * TABLE_BITS).bit_length())
        self._shift = np.uint64(64 - table_bits)
        self._table = np.zeros(1 << (table_bits - 3), np.uint8)
        for start in range(0, len(keys), _CHUNK):
            slots = keys[start : start + _CHUNK] >> self._shift
            first = np.flatnonzero(np.diff(slots >> _BYTE, prepend=~slots[:1] >> _BYTE))
            bits = np.bitwise_or.reduceat((_ONE << (slots & _IN_BYTE)).astype(np.uint8), first)
            self._table[slots[first] >> _BYTE] |= bits

    @classmethod
    def of(cls, grams: Iterable[tuple[Hashes, Rows]], rows: int, more_than: int = 0) -> "GramIndex":
        """Index n-grams of `rows` rows, which are numbered from 0: those that are in more than `more_than` rows."""
        row_bits = max(1, rows.bit_length())
        shift = np.uint64(row_bits)
        parts = [(hashes >> shift << shift) | row.astype(np.uint64) for hashes, row in grams]
        keys = np.concatenate(parts) if parts else np.empty(0, np.uint64)
        parts.clear()
        keys.sort()
        return cls(_frequent(keys, shift, more_than) if more_than else keys, row_bits)

    def first_rows(self, hashes: Hashes) -> Rows:
        """The first row that has each n-gram; -1 without one."""
        rows = np.full(len(hashes), -1, np.int64)
        if not len(self._keys):
            return rows
        slots = hashes >> self._shift
        maybe = np.flatnonzero(self._table[slots >> _BYTE] >> (slots & _IN_BYTE).astype(np.uint8) & np.uint8(1))
        maybe = maybe[np.argsort(hashes[maybe])]  # a search in order has fewer cache misses
        prefixes = hashes[maybe] >> self._row_bits
        positions = np.searchsorted(self._keys, prefixes << self._row_bits)
        keys = self._keys[np.minimum(positions, len(self._keys) - 1)]
        is_equal = keys >> self._row_bits == prefixes
        rows[maybe[is_equal]] = (keys[is_equal] & ((_ONE << self._row_bits) - _ONE)).astype(np.int64)
        return rows


def _frequent(keys: Hashes, row_bits: np.uint64, rows: int) -> Hashes:
    """The first key of each n-gram that is in more than `rows` rows."""
    keys = keys[np.flatnonzero(np.diff(keys, prepend=~keys[:1]))]
    first = np.flatnonzero(np.diff(keys >> row_bits, prepend=~keys[:1] >> row_bits))
    return keys[first[np.diff(first, append=len(keys)) > rows]]
