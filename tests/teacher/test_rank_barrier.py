"""How ranks hear of each other through a folder: what counts, what is stale, and what silence means."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from azdistill.contracts.errors import AzdistillError, EndpointError, InputError
from azdistill.contracts.teacher import SIMULATOR_VARIABLE
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.rank import Rank, rank_of
from azdistill.teacher.rank_barrier import RankBarrier, barrier_folder

LEADER, OTHER = Rank(0, 2), Rank(1, 2)

SILENT_ONE = """
import sys, time
from pathlib import Path
from azdistill.teacher.rank_barrier import RankBarrier
from azdistill.teacher.rank import Rank

with RankBarrier(Path(sys.argv[1]), Rank(1, 2), poll_s=0.02, heartbeat_s=0.05) as barrier:
    while not barrier._latest:
        time.sleep(0.01)
    print("met", flush=True)
    time.sleep(60)
"""


def join(folder, rank, **limits):
    return RankBarrier(
        folder, rank, **{"poll_s": 0.02, "heartbeat_s": 0.05, "start_s": 10.0, "silence_s": 10.0, **limits}
    )


def test_the_parts_of_the_others_reach_rank_0_and_all_end_well(tmp_path):
    async def both():
        async def other():
            with join(tmp_path, OTHER) as there:
                await there.finish({"counts": 7})

        async def leader():
            with join(tmp_path, LEADER) as here:
                return await here.reports()

        return await asyncio.gather(leader(), other())

    assert asyncio.run(both())[0] == [{"counts": 7}]


def test_what_an_earlier_attempt_left_is_not_taken_for_this_one(tmp_path):
    with join(tmp_path, LEADER), join(tmp_path, OTHER):
        time.sleep(0.1)
    left = sorted(path.name[0] for path in tmp_path.iterdir())
    assert left == ["0", "1"], "each leaves its last note"
    for rank in (LEADER, OTHER):
        with join(tmp_path, rank, start_s=0.3) as alone, pytest.raises(AzdistillError, match="has not started"):
            asyncio.run(alone.reports() if rank.leads else alone.finish({}))


def test_the_failure_of_one_is_told_to_the_other_with_its_reason(tmp_path):
    with join(tmp_path, LEADER) as here:
        with pytest.raises(EndpointError), join(tmp_path, OTHER):
            raise EndpointError("the key was refused")
        time.sleep(0.1)
        with pytest.raises(AzdistillError, match="rank 1 of 2 failed: the key was refused"):
            here.check()


def test_a_failure_before_the_other_has_come_waits_for_it_a_little(tmp_path):
    def fail():
        with pytest.raises(EndpointError), join(tmp_path, OTHER):
            raise EndpointError("the key was refused")

    failing = threading.Thread(target=fail)
    failing.start()
    time.sleep(0.2)
    with join(tmp_path, LEADER) as here, pytest.raises(AzdistillError, match="the key was refused"):
        asyncio.run(here.reports())
    failing.join()


def test_a_bug_is_told_by_its_name_alone_as_its_text_may_hold_anything(tmp_path):
    with join(tmp_path, LEADER) as here:
        with pytest.raises(ValueError, match="secret"), join(tmp_path, OTHER):
            raise ValueError("secret-7f3a")
        time.sleep(0.1)
        with pytest.raises(AzdistillError, match="ValueError") as told:
            here.check()
    assert "secret" not in str(told.value) + "".join(path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_one_that_is_killed_or_hangs_is_noticed_by_its_silence(tmp_path, sign):
    with (
        subprocess.Popen([sys.executable, "-c", SILENT_ONE, tmp_path], stdout=subprocess.PIPE, text=True) as other,
        join(tmp_path, LEADER, silence_s=0.5) as here,
    ):
        assert other.stdout
        assert other.stdout.readline() == "met\n"
        time.sleep(0.7)
        here.check()
        other.send_signal(sign)
        with pytest.raises(AzdistillError, match=r"rank 1 of 2 is silent: .*; see the log of that process"):
            asyncio.run(here.reports())
        other.kill()


def test_a_heartbeat_is_never_rewritten_and_replaces_the_one_before(tmp_path):
    """A mount may show an old content under an old name."""
    contents: dict[str, str] = {}
    with join(tmp_path, LEADER):
        for _ in range(20):
            for path in tmp_path.glob("*.json"):
                with contextlib.suppress(FileNotFoundError):  # it was replaced since the listing
                    content = path.read_text()
                    assert contents.setdefault(path.name, content) == content
            time.sleep(0.02)
    assert len(contents) > 3
    assert len(list(tmp_path.iterdir())) == 1


def test_jobs_that_ask_something_else_or_in_other_parts_meet_elsewhere(tmp_path):
    one = barrier_folder(tmp_path, "run", 2, ["a", "b"])
    assert barrier_folder(tmp_path, "run", 2, ["b", "a", "a"]) == one
    others = {
        barrier_folder(tmp_path, *rest) for rest in [("r", 2, ["a", "b"]), ("run", 3, ["a", "b"]), ("run", 2, "a")]
    }
    assert len(others | {one}) == 4


def test_each_key_falls_to_one_rank_and_each_has_its_portion(configure):
    ranks = [Rank(number, 3) for number in range(3)]
    keys = [f"{number:064x}" for number in range(0, 10**30, 10**27 + 7)]
    assert all(sum(rank.takes(key) for rank in ranks) == 1 for key in keys)
    prices = {"input_price": 1.0, "output_price": 1.0}
    config = configure(teacher={"max_in_flight": 64, **prices}, budget=6.0)
    portions = [
        rank.portion(resolve(config.teachers[0], "simulated", {SIMULATOR_VARIABLE: "http://a"})) for rank in ranks
    ]
    assert sorted(portion.teacher.max_in_flight for portion in portions) == [21, 21, 22]
    assert [rank.budget(config) for rank in ranks] == pytest.approx([2.0] * 3)


def test_without_a_distributed_job_a_process_is_alone():
    assert rank_of({}) == Rank(0, 1)
    assert rank_of({"RANK": "3", "WORLD_SIZE": "4"}) == Rank(3, 4)


@pytest.mark.parametrize("environ", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "1"}, {"WORLD_SIZE": "many"}])
def test_a_rank_that_makes_no_sense_is_wrong_input(environ):
    with pytest.raises(InputError, match="unset both"):
        rank_of(environ)
