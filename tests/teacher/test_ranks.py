"""The teacher step as several processes with RANK and WORLD_SIZE, as a distributed job of Azure ML starts them."""

import contextlib
import signal
import time

import pytest

from azdistill.contracts.files import read_json
from azdistill.contracts.manifest import read_manifest
from tests.teacher.conftest import StepFolders
from tests.teacher.test_turns import conversation

WORLD = 2


@pytest.fixture
def start(step):
    """Start one rank. Ranks that still run at the end of the test are killed."""
    with contextlib.ExitStack() as started:

        def start_rank(rank, config, url, **environ):
            process = step.start(config, url, RANK=str(rank), WORLD_SIZE=str(WORLD), **environ)
            started.callback(process.communicate)
            started.callback(process.kill)
            return process

        yield start_rank


def ended(*processes):
    """Exit codes and stderr of each process."""
    errors = [process.communicate(timeout=60)[1] for process in processes]
    return [process.returncode for process in processes], errors


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def heartbeats(step, rank):
    """Heartbeat files of a rank; empty until it has joined."""
    return list(step.store.glob(f"ranks/*/{rank}-*.json"))


def alone(step, tmp_path, rows, config, url):
    """completions.jsonl and usage.json of a single process with another store."""
    folders = StepFolders(tmp_path / "alone")
    folders.write_prompts(rows)
    code, _, err = folders.run(config, url)
    assert code == 0, err
    return (folders.completions / "completions.jsonl").read_bytes(), read_json(folders.completions / "usage.json")


@pytest.mark.slow
def test_two_processes_write_the_same_bytes_as_one(step, start, simulate, prompts, configure, tmp_path):
    rows = [*prompts(200), *prompts(3, "? row")]
    step.write_prompts(rows)
    rates = {"error_rate": 0.05, "throttle_rate": 0.02, "truncated_rate": 0.1, "filtered_rate": 0.02}
    config = configure(max_reject_ratio=0.1, teacher={"input_price": 1.0, "output_price": 2.0})
    teacher, url = simulate(**rates)
    assert ended(start(0, config, url), start(1, config, url)) == ([0, 0], ["", ""])
    expected, figures = alone(step, tmp_path, rows, config, simulate(**rates)[1])
    assert (step.completions / "completions.jsonl").read_bytes() == expected
    assert max(teacher.bought.values()) == 1
    usage = read_json(step.completions / "usage.json")
    assert usage["calls"] == sum(teacher.calls.values())
    assert usage["latency_p50_s"] > 0
    figures = {name: value for name, value in figures.items() if not name.startswith("latency")}
    ignored = {"ledger": None, "teachers": None}  # sums of costs differ by rounding
    assert {**figures, **ignored} == {**{name: usage[name] for name in figures}, **ignored}
    assert usage["ledger"]["useful"]["cost"] == pytest.approx(figures["ledger"]["useful"]["cost"])
    assert {path.stem.split("-")[1] for path in step.store.glob("*.jsonl")} == {"0", "1"}
    assert read_manifest(step.completions).counts["reasons"]["http_400"] == 3


def test_a_conversation_of_several_turns_stays_with_one_rank(step, start, simulate, configure, tmp_path):
    rows = [conversation(str(number), "test" if number % 5 == 0 else "train") for number in range(40)]
    step.write_prompts(rows)
    config = configure(turns="all", max_reject_ratio=0.5)
    teacher, url = simulate(truncated_rate=0.1, filtered_rate=0.1)
    assert ended(start(0, config, url), start(1, config, url)) == ([0, 0], ["", ""])
    rejects = (step.completions / "rejects.jsonl").read_bytes()
    assert b"turn 2 of 3" in rejects
    expected, _ = alone(step, tmp_path, rows, config, url)
    assert (step.completions / "completions.jsonl").read_bytes() == expected
    assert (tmp_path / "alone" / "completions" / "rejects.jsonl").read_bytes() == rejects
    assert set(teacher.bought.values()) == {2}, "once by two ranks, once by a single process"


