"""The teacher step as a process over real HTTP: its files, its errors, and the cost of a kill."""

import json
import signal
import time

import pytest

from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.rows import AnswerCall, Completion, Reject
from tests.job_variables import job_variables

PREFLIGHT = 1  # call of a run that asks a real endpoint
FAULTS = {"throttle_rate": 0.05, "error_rate": 0.1, "reset_rate": 0.1, "truncated_rate": 0.1}


def test_every_prompt_is_answered_in_order_despite_faults(step, simulate, prompts, configure):
    rows = prompts(200)
    step.write_prompts(rows)
    teacher, url = simulate(**FAULTS, filtered_rate=0.05)
    code, out, err = step.run(configure(max_reject_ratio=0.2), url)
    assert (code, err) == (0, ""), out
    answers = list(read_rows(step.completions / "completions.jsonl", Completion))
    refused = list(read_rows(step.completions / "rejects.jsonl", Reject))
    assert [row.id for row in answers] == [row.id for row in rows if row.id in {a.id for a in answers}]
    assert len(answers) + len(refused) == 200
    summary = f"{len(answers)} answers to 200 prompts, {len(refused)} rejected; the store had the results of 0 prompts"
    assert out.splitlines()[-1] == summary
    assert {reject.reason for reject in refused} == {"content_filter"}
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    usage = read_json(step.completions / "usage.json")
    assert usage["calls"] == sum(teacher.calls.values())
    assert usage["retries"]["http_429"] == teacher.calls["throttled"] > 0
    assert usage["retries"]["connection"] == teacher.calls["reset"] > 0
    assert max(teacher.bought.values()) == 1
    counts = read_manifest(step.completions).counts
    assert counts["answered"] == len(answers)
    assert counts["reasons"] == {"content_filter": len(refused)}


IN_FLIGHT = 16


def stopped_at_half(step, teacher, url, config, sign):
    """Start the step and send it a signal after 120 answers; returns its exit code and stderr."""
    process = step.start(config, url)
    while sum(teacher.bought.values()) < 120 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sign)
    _, err = process.communicate(timeout=20)
    assert not (step.completions / "manifest.json").exists()
    return process.returncode, err


def test_a_killed_run_loses_no_row_and_pays_only_for_answers_that_were_not_durable(
    step, simulate, prompts, configure, tmp_path
):
    step.write_prompts(prompts(240))
    teacher, url = simulate(error_rate=0.1, reset_rate=0.1, truncated_rate=0.1, latency_ms=100)
    config = configure(teacher={"max_in_flight": IN_FLIGHT})
    assert stopped_at_half(step, teacher, url, config, signal.SIGKILL) == (-9, "")
    assert step.run(config, url)[0] == 0
    # At 100 ms an answer, a commit (30 ms plus the time of the sync) has fewer than twice the requests in flight.
    assert 240 <= sum(teacher.bought.values()) <= 240 + 3 * IN_FLIGHT
    after_the_kill = (step.completions / "completions.jsonl").read_bytes()
    step.store = tmp_path / "fresh"
    assert step.run(config, url)[0] == 0
    assert (step.completions / "completions.jsonl").read_bytes() == after_the_kill
    assert after_the_kill.count(b"\n") == 240


def test_two_runs_at_once_share_a_store_without_harm(step, simulate, prompts, configure, tmp_path):
    step.write_prompts(prompts(100))
    teacher, url = simulate(latency_ms=10)
    first = step.start(configure(), url)
    step.completions = tmp_path / "other"
    second = step.start(configure(), url)
    assert [first.communicate()[1], second.communicate()[1]] == ["", ""]
    files = [tmp_path / name / "completions.jsonl" for name in ("completions", "other")]
    assert files[0].read_bytes() == files[1].read_bytes()
    bought = sum(teacher.bought.values())
    code, out, _ = step.run(configure(), url)
    assert (code, sum(teacher.bought.values())) == (0, bought)
    assert "torn" not in out


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_says_so_and_pays_again_only_what_was_in_flight(step, simulate, prompts, configure, sign):
    step.write_prompts(prompts(240))
    teacher, url = simulate(latency_ms=50)
    config = configure(teacher={"max_in_flight": IN_FLIGHT})
    code, err = stopped_at_half(step, teacher, url, config, sign)
    assert code == 130
    assert err == f"teacher: interrupted by {sign.name}; all answers that arrived are stored; run again to continue\n"
    assert step.run(config, url)[0] == 0
    assert sum(teacher.bought.values()) <= 240 + IN_FLIGHT


