"""Token-budget batches: every row once an epoch, little padding, an order that depends on seed and epoch."""

import itertools
import random

import pytest

from azdistill.students.template import TokenizedRow
from azdistill.training.batches import IGNORE_INDEX, TokenBudgetSampler, collate, collate_packed

DISTRIBUTIONS = {
    "chat": lambda rng: min(int(rng.lognormvariate(5.2, 0.7)) + 8, 2048),
    "short answers": lambda rng: rng.randint(20, 60),
    "two lengths": lambda rng: rng.choice((30, 900)) + rng.randint(0, 20),
    "one length": lambda rng: 64,
}


def row_lengths(distribution, rows=1000):
    rng = random.Random(distribution)
    return [DISTRIBUTIONS[distribution](rng) for _ in range(rows)]


@pytest.mark.parametrize("batch_size", [1, 8, 32])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_each_row_is_in_one_batch_within_the_budget(distribution, batch_size):
    lengths = row_lengths(distribution)
    sampler = TokenBudgetSampler(lengths, batch_size, seed=1)
    batches = list(sampler)
    assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
    assert len(batches) == len(sampler)
    budget = batch_size * sum(lengths) / len(lengths) + 1
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget for batch in batches)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_padding_is_less_than_five_percent(distribution):
    lengths = row_lengths(distribution)
    padded = sum(len(batch) * max(lengths[i] for i in batch) for batch in TokenBudgetSampler(lengths, 8, seed=1))
    assert sum(lengths) / padded > 0.95


def epochs(seed, count=3, **processes):
    sampler = TokenBudgetSampler(row_lengths("chat", 200), 8, seed, **processes)
    return [(sampler.set_epoch(epoch), list(sampler))[1] for epoch in range(count)]


def test_the_order_depends_on_seed_and_epoch():
    first, repeated, other_seed = epochs(1), epochs(1), epochs(2)
    assert first == repeated
    assert len({str(batches) for batches in first + other_seed}) == 6
    assert len({len(batches) for batches in first + other_seed}) == 1
    rows_together = [{frozenset(batch) for batch in batches} for batches in first]
    assert rows_together[0] != rows_together[1]


@pytest.mark.parametrize(
    "settings", [{}, {"packing": True}, {"accumulation_steps": 4}, {"accumulation_steps": 2, "world_size": 3}]
)
def test_the_second_step_has_the_largest_batch(settings):
    """Too little memory then ends the training at its start. The first step creates the state of the optimizer."""
    lengths, number = row_lengths("chat", 300), settings.get("accumulation_steps", 1)
    sampler = TokenBudgetSampler(lengths, 8, seed=3, **settings)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)

    def size(batch):
        rows = [lengths[index] for index in batch]
        return sum(rows) if "packing" in settings else len(rows) * max(rows)

    sizes = list(map(size, first))
    assert sizes[number] == max(sizes)
    assert list(map(size, second))[number] < max(sizes) or "packing" in settings


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_few_batches_are_complete(rows):
    batches = list(TokenBudgetSampler([10, 30, 20][:rows], 1, seed=1, accumulation_steps=8))
    assert sorted(itertools.chain(*batches)) == list(range(rows))


@pytest.mark.parametrize("world_size", [2, 3, 64])
def test_processes_share_the_batches(world_size):
    (batches,) = epochs(1, count=1)
    ranks = [epochs(1, 1, rank=rank, world_size=world_size)[0] for rank in range(world_size)]
    interleaved = [batch for step in zip(*ranks, strict=True) for batch in step]
    assert sorted(interleaved[: len(batches)]) == sorted(batches)
    assert len(interleaved) % world_size == 0
    assert interleaved == [interleaved[number % len(batches)] for number in range(len(interleaved))]


def values(batch):
    return {name: tensor.tolist() for name, tensor in batch.items()}


ROWS = [TokenizedRow([5, 6, 7, 8], ((2, 4),)), TokenizedRow([9, 10], ((1, 2),))]


def test_a_batch_is_padded_on_the_right_and_has_labels_for_the_answers_only():
    assert values(collate(ROWS, pad_token_id=0)) == {
        "input_ids": [[5, 6, 7, 8], [9, 10, 0, 0]],
        "labels": [[IGNORE_INDEX, IGNORE_INDEX, 7, 8], [IGNORE_INDEX, 10, IGNORE_INDEX, IGNORE_INDEX]],
    }


def test_packed_rows_follow_each_other_and_nothing_predicts_their_first_token():
    rows = [*ROWS, TokenizedRow([11, 12], ((0, 2),))]
    assert values(collate_packed(rows)) == {
        "input_ids": [[5, 6, 7, 8, 9, 10, 11, 12]],
        "position_ids": [[0, 1, 2, 3, 0, 1, 0, 1]],
        "labels": [[IGNORE_INDEX, IGNORE_INDEX, 7, 8, IGNORE_INDEX, 10, IGNORE_INDEX, 12]],
    }


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_packed_batches_are_full_and_within_the_budget(distribution):
    lengths = row_lengths(distribution)
    sampler = TokenBudgetSampler(lengths, 8, seed=1, packing=True)
    for epoch in (0, 1):
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert sorted(itertools.chain(*batches)) == list(range(len(lengths)))
        assert len(batches) == len(sampler)
        sums = [sum(lengths[index] for index in batch) for batch in batches]
        assert all(size <= sampler.token_budget or len(batch) == 1 for size, batch in zip(sums, batches, strict=True))
        assert sum(sums) / (len(batches) * sampler.token_budget) > 0.95


def test_accumulation_steps_divide_the_budget():
    lengths = row_lengths("chat")
    complete, divided = (TokenBudgetSampler(lengths, 8, 1, accumulation_steps=steps) for steps in (1, 4))
    assert 3.5 < len(divided) / len(complete) < 4.5
