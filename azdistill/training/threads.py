"""How many cores a training on the CPU takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from azdistill.students.loading import Student
from azdistill.students.usage import parameters

SMALL = 1_000_000
"""Below this many weights a step is so short that threads mostly wait for each other: on two idle cores the second
one gives a quarter or nothing, on two busy ones it makes a step 3 to 20 times slower (a Llama of 312,000)."""


@contextmanager
def fitting_threads(student: Student) -> Iterator[None]:
    """One thread for a small student, torch's own choice for others."""
    before = torch.get_num_threads()
    if parameters(student.model) < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
