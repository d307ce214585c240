"""Near duplicates of conversations with the libraries for it: MinHash over word trigrams, with a threshold of 0.8.

Runs in a separate virtual environment: `near_duplicates.py LIBRARY ROWS` reads lines of JSON (prompt and answer) and
prints one line of JSON: `seconds`, and `repeats`, the indices of rows that repeat an earlier one.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

THRESHOLD, PERMUTATIONS = 0.8, 128
WORDS = re.compile(r"\w+")


def shingles(text: str) -> list[str]:
    words = WORDS.findall(text.lower())
    return [" ".join(words[start : start + 3]) for start in range(max(1, len(words) - 2))]


def datasketch(texts: list[str]) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index, repeats = MinHashLSH(threshold=THRESHOLD, num_perm=PERMUTATIONS), []
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([shingle.encode() for shingle in shingles(text)])
        if index.query(signature):
            repeats.append(number)
        else:
            index.insert(number, signature, check_duplication=False)
    return repeats


def rensa(texts: list[str]) -> list[int]:
    from rensa import RMinHashDeduplicator

    rows = RMinHashDeduplicator(threshold=THRESHOLD, num_perm=PERMUTATIONS, use_lsh=True)
    kept = rows.add_pairs((str(number), shingles(text)) for number, text in enumerate(texts))
    return [number for number, is_new in enumerate(kept) if not is_new]


LIBRARIES: dict[str, Callable[[list[str]], list[int]]] = {"datasketch": datasketch, "rensa": rensa}


def main(library: str, path: Path) -> None:
    texts = ["\n".join(json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
    started = time.perf_counter()
    repeats = LIBRARIES[library](texts)
    print(json.dumps({"seconds": time.perf_counter() - started, "repeats": repeats}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
