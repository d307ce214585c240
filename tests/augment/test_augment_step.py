"""Step augment over real HTTP: new training prompts, what is bought for them, and teachers that write nonsense."""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.augment import STEP
from azdistill.contracts.errors import DataError
from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from azdistill.contracts.requests import SIMULATOR_VARIABLE
from azdistill.contracts.rows import Prompt
from azdistill.contracts.simulation import Simulation
from azdistill.data.near_duplicates import near_duplicates
from azdistill.simulate.experts import nli
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.steps.augment import body
from azdistill.steps.runner import run_step
from azdistill.tasks.registry import TASKS
from tests.augment.test_augmenting import row
from tests.teacher.conftest import serving

ANIMALS = ("dog", "cat", "horse", "hen", "goat", "mouse")
PLACES = ("in the garden behind the house", "on the road to the village", "under the old stone bridge")


def rows() -> list[Prompt]:
    """NLI rows, every sixth of them a test row."""
    texts = [
        f"Premise: A {animal} and {count} children sleep {place}.\nHypothesis: The {animal} is {state} {place}."
        for animal in ANIMALS
        for place in PLACES
        for count, state in ((12, "awake"), (37, "asleep"))
    ]
    case = TASKS["nli"].case({"premise": "p", "hypothesis": "h"}).messages[0].content
    question = case.rpartition("\n")[2]
    return [row(f"{text}\n{question}", n, "test" if n % 6 == 5 else "train") for n, text in enumerate(texts)]


class AugmentStep:
    def __init__(self, home: Path, output: Callable[[], tuple[str, str]]) -> None:
        self.home, self.output = home, output
        self.augmented = home / "augmented"
        self.log = ""
        write_rows(home / "prompts" / "prompts.jsonl", rows())
        close_folder(home / "prompts", "prepare", {})

    def run(self, teacher: dict[str, Any] | None = None, **config: Any) -> tuple[int, str]:
        teachers = self.home / "teachers.json"
        teachers.write_text(json.dumps([{"model": "teacher-1", **(teacher or {})}]))
        ports = {
            "prompts": self.home / "prompts",
            "teachers": teachers,
            "augmented": self.augmented,
            "store": self.home / "store",
        }
        settings = {"teacher_route": "simulated", "new_prompts": 20, **ports, **config}
        argv = [text for name, value in settings.items() for text in (f"--{name.replace('_', '-')}", str(value))]
        code = run_step(STEP, body, argv)
        self.log, error = self.output()
        return code, error

    def rows(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.augmented / name).read_text().splitlines()]

    @property
    def usage(self) -> dict[str, Any]:
        usage: dict[str, Any] = json.loads((self.augmented / "usage.json").read_text())
        return usage


@pytest.fixture
def step(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> AugmentStep:
    return AugmentStep(tmp_path, capsys.readouterr)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., SimulatedTeacher]]:
    """Start a simulated teacher with some rates."""
    with contextlib.ExitStack() as stack:

        def start(**settings: Any) -> SimulatedTeacher:
            teacher = SimulatedTeacher(Simulation(**{"latency_ms": 0, "wrong_rate": 0.0, **settings}), nli)
            monkeypatch.setenv(SIMULATOR_VARIABLE, stack.enter_context(serving(teacher)))
            return teacher

        yield start


def text_of(prompt: dict[str, Any]) -> str:
    text: str = prompt["messages"][-1]["content"]
    return text


