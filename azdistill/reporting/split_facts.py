"""Facts about the prompts of each split."""

import statistics
from collections import Counter
from collections.abc import Iterable

from azdistill.contracts.rows import SPLITS, Prompt, Split, gold_texts
from azdistill.reporting.report import SplitFacts


def split_facts(prompts: Iterable[Prompt]) -> tuple[SplitFacts, ...]:
    """A record for each split with rows. Reads the prompts once and keeps numbers of them, not texts."""
    lengths: dict[Split, list[int]] = {split: [] for split in SPLITS}
    files: dict[Split, Counter[str]] = {split: Counter() for split in SPLITS}
    references, turns = Counter[Split](), Counter[Split]()
    for prompt in prompts:
        lengths[prompt.split].append(sum(len(message.content) for message in prompt.messages))
        files[prompt.split][prompt.source.rpartition(":")[0]] += 1
        references[prompt.split] += bool(gold_texts(prompt.gold))
        users = sum(message.role == "user" for message in prompt.messages)
        turns[prompt.split] = max(turns[prompt.split], users)
    return tuple(
        SplitFacts(
            name=split,
            rows=len(lengths[split]),
            files=dict(sorted(files[split].items())),
            with_reference=references[split],
            median_length=round(statistics.median(lengths[split])),
            longest=max(lengths[split]),
            most_turns=turns[split],
        )
        for split in SPLITS
        if lengths[split]
    )
