"""azdistill data show RUN ROW: what a run did with one row."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import Provenance, close_folder
from azdistill.contracts.rows import (
    AnswerCall,
    Completion,
    Message,
    Prediction,
    Prompt,
    Reject,
    Split,
    TokenUsage,
    TrainRow,
    prompt_id,
)
from azdistill.contracts.verdicts import AnswerScore
from tests.cli.conftest import Command
from tests.cli.run_folders import a_run, evaluated

CONTROLS = "\x1b[2J\u202e"


def prompt(split: Split, number: int, question: str, **fields: Any) -> Prompt:
    messages = (Message(role="user", content=question),)
    return Prompt(id=prompt_id(messages), split=split, messages=messages, source=f"{split}.jsonl:{number}", **fields)


KEPT = prompt("train", 1, "Where is my parcel? It left Cluj on Monday.", weight=2.0)
DROPPED = prompt("train", 2, f"Can I return a drill {CONTROLS}after 40 days?")
OTHER = prompt("validation", 1, "Is the shop open on Sunday?", columns={"topic": "hours"})
TESTED = prompt("test", 1, "Where is my parcel? It left Brno on Friday.", gold="In transit.")
PROMPTS = [KEPT, DROPPED, OTHER, TESTED]


@pytest.fixture
def run(folder: Path) -> Path:
    """A finished run of four rows in runs/first."""
    path = evaluated(a_run(folder / "runs" / "first", prepare="completed", teacher="completed"))
    prepared, answered, curated = (path / name for name in ("prepare/prompts", "teacher/completions", "curate/curated"))
    for created in (prepared, answered, curated):
        created.mkdir(parents=True)
    write_rows(prepared / "prompts.jsonl", PROMPTS)
    write_rows(prepared / "rejects.jsonl", [Reject(source="train.jsonl:3", reason="empty_content", detail="turn 0")])
    close_folder(
        prepared,
        "prepare",
        {},
        Provenance(
            config={"validation_fraction": 0.05, "seed": 7}, data={"training_data": "a" * 64, "test_data": "b" * 64}
        ),
    )
    completions = [completion(row, number) for number, row in enumerate(PROMPTS)]
    write_rows(answered / "completions.jsonl", completions)
    calls = [AnswerCall(key=row.key, model="v3-0324", attempts=3, from_store=row.id == KEPT.id) for row in completions]
    write_rows(answered / "calls.jsonl", calls)
    teacher = {"model": "deepseek", "input_price": 1.0, "output_price": 2.0}
    scores = [
        AnswerScore(key=completions[0].key, score=4.0, reply=f"Fine.{CONTROLS}\n[[4]]"),
        AnswerScore(key=completions[2].key, score=None, reply=None),
    ]
    write_rows(path / "judge_answers/answer_scores/answer_scores.jsonl", scores)
    close_folder(answered, "teacher", {}, Provenance(config={"teachers": [teacher], "teacher_route": "endpoint"}))
    target = Message(role="assistant", content="It is on its way.")
    rows = [TrainRow(id=KEPT.id, messages=(*KEPT.messages, target), weight=2.0)]
    write_rows(curated / "train.jsonl", [*rows, *(unrelated(number) for number in range(20))])
    write_rows(curated / "validation.jsonl", [TrainRow(id=OTHER.id, messages=(*OTHER.messages, target))])
    write_rows(curated / "drops.jsonl", [Reject(source=DROPPED.source, reason="length", detail="not complete")])
    close_folder(curated, "curate", {}, Provenance(config={"task": "conversation", "min_chars": 3}))
    for model in ("student", "baseline"):
        predictions = path / f"predict_{model}" / "predictions"
        predictions.mkdir(parents=True)
        write_rows(
            predictions / "predictions.jsonl", [Prediction(id=TESTED.id, completion=f"by {model}", truncated=False)]
        )
    scores = '{"id":"%s","answers":{},"scores":{"accuracy":{"student":false,"baseline":false,"teacher":true}}}\n'
    (path / "evaluate/evaluation/scores.jsonl").write_text(scores % TESTED.id)
    return path


def completion(row: Prompt, number: int) -> Completion:
    return Completion(
        **row.model_dump(exclude={"columns"}),
        completion="It is on its way.",
        finish_reason="length" if row is DROPPED else "stop",
        teacher="deepseek",
        key=f"{number:064}",
        usage=TokenUsage(prompt_tokens=100, completion_tokens=20),
    )


def unrelated(number: int) -> TrainRow:
    turns = (Message(role="user", content=f"Is it open on day {number}?"), Message(role="assistant", content="Yes"))
    return TrainRow(id=prompt_id(turns[:1]), messages=turns)


@pytest.mark.usefixtures("run")
def test_a_row_is_followed_to_its_training_row(azdistill: Command) -> None:
    by_source = azdistill("data", "show", "first", "data/train.jsonl:1")
    assert (by_source.code, by_source.err) == (0, "")
    assert azdistill("data", "show", "runs/first", KEPT.id[:6]) == by_source
    shown = by_source.out.splitlines()
    for line in (
        f"row {KEPT.id} of train.jsonl:1",
        "split: train, as a row of data.training_data",
        "tokens: 100 of the prompt, 20 of the answer",
        "cost: 0.000140 in the currency of the prices",
        "model in the reply: v3-0324",
        "calls: 3",
        "bought: before this run: it was in the store",
        "judge's score: 4 of 5",
        "[[4]]",
        "passed the filters: min_chars 3",
        "weight: 2",
        "target: It is on its way.",
    ):
        assert line in shown
    drawn = azdistill("data", "show", "first", OTHER.id).out
    assert "drawn from data.training_data by a hash of its content (prepare.validation_fraction=0.05, seed 7)" in drawn
    assert "topic: hours" in drawn
    assert "judge's score: none\njudge's reply: no complete reply\n" in drawn
    assert f"validation row {OTHER.id}" in drawn


@pytest.mark.usefixtures("run")
def test_a_removed_row_has_its_step_and_reason_and_cannot_control_the_terminal(azdistill: Command) -> None:
    dropped = azdistill("data", "show", "first", DROPPED.source).out
    assert "dropped by step curate\nlength: not complete" in dropped
    assert "bought: by this run" in dropped
    assert "judge" not in dropped
    assert "after 40 days?" in dropped
    assert not set(CONTROLS) & set(dropped) - set("[2J")
    rejected = azdistill("data", "show", "first", "train.jsonl:3").out
    assert rejected == "\ntrain.jsonl:3: removed by step prepare\nempty_content: turn 0\n"


@pytest.mark.usefixtures("run")
def test_an_error_of_the_student_leads_to_the_rows_that_taught_it(azdistill: Command) -> None:
    shown = azdistill("data", "show", "first", TESTED.id).out
    assert "student (accuracy 0.000): by student" in shown
    assert "teacher (accuracy 1.000): It is on its way." in shown
    assert "reference: In transit." in shown
    nearest = shown.partition("training rows with the most similar prompts\n")[2]
    assert nearest.startswith("similarity 0.")
    assert f"train.jsonl:1, row {KEPT.id}\nuser: {KEPT.messages[0].content}\ntarget: It is on its way." in nearest


def test_a_row_or_run_that_does_not_exist_is_one_clear_error(azdistill: Command, run: Path) -> None:
    for arguments, text in (
        (("first", "0" * 16), "or the source of a row, such as train.jsonl:"),
        (("first", ""), "several rows match; name one of"),
        (("second", "train.jsonl:1"), "not a run folder; give a run folder, or a name in runs/, which has: first"),
        (("first",), "a run; name a row too: azdistill data show RUN ROW"),
        ((run / "prepare/prompts/prompts.jsonl", "train.jsonl:1"), "a file, and a row needs a run"),
    ):
        done = azdistill("data", "show", *arguments)
        assert (done.code, done.err.count("\n"), done.out) == (2, 1, "")
        assert text in done.err
    (run / "prepare/prompts/prompts.jsonl").unlink()
    assert "completed, without prepare/prompts/prompts.jsonl" in azdistill("data", "show", "first", "x").err
