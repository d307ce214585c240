"""Batches by token budget: every row once an epoch, little padding, an order of the seed and the epoch."""

import itertools
import random

import pytest

from azdistill.students.template import Encoded
from azdistill.training.batches import IGNORED, TokenBudgetSampler, collate


def lengths_of(kind, rows=1000):
    luck = random.Random(kind)
    draw = {
        "chat": lambda: min(int(luck.lognormvariate(5.2, 0.7)) + 8, 2048),
        "short answers": lambda: luck.randint(20, 60),
        "two kinds": lambda: luck.choice((30, 900)) + luck.randint(0, 20),
        "all the same": lambda: 64,
    }[kind]
    return [draw() for _ in range(rows)]


KINDS = ["chat", "short answers", "two kinds", "all the same"]


@pytest.mark.parametrize("batch_size", [1, 8, 32])
@pytest.mark.parametrize("kind", KINDS)
def test_every_row_once_within_the_budget(kind, batch_size):
    lengths = lengths_of(kind)
    sampler = TokenBudgetSampler(lengths, batch_size, seed=1)
    batches = list(sampler)
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    budget = batch_size * sum(lengths) / len(lengths) + 1
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_is_under_five_percent(kind):
    lengths = lengths_of(kind)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in TokenBudgetSampler(lengths, 8, seed=1))
    assert sum(lengths) / padded > 0.95


def epochs(seed, count=3, **shares):
    sampler = TokenBudgetSampler(lengths_of("chat", 200), 8, seed, **shares)
    return [(sampler.set_epoch(epoch), list(sampler))[1] for epoch in range(count)]


def test_the_order_is_of_the_seed_and_the_epoch():
    first, again, other = epochs(1), epochs(1), epochs(2)
    assert first == again
    assert len({str(found) for found in first + other}) == 6
    assert len({len(found) for found in first + other}) == 1
    rows_together = [{frozenset(batch) for batch in found} for found in first]
    assert rows_together[0] != rows_together[1]


@pytest.mark.parametrize("world", [2, 3, 64])
def test_processes_share_the_batches_of_one(world):
    (alone,) = epochs(1, count=1)
    (shares,) = zip(*(epochs(1, 1, rank=rank, world=world) for rank in range(world)), strict=True)
    dealt = [batch for turn in zip(*shares, strict=True) for batch in turn]
    assert dealt[: len(alone)] == alone
    assert len(dealt) % world == 0
    assert dealt == [alone[number % len(alone)] for number in range(len(dealt))]


def test_a_batch_is_padded_on_the_left_and_learns_the_answers_only():
    batch = collate([Encoded([5, 6, 7, 8], 2), Encoded([9, 10], 1)], pad=0)
    assert {name: value.tolist() if hasattr(value, "tolist") else value for name, value in batch.items()} == {
        "input_ids": [[5, 6, 7, 8], [0, 0, 9, 10]],
        "attention_mask": [[1, 1, 1, 1], [0, 0, 1, 1]],
        "position_ids": [[0, 1, 2, 3], [0, 0, 0, 1]],
        "labels": [[IGNORED, IGNORED, 7, 8], [IGNORED, IGNORED, IGNORED, 10]],
        "logits_to_keep": 3,
    }
