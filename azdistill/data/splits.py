"""Which rows to learn from, to validate on and to test on, and that none is in two of them."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Prompt, Split, prompt_id
from azdistill.data.cases import Fingerprint, SourcedCase

DRAWN: tuple[Split, ...] = ("test", "validation")
"""Splits that are drawn from the training rows when they have no file, in this order."""


@dataclass(frozen=True)
class Splits:
    """Prompts of all splits, train first; `duplicates` were twice in one split, `leaked` also in one held out."""

    prompts: tuple[Prompt, ...]
    duplicates: int
    leaked: int

    def count(self, split: Split) -> int:
        return sum(prompt.split == split for prompt in self.prompts)


def split_prompts(files: Mapping[Split, Iterable[SourcedCase]], config: PrepareConfig) -> Splits:
    """Every case in one split. Splits without a file are drawn from the training file.

    A row is drawn by a hash of seed and content, so it stays where it is when rows are
    added or removed around it. Of rows that are the same but for case and white space
    the first counts, and one that is held out is held out everywhere. Raises DataError
    when nothing is left to learn from or to test on.
    """
    unique, duplicates, leaked = _unique(files)
    placed = _draw(unique.pop("train"), _fractions(files, config), config.seed)
    placed += [prompt_of(case, split) for split, cases in unique.items() for case in cases]
    ordered = sorted(placed, key=lambda prompt: SPLITS.index(prompt.split))
    splits = Splits(tuple(ordered), duplicates, leaked)
    _check(splits)
    return splits


def _unique(files: Mapping[Split, Iterable[SourcedCase]]) -> tuple[dict[Split, list[SourcedCase]], int, int]:
    """Held-out rows are met first, so that of two the same it is the training row that goes."""
    seen: dict[Fingerprint, Split] = {}
    unique: dict[Split, list[SourcedCase]] = {}
    duplicates = leaked = 0
    for split in reversed(SPLITS):
        unique[split] = []
        for case in files.get(split, ()):
            first = seen.get(case.fingerprint)
            if first is None:
                seen[case.fingerprint] = split
                unique[split].append(case)
            duplicates += first == split
            leaked += first not in (None, split)
    return unique, duplicates, leaked


def _fractions(files: Mapping[Split, Iterable[SourcedCase]], config: PrepareConfig) -> dict[Split, float]:
    wanted: dict[Split, float] = {"test": config.test_fraction, "validation": config.validation_fraction}
    fractions = {split: fraction for split, fraction in wanted.items() if split not in files}
    if sum(fractions.values()) >= 1:
        given = " + ".join(f"{split}_fraction={fraction:g}" for split, fraction in fractions.items())
        raise DataError(f"data.{given} leaves no row to learn from; make their sum less than 1")
    return fractions


def _draw(cases: Sequence[SourcedCase], fractions: Mapping[Split, float], seed: int) -> list[Prompt]:
    draws = [_unit(seed, case) for case in cases]
    goes = [_drawn(draw, fractions) for draw in draws]
    for split in DRAWN:
        # Of a few rows the hash may give a split none; it gets the one that came closest.
        if fractions.get(split) and split not in goes and goes.count("train") > 1:
            goes[min((draw, place) for place, draw in enumerate(draws) if goes[place] == "train")[1]] = split
    return [prompt_of(case, split) for case, split in zip(cases, goes, strict=True)]


def _drawn(draw: float, fractions: Mapping[Split, float]) -> Split:
    bound = 0.0
    for split in DRAWN:
        bound += fractions.get(split, 0.0)
        if draw < bound:
            return split
    return "train"


def _unit(seed: int, case: SourcedCase) -> float:
    """A number in [0, 1) that depends on nothing but seed and content."""
    digest = hashlib.sha256(f"{seed} {prompt_id(case.case.messages)}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def prompt_of(case: SourcedCase, split: Split) -> Prompt:
    """A case as a row of a split."""
    messages, gold = case.case.messages, case.case.gold
    return Prompt(id=prompt_id(messages), split=split, messages=messages, gold=gold, source=case.source)


def _check(splits: Splits) -> None:
    aside = f"{splits.duplicates} duplicates and {splits.leaked} rows that are held out too were left out"
    if not splits.count("train"):
        raise DataError(f"data.training_data: no row left to learn from ({aside}); give more rows")
    if not splits.count("test"):
        raise DataError(f"no row to test on ({aside}); give data.test_data, or raise prepare.test_fraction above 0")
