"""Each endpoint is probed once for log probabilities. Runs continue without them if there are none."""

import asyncio

import pytest

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.files import read_json
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.store import ResponseStore
from azdistill.training.teacher_logprobs import TeacherLogprobs


def ask(store, config, rows, url=None):
    route = "endpoint" if url is None else "simulated"
    address = resolve(config.teachers[0], route, {"AZDISTILL_SIMULATED_TEACHER": url} if url else {})
    return asyncio.run(collect(rows, config, [address], ResponseStore(store, "run")))


@pytest.mark.parametrize(
    ("rates", "reason"),
    [
        ({"refused_parameters": ("logprobs",)}, "it rejects the parameter (HTTP 400: "),
        ({"ignored_parameters": ("logprobs", "top_logprobs")}, "it accepts the parameter and returns none"),
        ({"degenerate_rate": 1.0}, "they are no probabilities of a model"),
    ],
)
def test_an_endpoint_without_log_probabilities_is_probed_once(
    simulate, configure, prompts, tmp_path, log, rates, reason
):
    teacher, url = simulate(**rates)
    config = configure(url, top_logprobs=5)
    first = ask(tmp_path / "store", config, prompts(10))
    assert f"its answers have no log probabilities: {reason}" in log.text
    calls = sum(teacher.calls.values())
    assert len(first.completions) == 10
    assert calls == 13, "a preflight and the probe, a preflight of the rows, and 10 rows"
    again = ask(tmp_path / "store", config, prompts(10))
    assert again.completions == first.completions
    assert sum(teacher.calls.values()) == calls
    more = ask(tmp_path / "store", configure(url), prompts(10))
    assert (more.completions, sum(teacher.calls.values())) == (first.completions, calls), "the requests are the same"


def test_a_job_that_needs_log_probabilities_ends_before_the_first_prompt(simulate, configure, prompts, tmp_path):
    teacher, url = simulate(refused_parameters=("logprobs",))
    with pytest.raises(EndpointError, match=r"no log probabilities, which train\.losses\.top_k needs"):
        ask(tmp_path / "store", configure(url, top_logprobs=5, require_logprobs=True), prompts(10))
    assert sum(teacher.calls.values()) == 2, "a preflight and the probe"


def test_log_probabilities_are_requested_once_and_written_next_to_the_completions(step, simulate, configure, prompts):
    step.write_prompts(prompts(50))
    teacher, url = simulate(degenerate_rate=0.2, error_rate=0.1)
    config = configure(top_logprobs=4)
    assert step.run(config, url)[0] == 0
    usage = read_json(step.completions / "usage.json")["logprobs"]
    logprobs = TeacherLogprobs(step.completions)
    assert (usage["rows"], len(logprobs)) == (len(logprobs), 50 - usage["without"]["degenerate"])
    assert 0 < usage["without"]["degenerate"] < 25
    calls, files = sum(teacher.calls.values()), sorted(step.completions.glob("*.safetensors"))
    before = [file.read_bytes() for file in files]
    assert step.run(config, url)[0] == 0
    assert [file.read_bytes() for file in sorted(step.completions.glob("*.safetensors"))] == before
    assert sum(teacher.calls.values()) == calls


def test_an_endpoint_that_does_not_answer_is_an_error(configure, prompts, tmp_path):
    config = configure("http://127.0.0.1:1", top_logprobs=5, max_attempts=2)
    with pytest.raises(EndpointError, match=r"2 attempts did not show whether .* \(.*\); run again"):
        ask(tmp_path / "store", config, prompts(1))
