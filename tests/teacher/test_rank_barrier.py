"""The barrier and heartbeats between ranks: reports, stale files, failures and missing heartbeats."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from azdistill.contracts.errors import AzdistillError, EndpointError, InputError
from azdistill.contracts.requests import SIMULATOR_VARIABLE
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.rank import Rank, rank_of
from azdistill.teacher.rank_barrier import RankBarrier, barrier_folder

LEADER, OTHER = Rank(0, 2), Rank(1, 2)

SILENT_RANK = """
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


def test_rank_0_receives_the_reports_of_other_ranks(tmp_path):
    async def both():
        async def other():
            with join(tmp_path, OTHER) as barrier:
                await barrier.finish({"counts": 7})

        async def leader():
            with join(tmp_path, LEADER) as barrier:
                return await barrier.reports()

        return await asyncio.gather(leader(), other())

    assert asyncio.run(both())[0] == [{"counts": 7}]


def test_files_of_an_earlier_attempt_are_ignored(tmp_path):
    with join(tmp_path, LEADER), join(tmp_path, OTHER):
        time.sleep(0.1)
    ranks = sorted(path.name[0] for path in tmp_path.iterdir())
    assert ranks == ["0", "1"], "each rank leaves its last heartbeat"
    for rank in (LEADER, OTHER):
        with join(tmp_path, rank, start_s=0.3) as barrier, pytest.raises(AzdistillError, match="has not started"):
            asyncio.run(barrier.reports() if rank.leads else barrier.finish({}))


def test_the_failure_of_one_rank_reaches_the_other_with_its_reason(tmp_path):
    with join(tmp_path, LEADER) as barrier:
        with pytest.raises(EndpointError), join(tmp_path, OTHER):
            raise EndpointError("the key was refused")
        time.sleep(0.1)
        with pytest.raises(AzdistillError, match="rank 1 of 2 failed: the key was refused"):
            barrier.check()


def test_a_rank_that_fails_early_waits_briefly_for_the_other_to_start(tmp_path):
    def fail():
        with pytest.raises(EndpointError), join(tmp_path, OTHER):
            raise EndpointError("the key was refused")

    failing = threading.Thread(target=fail)
    failing.start()
    time.sleep(0.2)
    with join(tmp_path, LEADER) as barrier, pytest.raises(AzdistillError, match="the key was refused"):
        asyncio.run(barrier.reports())
    failing.join()


def test_an_unexpected_exception_is_published_without_its_text(tmp_path):
    with join(tmp_path, LEADER) as barrier:
        with pytest.raises(ValueError, match="secret"), join(tmp_path, OTHER):
            raise ValueError("secret-7f3a")
        time.sleep(0.1)
        with pytest.raises(AzdistillError, match="ValueError") as raised:
            barrier.check()
    assert "secret" not in str(raised.value) + "".join(path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_hanging_rank_is_detected_by_missing_heartbeats(tmp_path, sign):
    with (
        subprocess.Popen([sys.executable, "-c", SILENT_RANK, tmp_path], stdout=subprocess.PIPE, text=True) as other,
        join(tmp_path, LEADER, silence_s=0.5) as barrier,
    ):
        assert other.stdout
        assert other.stdout.readline() == "met\n"
        time.sleep(0.7)
        barrier.check()
        other.send_signal(sign)
        with pytest.raises(AzdistillError, match=r"rank 1 of 2 is silent: .*; see the log of that process"):
            asyncio.run(barrier.reports())
        other.kill()


def test_a_heartbeat_file_is_never_rewritten_and_replaces_the_previous_one(tmp_path):
    """A mount may show old content under an existing name."""
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


def test_runs_with_other_requests_or_ranks_use_another_folder(tmp_path):
    folder = barrier_folder(tmp_path, "run", 2, ["a", "b"])
    assert barrier_folder(tmp_path, "run", 2, ["b", "a", "a"]) == folder
    others = {
        barrier_folder(tmp_path, *rest) for rest in [("r", 2, ["a", "b"]), ("run", 3, ["a", "b"]), ("run", 2, "a")]
    }
    assert len(others | {folder}) == 4


def test_each_key_belongs_to_one_rank_and_limits_are_divided(configure):
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


def test_without_rank_variables_there_is_one_rank():
    assert rank_of({}) == Rank(0, 1)
    assert rank_of({"RANK": "3", "WORLD_SIZE": "4"}) == Rank(3, 4)


@pytest.mark.parametrize("environ", [{"RANK": "2", "WORLD_SIZE": "2"}, {"RANK": "1"}, {"WORLD_SIZE": "many"}])
def test_invalid_rank_variables_are_an_error(environ):
    with pytest.raises(InputError, match="unset both"):
        rank_of(environ)