def test_new_prompts_are_training_rows_of_the_form_of_the_others_and_are_bought_once(
    step: AugmentStep, simulated: Callable[..., SimulatedTeacher]
) -> None:
    teacher = simulated()
    assert step.run() == (0, "")
    originals = [prompt.model_dump(mode="json") for prompt in rows()]
    prompts = step.rows("prompts.jsonl")
    assert [prompt["id"] for prompt in prompts[: len(originals)]] == [prompt["id"] for prompt in originals]
    new = prompts[len(originals) :]
    assert len(new) == 20
    assert {prompt["split"] for prompt in new} == {"train"}
    # The simulated teacher answers them, as it answers the others.
    assert {nli.answer(Prompt.model_validate(prompt).messages) for prompt in new} <= {"entailment", "neutral"}
    question = text_of(originals[0]).rpartition("\n")[2]
    for prompt in new:
        premise, hypothesis, last = text_of(prompt).split("\n")
        assert premise.startswith("Premise: A ")
        assert hypothesis.startswith("Hypothesis: The ")
        assert last == question
    everything = [(text_of(prompt),) for prompt in prompts]
    assert not [index for index in near_duplicates(everything, 0.8) if index >= len(originals)]
    # Each new prompt names its request, and the request the training rows that it showed.
    requests = {request["source"]: request for request in step.rows("requests.jsonl")}
    sources = {prompt["source"]: prompt["split"] for prompt in originals}
    for prompt in new:
        seeds = requests[prompt["source"].rpartition(":")[0]]["seeds"]
        assert {sources[seed] for seed in seeds} == {"train"}
    manifest = read_manifest(step.augmented)
    assert manifest.counts["new"] == 20
    assert manifest.counts["requests"] == len(requests) == step.usage["calls"] == sum(teacher.bought.values())
    assert step.usage["from_store"] == 0

    first = (step.augmented / "prompts.jsonl").read_bytes()
    assert step.run() == (0, "")
    assert (step.augmented / "prompts.jsonl").read_bytes() == first
    assert (step.usage["calls"], step.usage["from_store"]) == (0, len(requests))
    assert sum(teacher.bought.values()) == len(requests)


def test_replies_that_repeat_the_examples_are_replaced_by_further_requests(
    step: AugmentStep, simulated: Callable[..., SimulatedTeacher]
) -> None:
    teacher = simulated(wrong_rate=0.3, truncated_rate=0.1)
    assert step.run(new_prompts=40) == (0, "")
    counts = read_manifest(step.augmented).counts
    assert counts["new"] == 40
    assert 8 < counts["requests"] <= 16
    assert counts["reasons"]["duplicate"] == counts["rejected"] > 0
    rejects = Counter(reject["reason"] for reject in step.rows("rejects.jsonl"))
    assert rejects == {"duplicate": counts["rejected"], "length": counts["without_prompts"]["length"]}
    assert counts["written"] == counts["new"] + counts["not_needed"] + counts["rejected"]
    assert step.usage["calls"] == sum(teacher.bought.values()) == counts["requests"]


def test_fewer_prompts_than_wanted_are_a_warning_and_none_is_an_error(
    step: AugmentStep, simulated: Callable[..., SimulatedTeacher]
) -> None:
    simulated(wrong_rate=0.8)
    assert step.run(new_prompts=60) == (0, "")
    counts = read_manifest(step.augmented).counts
    assert counts["requests"] == 24
    assert 0 < counts["new"] < 60
    assert f"{counts['new']} new prompts instead of 60 (duplicate: " in step.log
    simulated(wrong_rate=1.0)
    code, error = step.run(store=step.home / "another store")
    assert code == DataError.exit_code
    assert error.startswith("augment: data.augment.new_prompts=20: no new prompt can be used (duplicate: ")
    assert error.count("\n") == 1
    assert step.rows("rejects.jsonl")
    assert not (step.augmented / "manifest.json").exists()


def test_prompts_of_a_public_test_set_are_rejected_and_personal_data_is_redacted(
    step: AugmentStep, simulated: Callable[..., SimulatedTeacher]
) -> None:
    simulated()
    assert step.run() == (0, "")
    known = len(rows())
    texts = [text_of(prompt) for prompt in step.rows("prompts.jsonl")[known:]]
    sets = step.home / "sets"
    sets.mkdir()
    (sets / "snli.jsonl").write_text(json.dumps({"text": texts[0]}))
    assert step.run(public_test_sets=sets, pii="redact") == (0, "")
    counts = read_manifest(step.augmented).counts
    assert counts["reasons"]["public_test_set"] >= 1
    assert counts["personal_data"] == {"action": "redact", "values": {}}
    assert texts[0] not in [text_of(prompt) for prompt in step.rows("prompts.jsonl")]


def test_a_budget_is_that_of_all_rounds(step: AugmentStep, simulated: Callable[..., SimulatedTeacher]) -> None:
    teacher = simulated()
    prices = {"input_price": 100, "output_price": 100}
    code, error = step.run(teacher=prices, budget=0.2, max_tokens=1000)
    assert code == 1
    assert error.startswith("augment: data.augment.budget=0.2: ")
    assert sum(teacher.bought.values()) < 4
    code, error = step.run(budget=0.2)
    assert "budget needs the prices of teacher 'teacher-1'" in error
