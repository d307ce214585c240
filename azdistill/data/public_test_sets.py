"""Training rows with text of public test sets: a model that was trained on them may know the answers of a test set.

As in GPT-3's check (https://arxiv.org/abs/2005.14165, appendix C), a row has text of a test row if both have the same
n-gram of 13 words, and n-grams of more than 10 training or test rows do not count: they belong to a template.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from azdistill.contracts.errors import DataError
from azdistill.contracts.files import write_rows
from azdistill.contracts.layout import CONTAMINATION_FILE, PROMPTS_FILE
from azdistill.contracts.rows import Reject
from azdistill.data.gram_index import GramIndex, Hashes, Rows, ngrams
from azdistill.tasks.records import read_records
from azdistill.tasks.task import BadRow

# An n-gram of more rows belongs to a template. It is counted in at most SAMPLE training rows.
MOST_ROWS, SAMPLE = 10, 20_000

BATCH = 1000


def check_public_test_sets(folder: Path, test_sets: Path) -> dict[str, dict[str, int]]:
    """Compare the training and validation prompts in a folder of step prepare with test sets.

    `test_sets` is a folder of files, each a test set named after its file. Writes the prompts that have text of a test
    set to contamination.jsonl. Returns the numbers of test rows and of such prompts by test set. Raises DataError for
    a folder without a file, and for a file without a row.
    """
    sources: list[tuple[str, str]] = []
    grams = list(_test_grams(test_sets, sources))
    index = GramIndex.of(grams, len(sources))
    prompts = folder / PROMPTS_FILE
    sample = [text for _, text in islice(_prompts(prompts), SAMPLE)]
    templates = [
        GramIndex.of(grams, len(sources), more_than=MOST_ROWS),
        GramIndex.of([ngrams(sample)[:2]], len(sample), more_than=MOST_ROWS),
    ]
    overlaps = list(_overlaps(prompts, index, templates, sources))
    write_rows(folder / CONTAMINATION_FILE, (reject for _, reject in overlaps))
    of_set, overlapping = Counter(name for name, _ in sources), Counter(name for name, _ in overlaps)
    return {name: {"rows": rows, "prompts": overlapping[name]} for name, rows in of_set.items()}


def _test_grams(test_sets: Path, sources: list[tuple[str, str]]) -> Iterator[tuple[Hashes, Rows]]:
    """N-grams of all test rows, which are numbered. Adds name and source of each row to `sources`."""
    files = sorted(path for path in test_sets.rglob("*") if path.is_file() and not path.name.startswith("."))
    if not files:
        raise DataError("no file of a test set", file=test_sets, code="no_rows", fix="add files such as gsm8k.jsonl")
    for path in files:
        first = len(sources)
        records = ((source, record) for source, record in read_records(path) if not isinstance(record, BadRow))
        for batch in _batches(records):
            start = len(sources)
            sources += ((path.name.partition(".")[0], source) for source, _ in batch)
            hashes, row, _ = ngrams([" ".join(_texts(record)) for _, record in batch])
            yield hashes, row + start
        if len(sources) == first:
            raise DataError("no row of a test set", file=path, code="no_rows", fix="remove it from the folder")


def _prompts(path: Path) -> Iterator[tuple[str, str]]:
    """Source and text of the training and validation prompts, without system turns."""
    with path.open("rb") as stream:
        for row in map(orjson.loads, stream):
            if row["split"] != "test":
                turns = (turn["content"] for turn in row["messages"] if turn["role"] != "system")
                yield row["source"], " ".join(turns)


def _overlaps(
    prompts: Path, index: GramIndex, templates: Sequence[GramIndex], sources: Sequence[tuple[str, str]]
) -> Iterator[tuple[str, Reject]]:
    """Test set and record of each prompt that has text of a test row."""
    for batch in _batches(_prompts(prompts)):
        hashes, row, _ = ngrams([text for _, text in batch])
        others = index.first_rows(hashes)
        for template in templates:
            others[template.first_rows(hashes) >= 0] = -1
        common = np.flatnonzero(others >= 0)
        first_of_row = common[np.unique(row[common], return_index=True)[1]]
        for prompt, other in zip(row[first_of_row].tolist(), others[first_of_row].tolist(), strict=True):
            name, source = sources[other]
            detail = f"13 consecutive words are those of {source}"
            yield name, Reject(source=batch[prompt][0], reason=name, detail=detail)


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