@pytest.mark.parametrize("first", [0, 1])
def test_a_rank_waits_for_one_that_starts_later(step, start, simulate, prompts, configure, first):
    step.write_prompts(prompts(60))
    teacher, url = simulate()
    early = start(first, configure(), url)
    wait_until(lambda: teacher.calls["answered"] > 20)
    time.sleep(0.5)
    assert early.poll() is None
    assert not (step.completions / "manifest.json").exists()
    assert ended(early, start(1 - first, configure(), url))[0] == [0, 0]
    assert teacher.calls["answered"] == read_manifest(step.completions).counts["answered"] == 60


@pytest.mark.slow
def test_a_job_restarts_after_a_rank_was_killed(step, start, simulate, prompts, configure, tmp_path):
    rows = prompts(300)
    step.write_prompts(rows)
    teacher, url = simulate(latency_ms=50)
    config = configure(teacher={"max_in_flight": 16})
    rank_0, rank_1 = start(0, config, url), start(1, config, url)
    wait_until(lambda: teacher.calls["answered"] > 150)
    rank_1.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    assert rank_0.poll() is None
    rank_0.send_signal(signal.SIGTERM)
    assert ended(rank_0, rank_1)[0] == [130, -9]
    assert not (step.completions / "manifest.json").exists()
    assert ended(start(0, config, url), start(1, config, url)) == ([0, 0], ["", ""])
    again = sum(times - 1 for times in teacher.bought.values())
    assert again <= 2 * 16, "in flight at rank 1, and one commit window"
    assert (step.completions / "completions.jsonl").read_bytes() == alone(step, tmp_path, rows, config, url)[0]


def test_a_finished_rank_of_an_earlier_attempt_is_ignored(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(60))
    _, url = simulate()
    rank_1 = start(1, configure(), url)
    wait_until(lambda: any('"done"' in path.read_text() for path in heartbeats(step, 1)))
    rank_1.kill()
    rank_1.communicate()
    rank_0 = start(0, configure(), url)
    wait_until(lambda: heartbeats(step, 0))
    time.sleep(1.0)
    assert rank_0.poll() is None
    assert ended(rank_0, start(1, configure(), url))[0] == [0, 0]
    assert read_json(step.completions / "usage.json")["answered"] == 60


def test_a_rank_that_fails_ends_all_ranks(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(400))
    _, url = simulate(key="right", latency_ms=100)
    config = configure(url, teacher={"key_variable": "TEACHER_KEY", "max_in_flight": 8})
    rank_0 = start(0, config, None, TEACHER_KEY="right")
    wait_until(lambda: heartbeats(step, 0))
    rank_1 = start(1, config, None, TEACHER_KEY="wrong")
    codes, (error_0, error_1) = ended(rank_0, rank_1)
    assert codes == [1, 1]
    assert "rank 1 of 2 failed: teacher 'deepseek-v3'" in error_0
    assert "HTTP 401" in error_0
    assert "HTTP 401" in error_1
    assert not (step.completions / "manifest.json").exists()
    assert not (step.completions / "completions.jsonl").exists()


def test_rejects_of_all_ranks_together_are_limited(step, start, simulate, prompts, configure):
    step.write_prompts([*prompts(100), *prompts(9, "? row")])
    _, url = simulate()
    codes, errors = ended(start(0, configure(), url), start(1, configure(), url))
    assert codes == [1, 1]
    assert all("max_reject_ratio=0.05" in error for error in errors)
    assert not (step.completions / "manifest.json").exists()


@pytest.mark.slow
def test_all_ranks_together_keep_a_configured_limit(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(300))
    limits = {"requests_per_minute": 6000, "burst_s": 0.2}
    teacher, url = simulate(limits=limits)
    config = configure(teacher={"requests_per_minute": 6000})
    started = time.monotonic()
    assert ended(start(0, config, url), start(1, config, url))[0] == [0, 0]
    assert time.monotonic() - started > 3
    assert teacher.calls["throttled"] <= 3
