"""Choose rows that cover a data set: greedy k-center on projected TF-IDF vectors of character n-grams.

Source: T. F. Gonzalez, Clustering to minimize the maximum intercluster distance (1985).
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from azdistill.data.near_duplicates import Hashes, Rows, batches, windows

Vectors = NDArray[np.float32]

# Characters of an n-gram: about a stem of a word, in any language.
GRAM = 4

# Document frequencies are counted in FEATURES buckets. A vector has DIMENSIONS numbers, to which each n-gram adds its
# weight at a hashed index with a hashed sign: products of vectors stay the same on average.
FEATURES, DIMENSIONS = 2**18, 64

# Rows that are chosen before the similarities to all rows are computed again, as a fraction of the rows to choose; they
# are chosen among POOL times as many.
ROUND, POOL = 0.005, 4


def covering_rows(rows: Rows, count: int) -> list[int]:
    """Sorted indices of `count` rows, each chosen because it is least similar to those chosen before it."""
    if count >= len(rows):
        return list(range(len(rows)))
    vectors = _vectors(rows)
    chosen, similarity = [0], vectors @ vectors[0]
    similarity[0] = np.inf
    while len(chosen) < count:
        added = _dissimilar(vectors, similarity, min(max(1, int(count * ROUND)), count - len(chosen)))
        np.maximum(similarity, (vectors @ vectors[added].T).max(axis=1), out=similarity)
        similarity[added] = np.inf
        chosen += added
    return sorted(chosen)


def _dissimilar(vectors: Vectors, similarity: Vectors, count: int) -> list[int]:
    """`count` rows with a low `similarity` to the chosen rows, and to one another."""
    size = min(len(similarity) - 1, count * POOL)
    pool = np.argpartition(similarity, size)[:size]
    pool_similarity = similarity[pool]
    added: list[int] = []
    for _ in range(count):
        index = int(np.argmin(pool_similarity))
        added.append(int(pool[index]))
        pool_similarity = np.maximum(pool_similarity, vectors[pool] @ vectors[pool[index]])
        pool_similarity[index] = np.inf
    return added


def _vectors(rows: Rows) -> Vectors:
    """Vectors of length 1, [rows, DIMENSIONS]."""
    frequencies = np.ones(FEATURES)
    for hashes, row in _grams(rows):
        occurrences = np.unique(row * FEATURES + (hashes % np.uint64(FEATURES)).astype(np.int64))
        frequencies += np.bincount(occurrences % FEATURES, minlength=FEATURES)
    weights = np.log(1 + len(rows) / frequencies)
    vectors = np.concatenate([_projected(hashes, row, weights) for hashes, row in _grams(rows)])
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return vectors


def _projected(hashes: Hashes, row: NDArray[np.int64], weights: NDArray[np.float64]) -> Vectors:
    count = int(row[-1]) + 1
    index = row * DIMENSIONS + (hashes >> np.uint64(32)).astype(np.int64) % DIMENSIONS
    signs = np.where(hashes >> np.uint64(63), -1.0, 1.0)
    values = weights[hashes % np.uint64(FEATURES)] * signs
    return np.bincount(index, values, count * DIMENSIONS).reshape(count, DIMENSIONS).astype(np.float32)


def _grams(rows: Rows) -> Iterator[tuple[Hashes, NDArray[np.int64]]]:
    for texts in batches(rows):
        yield windows(texts, GRAM)
