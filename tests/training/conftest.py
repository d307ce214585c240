"""A student of a few thousand weights, and rows that it can learn in seconds."""

import pytest
import torch

from azdistill.contracts.rows import TrainRow
from azdistill.contracts.train import TrainConfig
from azdistill.students.loading import load_student
from tests.students import tiny

COLOURS = ("red", "green", "blue", "white", "black")
CONFIG = TrainConfig(learning_rate=3e-3, batch_size=8, num_epochs=2, max_length=128, seed=5)


def rows(count, first=0):
    """Rows such as `n0017?` -> `blue`, of several lengths."""
    numbers = range(first, first + count)
    turns = [(f"{'and so ' * (number % 7)}n{number:04d}?", COLOURS[number % 5]) for number in numbers]
    return [TrainRow(id=f"{n:016x}", messages=tiny.turns(*pair)) for n, pair in zip(numbers, turns, strict=True)]


def rows_with_other_answers(count, first=0):
    """The same questions with wrong answers: who learns `rows` by heart does worse on them."""
    pairs = zip(rows(count, first), rows(count, first + 1), strict=True)
    return [row.model_copy(update={"messages": (row.messages[0], other.messages[1])}) for row, other in pairs]


@pytest.fixture(autouse=True)
def one_thread():
    """Floating-point sums in a fixed order, so that the same training gives the same bytes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def student(tmp_path_factory):
    """A student with dropout: a resumed training must also restore the state of the random generators."""
    return tiny.write(tmp_path_factory.mktemp("student"), "smollm", attention_dropout=0.2)


def student_without_finite_z(folder):
    """A student for which a row with the byte `z` has no finite loss."""
    loaded = load_student(tiny.write(folder, "llama"))
    with torch.no_grad():
        loaded.model.get_input_embeddings().weight[loaded.tokenizer("z")["input_ids"][0]] = float("nan")
    loaded.save(folder, "float32")
    return folder
