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
    """Start one rank; what still runs at the end of the test is ended."""
    with contextlib.ExitStack() as started:

        def one(rank, config, url, **environ):
            process = step.start(config, url, RANK=str(rank), WORLD_SIZE=str(WORLD), **environ)
            started.callback(process.communicate)
            started.callback(process.kill)
            return process

        yield one


def ended(*processes):
    """Exit codes and what was said on stderr, of each."""
    said = [process.communicate(timeout=60)[1] for process in processes]
    return [process.returncode for process in processes], said


def until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def met(step, rank):
    """Whether a rank has joined: its note is there."""
    return list(step.store.glob(f"ranks/*/{rank}-*.json"))


def alone(step, tmp_path, rows, config, url):
    """completions.jsonl and usage.json of one process with a store of its own."""
    one = StepFolders(tmp_path / "alone")
    one.write_prompts(rows)
    code, _, err = one.run(config, url)
    assert code == 0, err
    return (one.completions / "completions.jsonl").read_bytes(), read_json(one.completions / "usage.json")


def test_two_processes_write_byte_for_byte_what_one_writes(step, start, simulate, prompts, configure, tmp_path):
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
    added_up = {"ledger": None, "teachers": None}  # costs add up to a hair's breadth only
    assert {**figures, **added_up} == {**{name: usage[name] for name in figures}, **added_up}
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
    assert set(teacher.bought.values()) == {2}, "once together, once alone"


@pytest.mark.parametrize("first", [0, 1])
def test_a_rank_that_starts_later_is_waited_for(step, start, simulate, prompts, configure, first):
    step.write_prompts(prompts(60))
    teacher, url = simulate()
    one = start(first, configure(), url)
    until(lambda: teacher.calls["answered"] > 20)
    time.sleep(0.5)
    assert one.poll() is None
    assert not (step.completions / "manifest.json").exists()
    assert ended(one, start(1 - first, configure(), url))[0] == [0, 0]
    assert teacher.calls["answered"] == read_manifest(step.completions).counts["answered"] == 60


def test_a_killed_rank_and_the_whole_job_started_again(step, start, simulate, prompts, configure, tmp_path):
    rows = prompts(300)
    step.write_prompts(rows)
    teacher, url = simulate(latency_ms=50)
    config = configure(teacher={"max_in_flight": 16})
    zero, one = start(0, config, url), start(1, config, url)
    until(lambda: teacher.calls["answered"] > 150)
    one.send_signal(signal.SIGKILL)
    time.sleep(0.2)
    assert zero.poll() is None
    zero.send_signal(signal.SIGTERM)
    assert ended(zero, one)[0] == [130, -9]
    assert not (step.completions / "manifest.json").exists()
    assert ended(start(0, config, url), start(1, config, url)) == ([0, 0], ["", ""])
    again = sum(times - 1 for times in teacher.bought.values())
    assert again <= 2 * 16, "in flight at rank 1, and one commit window"
    assert (step.completions / "completions.jsonl").read_bytes() == alone(step, tmp_path, rows, config, url)[0]


def test_a_done_rank_of_an_earlier_attempt_does_not_end_this_one(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(60))
    _, url = simulate()
    one = start(1, configure(), url)
    until(lambda: any('"done"' in path.read_text() for path in met(step, 1)))
    one.kill()
    one.communicate()
    zero = start(0, configure(), url)
    until(lambda: met(step, 0))
    time.sleep(1.0)
    assert zero.poll() is None
    assert ended(zero, start(1, configure(), url))[0] == [0, 0]
    assert read_json(step.completions / "usage.json")["answered"] == 60


def test_a_rank_that_fails_ends_all(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(400))
    _, url = simulate(key="right", latency_ms=100)
    config = configure(url, teacher={"key_variable": "TEACHER_KEY", "max_in_flight": 8})
    zero = start(0, config, None, TEACHER_KEY="right")
    until(lambda: met(step, 0))
    one = start(1, config, None, TEACHER_KEY="wrong")
    codes, (zero_said, one_said) = ended(zero, one)
    assert codes == [1, 1]
    assert "rank 1 of 2 failed: teacher 'deepseek-v3'" in zero_said
    assert "HTTP 401" in zero_said
    assert "HTTP 401" in one_said
    assert not (step.completions / "manifest.json").exists()
    assert not (step.completions / "completions.jsonl").exists()


def test_too_many_refused_in_sum_end_all(step, start, simulate, prompts, configure):
    step.write_prompts([*prompts(100), *prompts(9, "? row")])
    _, url = simulate()
    codes, said = ended(start(0, configure(), url), start(1, configure(), url))
    assert codes == [1, 1]
    assert all("max_reject_ratio=0.05" in text for text in said)
    assert not (step.completions / "manifest.json").exists()


def test_a_told_limit_is_kept_by_all_ranks_together(step, start, simulate, prompts, configure):
    step.write_prompts(prompts(300))
    limits = {"requests_per_minute": 6000, "burst_s": 0.2}
    teacher, url = simulate(limits=limits)
    config = configure(teacher={"requests_per_minute": 6000})
    began = time.monotonic()
    assert ended(start(0, config, url), start(1, config, url))[0] == [0, 0]
    assert time.monotonic() - began > 3
    assert teacher.calls["throttled"] <= 3
