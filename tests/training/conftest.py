"""A student of some thousand weights, and rows that it can learn in seconds."""

import pytest
import torch

from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from tests.students import tiny

COLOURS = ("red", "green", "blue", "white", "black")
CONFIG = TrainConfig(learning_rate=3e-3, batch_size=8, num_epochs=2, max_length=128, seed=5)


def rows(count, first=0):
    """`n0017? blue`, of several lengths."""
    numbers = range(first, first + count)
    asked = [(f"{'and so ' * (number % 7)}n{number:04d}?", COLOURS[number % 5]) for number in numbers]
    return [TrainRow(id=f"{n:016x}", messages=tiny.turns(*turns)) for n, turns in zip(numbers, asked, strict=True)]


@pytest.fixture(autouse=True)
def one_thread():
    """Sums in the same order, so that equal work gives equal bytes."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    """With dropout, so that a resumed training must also find the random numbers where they were."""
    return tiny.write(tmp_path_factory.mktemp("student"), "smollm", attention_dropout=0.2)
