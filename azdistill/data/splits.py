"""Split rows into training, validation and test rows, so that no row is in two splits."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from azdistill.contracts.errors import DataError
from azdistill.contracts.prepare import PrepareConfig
from azdistill.contracts.rows import SPLITS, Prompt, Split, prompt_id
from azdistill.data.cases import Fingerprint, SourcedCase

# Splits that are drawn from the training rows when they have no file, in this order.
DRAWN: tuple[Split, ...] = ("test", "validation")


@dataclass(frozen=True)
class Splits:
    """Prompts of all splits, train first. `duplicates` repeat a row of their split, `leaked` one of a held-out split.

    Both are left out of the prompts.
    """

    prompts: tuple[Prompt, ...]
    duplicates: int
    leaked: int

    def count(self, split: Split) -> int:
        return sum(prompt.split == split for prompt in self.prompts)


def split_prompts(files: Mapping[Split, Iterable[SourcedCase]], config: PrepareConfig) -> Splits:
    """Assign every case to one split. Splits without a file are drawn from the training file.

    A hash of seed and content decides, so a row stays in its split when other rows are added or removed. Of rows
    that differ only in case and white space the first one counts, and a held-out row is never a training row.
    Without a training file nothing is drawn, and only rows with equal texts are duplicates: a model has to answer the
    others. Raises DataError when no training row or no test row is left.
    """
    if "train" not in files:
        return _without_training(files)
    unique, duplicates, leaked = _deduplicate(files)
    prompts = _draw(unique.pop("train"), _fractions(files, config), config.seed)
    prompts += [prompt_of(case, split) for split, cases in unique.items() for case in cases]
    ordered = sorted(prompts, key=lambda prompt: SPLITS.index(prompt.split))
    splits = Splits(tuple(ordered), duplicates, leaked)
    _check(splits)
    return splits


def _without_training(files: Mapping[Split, Iterable[SourcedCase]]) -> Splits:
    prompts = [prompt_of(case, split) for split, cases in files.items() for case in cases]
    unique = {prompt.id: prompt for prompt in reversed(prompts)}
    kept = tuple(prompt for prompt in prompts if unique[prompt.id] is prompt)
    splits = Splits(kept, len(prompts) - len(kept), 0)
    _check_test(splits)
    return splits


def _deduplicate(files: Mapping[Split, Iterable[SourcedCase]]) -> tuple[dict[Split, list[SourcedCase]], int, int]:
    """Unique cases by split, and the numbers of duplicates and leaked rows.

    Held-out rows are read first: when a row is in two splits, the training row is left out.
    """
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
    """The fraction to draw for each split without a file."""
    configured: dict[Split, float] = {"test": config.test_fraction, "validation": config.validation_fraction}
    fractions = {split: fraction for split, fraction in configured.items() if split not in files}
    if sum(fractions.values()) >= 1:
        terms = " + ".join(f"{split}_fraction={fraction:g}" for split, fraction in fractions.items())
        raise DataError(f"{terms} leaves no training row", subject="prepare", fix="make their sum less than 1")
    return fractions


def _draw(cases: Sequence[SourcedCase], fractions: Mapping[Split, float], seed: int) -> list[Prompt]:
    draws = [_uniform(seed, case) for case in cases]
    splits = [_split_of(draw, fractions) for draw in draws]
    for split in DRAWN:
        # With few rows the hash may leave a split empty; it gets the training row with the lowest draw.
        if fractions.get(split) and split not in splits and splits.count("train") > 1:
            _, index = min((draw, index) for index, draw in enumerate(draws) if splits[index] == "train")
            splits[index] = split
    return [prompt_of(case, split) for case, split in zip(cases, splits, strict=True)]


def _split_of(draw: float, fractions: Mapping[Split, float]) -> Split:
    bound = 0.0
    for split in DRAWN:
        bound += fractions.get(split, 0.0)
        if draw < bound:
            return split
    return "train"


def _uniform(seed: int, case: SourcedCase) -> float:
    """A number in [0, 1) that depends only on seed and content."""
    digest = hashlib.sha256(f"{seed} {prompt_id(case.case.messages)}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def prompt_of(case: SourcedCase, split: Split) -> Prompt:
    """A case as a prompt of a split."""
    messages, gold, weight = case.case.messages, case.case.gold, case.case.weight
    return Prompt(
        id=prompt_id(messages),
        split=split,
        messages=messages,
        gold=gold,
        source=case.source,
        weight=weight,
        columns=dict(case.columns),
    )


def _left_out(splits: Splits) -> str:
    return f"{splits.duplicates} duplicates and {splits.leaked} rows that are held out were left out"


def _check(splits: Splits) -> None:
    if not splits.count("train"):
        raise DataError(
            f"no training row is left ({_left_out(splits)})",
            code="no_rows",
            field=("data", "training_data"),
            fix="add rows",
        )
    _check_test(splits)


def _check_test(splits: Splits) -> None:
    if not splits.count("test"):
        raise DataError(
            f"no test row is left ({_left_out(splits)})",
            code="no_rows",
            field=("data", "test_data"),
            fix="set data.test_data, or raise prepare.test_fraction above 0",
        )
