"""The work of step prepare with Hugging Face's datasets: read, convert, deduplicate, check for leakage, split, write.

Runs in a separate virtual environment: `datasets_prepare.py TRAIN TEST OUT` prints one line of JSON: `rows` that were
written, and `seconds` without the imports.
"""

import hashlib
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import datasets
from datasets import load_dataset

PROCESSES = 2
GRAM = 13
WORDS = re.compile(r"\w+")


def grams(text: str) -> set[int]:
    words = WORDS.findall(text.lower())
    return {hash(tuple(words[start : start + GRAM])) for start in range(max(1, len(words) - GRAM + 1))}


def digest(text: str) -> str:
    return hashlib.sha256(" ".join(text.lower().split()).encode()).hexdigest()[:16]


def prompt(row: dict[str, Any]) -> str:
    turns = row["messages"][:-1] if row["messages"][-1]["role"] == "assistant" else row["messages"]
    return "\n".join(turn["content"] for turn in turns)


def converted(row: dict[str, Any], held_out: set[int]) -> dict[str, Any]:
    text = prompt(row)
    own = grams(text)
    identity = digest(text)
    return {
        "id": identity,
        "leaked": len(own & held_out) >= len(own) / 2,
        "split": "validation" if int(identity[:8], 16) / 2**32 < 0.05 else "train",
        "gold": row["messages"][-1]["content"],
    }


def main(train: str, test: str, out: Path) -> None:
    datasets.disable_progress_bars()
    cache = str(out.parent / "cache")  # not the user's, which would have the files of an earlier run
    started = time.perf_counter()
    test_rows = load_dataset("json", data_files=test, split="train", cache_dir=cache)
    held_out = {gram for row in test_rows for gram in grams(prompt(row))}
    rows = load_dataset("json", data_files=train, split="train", cache_dir=cache)
    rows = rows.map(converted, fn_kwargs={"held_out": held_out}, num_proc=PROCESSES)
    seen: set[str] = set()

    def is_first(identity: str) -> bool:
        is_new = identity not in seen
        seen.add(identity)
        return is_new

    rows = rows.filter(lambda leaked: not leaked, input_columns="leaked", num_proc=PROCESSES)
    rows = rows.filter(is_first, input_columns="id")
    rows.to_json(out, num_proc=PROCESSES)
    print(json.dumps({"rows": len(rows), "seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
