"""azdistill plan: what a job does and needs, quickly and without a request."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import AZDISTILL, JOB, Command
from tests.cli.test_help import PROGRAM

PARTS = ("weights", "gradients", "optimizer", "activations", "logits", "reserve")


@pytest.fixture
def job(folder: Path) -> Path:
    """A job of 100 rows of 600 characters, with prices."""
    row = {"messages": [{"role": "user", "content": "x" * 596}], "gold": "y" * 50}
    (folder / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 100)
    prices = "connection: deepseek\n      input_price: 1\n      output_price: 10"
    text = JOB.replace("connection: deepseek", prices).replace("model: ./student", "model: phi-4-mini")
    (folder / "job.yaml").write_text(text.replace("  test_data: ./test.jsonl\n", ""))
    return folder / "job.yaml"


def planned(azdistill: Command, job: Path) -> dict:  # type: ignore[type-arg]
    done = azdistill("plan", job, "--format", "json")
    assert (done.code, done.err) == (0, "")
    parsed: dict = json.loads(done.out)  # type: ignore[type-arg]
    return parsed


@pytest.mark.parametrize(("budget", "words"), [("0.5", "0.023 to 0.5: the budget of 0.5 may be"), ("0.01", "0.01 is")])
def test_a_budget_that_may_end_the_requests_is_shown(azdistill: Command, job: Path, budget: str, words: str) -> None:
    job.write_text(job.read_text().replace("student:\n", f"  budget: {budget}\nstudent:\n"))
    assert f"{words} too small" in " ".join(azdistill("plan", job).out.replace("│", " ").split())


def test_it_shows_nodes_rows_cost_and_memory(azdistill: Command, job: Path) -> None:
    done = azdistill("plan", job)
    assert (done.code, done.err) == (0, "")
    text = " ".join(done.out.replace("│", " ").split())
    assert "predict_student train, prepare, teacher serverless Standard_NC24ads_A100_v4 6 h" in text
    assert "85 train, 5 validation, 10 test" in text
    assert "DeepSeek-V3.2: at most 100 requests" in text
    assert "13,000 to 21,667" in text
    assert "1,000 to 102,400, at most max_tokens=1024 per answer" in text
    assert "cost in the currency of the prices: 0.023 to 1.05 " in text
    assert "8 rows of 2,048 tokens, a GPU of Standard_NC24ads_A100_v4 has 80: fits; the largest is the" in text
    assert [part for part in PARTS if f" {part} " not in text] == []
    assert "full, chosen: " in text
    assert "job.yaml:3: warning: data.test_data: not set" in text


def test_set_replaces_a_field(azdistill: Command, job: Path) -> None:
    assert "at most max_tokens=77 per answer" in azdistill("plan", job, "--set", "teacher.max_tokens=77").out


def test_it_shows_price_and_memory_of_the_endpoint(azdistill: Command, job: Path) -> None:
    text = job.read_text()
    job.write_text(f"{text}deployment: {{endpoint_name: support}}\n")
    out = " ".join(azdistill("plan", job).out.replace("│", " ").split())
    assert "endpoint support: 1 x Standard_NC24ads_A100_v4" in out
    assert "price unknown: set prices.serving_hour" in out
    assert "GB of weights in bfloat16, a VM has 80: fits" in out
    section = "deployment: {endpoint_name: support, autoscale: {min_instances: 2, max_instances: 4}}"
    job.write_text(f"{text}{section}\nprices: {{serving_hour: 3.5}}\n")
    serving = planned(azdistill, job)["serving"]
    assert (serving["hour_price"], serving["min_instances"], serving["max_instances"]) == (7.0, 2, 4)
    assert serving["fits"] is True


def test_it_is_one_object_for_programs(azdistill: Command, job: Path) -> None:
    plan = planned(azdistill, job)
    assert plan["nodes"][1] == {
        "name": "teacher",
        "after": ["prepare"],
        "compute": "serverless",
        "instance_type": "Standard_E4s_v3",
        "timeout": 604_800,
        "trials": 1,
    }
    assert (plan["job"], plan["asked"], plan["rows"]["train"]) == ("small", {"low": 100, "high": 100}, 85)
    training = plan["training"]
    assert (training["fits"], training["method"], training["gradient_checkpointing"]) == (True, "full", True)
    assert sum(training["parts"].values()) == pytest.approx(training["needed_gb"])
    # 217 tokens of the row's 650 characters, and an answer of at most 1,024.
    assert (training["rows_length"], training["rows_gb"] < training["needed_gb"]) == (1241, True)
    assert training["largest_rows"] >= training["rows"] == 8
    assert len(plan["warnings"]) == 1


def test_the_time_limit_of_a_sweep_is_that_of_each_trial(azdistill: Command, job: Path) -> None:
    job.write_text(f"{job.read_text()}tuning: {{search_space: {{num_epochs: [2, 3]}}, max_trials: 4}}\n")
    assert "24 h for each of 4 trials" in " ".join(azdistill("plan", job).out.replace("│", " ").split())
    (train,) = (node for node in planned(azdistill, job)["nodes"] if node["name"] == "train")
    assert (train["timeout"], train["trials"]) == (86_400, 4)


def test_without_prices_no_cost_is_shown(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("      output_price: 10\n", ""))
    assert planned(azdistill, job)["cost"] is None
    assert "no prices: set input_price and output_price" in azdistill("plan", job).out


def test_a_budget_bounds_the_cost(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("teacher:\n", "teacher:\n  budget: 0.5\n"))
    assert planned(azdistill, job)["cost"]["high"] == 0.5


@pytest.mark.parametrize(
    ("limits", "timeout", "minutes", "warned"),
    [
        ("requests_per_minute: 4", 3600, {"low": 25, "high": 25}, None),
        ("requests_per_minute: 4", 1200, {"low": 25, "high": 25}, "at least 25 minutes, and the step ends after 20"),
        # 13,000 to 21,667 prompt tokens, and 1,000 to 102,400 of the answers
        (
            "tokens_per_minute: 1000",
            3600,
            {"low": 14, "high": 124.067},
            "up to 124 minutes, and the step ends after 60",
        ),
        ("max_in_flight: 1", 60, None, None),
    ],
)
def test_the_time_at_the_rate_limits_is_compared_with_the_time_limit(
    azdistill: Command, job: Path, limits: str, timeout: int, minutes: dict[str, float] | None, warned: str | None
) -> None:
    text = job.read_text().replace("      input_price: 1\n", f"      input_price: 1\n      {limits}\n")
    job.write_text(f"{text}compute: {{timeout: {{teacher: {timeout}}}}}\n")
    plan = planned(azdistill, job)
    assert plan["teacher_minutes"] == (minutes and pytest.approx(minutes, abs=0.001))
    warnings = [warning for warning in plan["warnings"] if "compute.timeout.teacher" in warning]
    assert len(warnings) == (warned is not None)
    assert all(str(warned) in warning for warning in warnings)
    assert ("minutes at the rate limits" in azdistill("plan", job).out) == (minutes is not None)


def test_rows_on_another_machine_are_not_counted(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("./rows.jsonl", "azureml:rows:1"))
    plan = planned(azdistill, job)
    assert (plan["rows"], plan["asked"], plan["cost"]) == (
        {"train": None, "validation": None, "test": None},
        None,
        None,
    )
    assert "unknown, because not all rows are on this machine" in azdistill("plan", job).out


def test_only_the_rows_that_the_job_uses_are_counted(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("data:\n", "prepare:\n  rows: 20\ndata:\n"))
    assert planned(azdistill, job)["asked"] == {"low": 20, "high": 20}


@pytest.mark.parametrize(
    ("lines", "requests"),
    [  # 90 rows for training and validation, 10 test rows
        ("{policy: route}", [(25, 25), (75, 75)]),
        ("{policy: route, samples: 4, temperature: 1}", [(92, 92), (278, 278)]),
        ("{policy: all, samples: 4, temperature: 1}", [(370, 370), (360, 360)]),
        ("{policy: fallback, samples: 4, temperature: 1}", [(370, 370), (0, 370)]),
        ("{policy: cascade, samples: 4, temperature: 1}", [(400, 400), (0, 400)]),
        ("{policy: all, turns: all}", [(190, 190), (180, 180)]),
    ],
)
def test_requests_and_cost_of_each_teacher_follow_the_policy(
    azdistill: Command, job: Path, lines: str, requests: list[tuple[int, int]]
) -> None:
    turns = [("user", "x" * 100), ("assistant", "y" * 50), ("user", "x" * 200), ("assistant", "y" * 50)]
    row = {"messages": [{"role": role, "content": text} for role, text in turns]}
    (job.parent / "rows.jsonl").write_text(f"{json.dumps(row)}\n" * 100)
    more = "".join(f"  {line.strip()}\n" for line in lines.strip("{}").split(","))
    second = "    - {model: gpt-4.1, name: cheap, connection: openai, weight: 3, input_price: 0.1, output_price: 1}\n"
    text = job.read_text().replace("output_price: 10\n", f"output_price: 10\n{second}")
    text = text.replace("teacher:\n", f"teacher:\n{more}")
    job.write_text(text)
    plan = planned(azdistill, job)
    first, second = plan["teachers"]
    assert [(teacher["asked"]["low"], teacher["asked"]["high"]) for teacher in (first, second)] == requests
    assert plan["asked"] == {bound: first["asked"][bound] + second["asked"][bound] for bound in ("low", "high")}
    assert plan["cost"]["high"] == pytest.approx(first["cost"]["high"] + second["cost"]["high"])
    dear = first["cost"]["high"] / first["asked"]["high"], second["cost"]["high"] / second["asked"]["high"]
    assert dear[0] == pytest.approx(10 * dear[1], rel=0.05)
    printed = azdistill("plan", job).out
    assert f"samples {4 if 'samples' in lines else 1}: " in printed
    assert "cheap" in printed
    job.write_text(text.replace("teacher:\n", "teacher:\n  budget: 0.1\n"))
    assert planned(azdistill, job)["cost"]["high"] == 0.1


@pytest.mark.parametrize("reasoning", ["chain_of_thought", "chain_of_density"])
def test_reasoning_raises_the_minimum_of_tokens_and_not_the_maximum(
    azdistill: Command, job: Path, reasoning: str
) -> None:
    job.write_text(job.read_text().replace("task: conversation", "task: summarization"))
    before = planned(azdistill, job)
    job.write_text(job.read_text().replace("teacher:\n", f"teacher:\n  prompting: {{{reasoning}: true}}\n"))
    after = planned(azdistill, job)
    assert after["input_tokens"]["low"] > before["input_tokens"]["low"]
    assert after["output_tokens"]["low"] > 2 * before["output_tokens"]["low"]
    assert after["output_tokens"]["high"] == before["output_tokens"]["high"]


@pytest.mark.parametrize(
    ("memory", "advice"),
    [
        (90, "set train.method to lora, or use Standard_NC40ads_H100_v5"),
        (150, "set train.method to lora"),
    ],
)
def test_for_a_student_that_does_not_fit_changes_are_suggested(
    azdistill: Command, job: Path, memory: int, advice: str
) -> None:
    facts = f"catalog: {{students: {{phi-4-mini: {{memory: {memory}}}}}}}\n"
    job.write_text(f"{job.read_text()}train: {{method: full}}\n{facts}")
    text = " ".join(azdistill("plan", job).out.replace("│", " ").split())
    assert "before activations, a rough estimate, a GPU of Standard_NC24ads_A100_v4 has 80: DOES NOT FIT; " in text
    assert text.partition("DOES NOT FIT; ")[2].startswith(advice)


def test_another_route_needs_no_requests(azdistill: Command, job: Path) -> None:
    job.write_text(job.read_text().replace("teacher:\n", "teacher:\n  teacher_route: simulated\n"))
    assert "no requests, because teacher_route is simulated" in azdistill("plan", job).out


@pytest.mark.parametrize(("change", "message"), [(("task: ", "tusk: "), "tusk: unknown field"), (("job", "jib"), "")])
def test_a_wrong_job_is_reported_as_by_validate(
    azdistill: Command, job: Path, change: tuple[str, str], message: str
) -> None:
    job.write_text(job.read_text().replace(*change))
    done = azdistill("plan", job if message else job.with_name("jib.yaml"))
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_pipeline_cannot_be_planned(azdistill: Command, folder: Path) -> None:
    (folder / "pipeline.yml").write_text("jobs: {}\n")
    assert "give the path of a job file" in azdistill("plan", folder).err


def test_it_is_quick_and_imports_nothing_heavy(job: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "plan", str(job), "--format", "json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "heavy: []"
    started = time.perf_counter()
    subprocess.run([*AZDISTILL, "plan", str(job)], capture_output=True, check=True)
    assert time.perf_counter() - started < 5
