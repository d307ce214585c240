"""Items are computed in several processes, with the results in order."""

import os
import time

import pytest

from azdistill.data.processes import SERIAL, map_in_processes


def test_results_are_in_order_and_equal_texts_have_equal_hashes():
    def work(item):
        time.sleep(0.01 if item % 7 == 0 else 0.001)
        return item, hash("text"), os.getpid()

    results = list(map_in_processes(work, range(60)))
    assert [item for item, _, _ in results] == list(range(60))
    assert {digest for _, digest, _ in results} == {hash("text")}
    processes = {process for _, _, process in results}
    assert os.getpid() in processes
    assert len(processes) > 1 or len(os.sched_getaffinity(0)) == 1


@pytest.mark.parametrize("failing", [0, SERIAL + 5])
def test_an_error_ends_the_work(failing):
    def work(item):
        if item == failing:
            raise ValueError(f"item {item}")

    with pytest.raises(ValueError, match=f"item {failing}"):
        list(map_in_processes(work, range(40)))