def test_a_second_run_buys_nothing_and_an_edited_dataset_only_what_is_new(step, simulate, prompts, configure):
    rows = prompts(40)
    step.write_prompts(rows)
    teacher, url = simulate(error_rate=0.2)
    assert step.run(configure(), url)[0] == 0
    before = (step.completions / "completions.jsonl").read_bytes()
    first = read_json(step.completions / "usage.json")
    calls = list(read_rows(step.completions / "calls.jsonl", AnswerCall))
    assert (len(calls), {call.from_store for call in calls}) == (40, {False})
    assert sum(call.attempts or 0 for call in calls) == first["calls"] > 40
    assert step.run(configure(), url)[0] == 0
    again = [
        call.model_copy(update={"from_store": False})
        for call in read_rows(step.completions / "calls.jsonl", AnswerCall)
    ]
    assert again == calls
    assert teacher.calls["answered"] == 40
    assert (step.completions / "completions.jsonl").read_bytes() == before
    usage = read_json(step.completions / "usage.json")
    assert (usage["from_store"], usage["calls"], usage["latency_p50_s"]) == (40, 0, first["latency_p50_s"])
    assert usage["reported_models"] == first["reported_models"] == {f"{configure().teachers[0].model} (simulated)": 40}
    step.write_prompts([*reversed(rows[5:]), *prompts(7, "new row")])
    assert step.run(configure(), url)[0] == 0
    assert teacher.calls["answered"] == 47


def test_a_refused_key_ends_the_job_with_a_message_without_the_key(step, simulate, prompts, configure):
    step.write_prompts(prompts(300))
    teacher, url = simulate(key="right-key")
    config = configure(url, teacher={"key_variable": "TEACHER_KEY"})
    code, out, err = step.run(config, TEACHER_KEY="wrong-key-7f3a")
    assert code == 1
    assert err.startswith("teacher: ")
    assert err.count("\n") == 1
    assert "HTTP 401" in err
    assert "wrong-key-7f3a" not in out + err
    assert teacher.calls["unauthorized"] <= config.teachers[0].max_in_flight
    assert not (step.completions / "manifest.json").exists()


def test_a_valid_key_is_accepted_and_not_written(step, simulate, prompts, configure):
    step.write_prompts(prompts(5))
    _, url = simulate(key="right-key")
    config = configure(url, teacher={"key_variable": "TEACHER_KEY"})
    assert step.run(config, TEACHER_KEY="right-key")[0] == 0
    everything = b"".join(path.read_bytes() for path in step.root.rglob("*") if path.is_file())
    assert b"right-key" not in everything


@pytest.mark.parametrize(
    ("fields", "environ", "message"),
    [
        ({"teacher": {"key_variable": "TEACHER_KEY"}}, {}, "variable TEACHER_KEY is not set"),
        ({"teacher": {"connection": "teacher-connection", "endpoint": None}}, {}, "Azure ML workspace"),
        ({}, job_variables(), "cannot be reached inside Azure ML"),
        ({"teacher_route": "simulated"}, {}, "`azdistill run` starts"),
    ],
)
def test_an_unusable_teacher_is_an_error_before_any_call(step, simulate, prompts, configure, fields, environ, message):
    step.write_prompts(prompts(5))
    teacher, url = simulate()
    code, _, err = step.run(configure(url, **fields), **environ)
    assert code == 2, err
    assert message in err
    assert err.count("\n") == 1
    assert not teacher.calls


def test_the_simulated_route_is_refused_inside_azure_ml(step, simulate, prompts, configure):
    step.write_prompts(prompts(5))
    _, url = simulate()
    code, _, err = step.run(configure(), url, **job_variables())
    assert code == 2
    assert "cannot be reached inside Azure ML" in err


def test_too_many_rejects_end_the_job_early_and_are_written_with_their_reasons(step, simulate, prompts, configure):
    step.write_prompts(prompts(300, "? row"))
    teacher, url = simulate()
    code, _, err = step.run(configure(teacher={"max_in_flight": 4}), url)
    assert code == 1
    assert "max_reject_ratio=0.05" in err
    assert "http_400" in err
    assert teacher.calls["invalid"] < 30
    assert "a question mark" in (step.completions / "rejects.jsonl").read_text()
    assert not (step.completions / "manifest.json").exists()


def test_an_endpoint_that_is_down_is_reported_within_15_seconds(step, prompts, configure):
    step.write_prompts(prompts(50))
    started = time.monotonic()
    code, _, err = step.run(configure("http://127.0.0.1:9/v1", teacher={"max_in_flight": 4}))
    assert code == 1
    assert "check that the endpoint is up" in err
    assert err.count("\n") == 1
    assert time.monotonic() - started < 15


def test_prompts_of_an_unfinished_step_are_refused(step, simulate, prompts, configure):
    step.write_prompts(prompts(5))
    (step.prompts / "manifest.json").unlink()
    code, _, err = step.run(configure(), simulate()[1])
    assert code == 2
    assert "did not finish" in err


def test_simulated_answers_are_never_used_by_the_endpoint_route(step, simulate, prompts, configure):
    step.write_prompts(prompts(10))
    teacher, url = simulate()
    assert step.run(configure(), url)[0] == 0
    assert step.run(configure(url), url)[0] == 0
    assert teacher.calls["answered"] == 20 + PREFLIGHT


def test_usage_has_tokens_and_latencies(step, simulate, prompts, configure):
    step.write_prompts(prompts(10))
    assert step.run(configure(), simulate()[1])[0] == 0
    usage = json.loads((step.completions / "usage.json").read_text())
    assert usage["prompt_tokens"] == 10 * (5 + 4)
    assert usage["completion_tokens"] == 10 * 8
    assert 0 < usage["latency_p50_s"] <= usage["latency_p95_s"]


def test_a_full_disk_ends_the_job_with_one_line_and_stored_answers_are_reused(step, simulate, prompts, configure):
    step.write_prompts(prompts(200))
    _, url = simulate(latency_ms=20)
    config = configure(teacher={"max_in_flight": IN_FLIGHT})
    step.limits = "ulimit -f 24;"
    code, _, err = step.run(config, url)
    assert code == 1
    assert "cannot be written (File too large)" in err
    assert err.count("\n") == 1
    step.limits = ""
    assert step.run(config, url)[0] == 0
    assert read_json(step.completions / "usage.json")["from_store"] > 20
    assert (step.completions / "completions.jsonl").read_bytes().count(b"\n") == 200


def test_more_connections_than_the_shell_allows_by_default(step, simulate, prompts, configure):
    step.write_prompts(prompts(300))
    _, url = simulate(latency_ms=100)
    step.limits = "ulimit -Sn 128;"
    assert step.run(configure(teacher={"max_in_flight": 300}), url)[0] == 0
    assert read_json(step.completions / "usage.json")["retries"] == {}


def test_the_proxy_of_the_environment_is_used_except_for_loopback(step, simulate, prompts, configure):
    step.write_prompts(prompts(3))
    teacher, url = simulate()
    config = configure("http://teacher.invalid/v1")
    assert step.run(config, http_proxy=url, no_proxy="")[0] == 0
    assert teacher.calls == {"answered": 3 + PREFLIGHT}
    assert step.run(configure(), url, http_proxy="http://127.0.0.1:9", no_proxy="")[0] == 0


def test_rows_refused_by_the_content_filter_are_not_asked_again(step, simulate, prompts, configure):
    step.write_prompts(prompts(60))
    teacher, url = simulate(filtered_rate=0.2)
    config = configure(max_reject_ratio=1.0)
    assert step.run(config, url)[0] == 0
    rejects = (step.completions / "rejects.jsonl").read_bytes()
    filtered = teacher.calls["filtered"]
    assert filtered > 0
    assert rejects.count(b'"content_filter"') == filtered
    assert step.run(config, url)[0] == 0
    assert (teacher.calls["filtered"], teacher.calls["answered"]) == (filtered, 60 - filtered)
    assert (step.completions / "rejects.jsonl").read_bytes() == rejects
