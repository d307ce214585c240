"""The folders of a complete distillation, as the steps write them, with figures like the quickstart's."""

import json
import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import write_json, write_rows, write_text
from azdistill.contracts.manifest import Provenance, close_folder, open_folder
from azdistill.contracts.rows import Completion, Message, Prediction, Prompt, Reject, TokenUsage, TrainRow, prompt_id

TEST_ROWS, TEST_ROWS_WRONG = 40, 2

Distilled = dict[str, Path]
Distil = Callable[..., Distilled]


def interval(value: float, low: float, high: float) -> dict[str, float]:
    return {"value": value, "low": low, "high": high}


def prompts() -> list[Prompt]:
    return [prompt(number) for number in range(TEST_ROWS)]


def prompt(number: int) -> Prompt:
    order = 48200 + number
    messages = (
        Message(role="system", content="You are the support desk of a shop."),
        Message(role="user", content=f"Hi, it's about order {order}, the headphones."),
        Message(role="assistant", content="Of course. When did they arrive, and are they opened?"),
        Message(role="user", content=f"They came {number % 30 + 1} days ago and are unopened. Can I send them back?"),
    )
    source = f"test_data.jsonl:{number + 1}"
    return Prompt(id=prompt_id(messages), split="test", messages=messages, gold=gold(order), source=source)


def gold(order: int) -> str:
    return f"Order {order}: refund approved, because it is unopened and within 30 days."


def completions(rows: Iterable[Prompt], answer: str | None) -> list[Completion]:
    return [
        Completion(
            **row.model_dump(),
            completion=answer or str(row.gold),
            finish_reason="stop",
            teacher="deepseek-v3",
            key="0" * 64,
            usage=TokenUsage(prompt_tokens=80, completion_tokens=20),
        )
        for row in rows
    ]


def predictions(rows: Iterable[Prompt], answer: Callable[[int], str | None]) -> list[Prediction]:
    answers = ((row, answer(number)) for number, row in enumerate(rows))
    return [Prediction(id=row.id, completion=text or str(row.gold), truncated=False) for row, text in answers]


def scores(rows: Iterable[Prompt]) -> str:
    def line(row: Prompt, number: int) -> str:
        correct = {"teacher": True, "baseline": False, "student": number >= TEST_ROWS_WRONG}
        return json.dumps({"id": row.id, "answers": dict.fromkeys(correct), "scores": {"accuracy": correct}})

    return "".join(f"{line(row, number)}\n" for number, row in enumerate(rows))


TRAINED = TrainRow(
    id="7" * 16, messages=(Message(role="user", content="Hi"), Message(role="assistant", content="<b>Hello</b>"))
)
DROPPED = Reject(source="training_data.jsonl:9", reason="length", detail="not complete")

METRICS: dict[str, Any] = {
    "task": "conversation",
    "reference": "gold",
    "rows": 500,
    "unscored": 0,
    "models": {
        "teacher": {
            "accuracy": interval(0.978, 0.961, 0.988),
            "agreement": interval(1.0, 0.992, 1.0),
            "bleu": 98.71,
            "bleu_signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
            "answered": 498,
        },
        "baseline": {
            "accuracy": interval(0.0, 0.0, 0.008),
            "agreement": interval(0.0, 0.0, 0.008),
            "bleu": 0.04,
            "bleu_signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
            "answered": 500,
        },
        "student": {
            "accuracy": interval(0.948, 0.925, 0.964),
            "agreement": interval(0.936, 0.911, 0.954),
            "bleu": 96.35,
            "bleu_signature": "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:2.6.0",
            "answered": 500,
        },
    },
    "retention": interval(0.969, 0.951, 0.986),
    "gain": interval(0.948, 0.928, 0.966),
}

GATES: dict[str, dict[str, Any]] = {
    "passed": {
        "decision": "passed",
        "enforced": True,
        "register": True,
        "gates": [
            {"name": "min_retention", "bound": 0.9, **interval(0.969, 0.951, 0.986), "outcome": "passed"},
            {"name": "min_gain", "bound": 0.0, **interval(0.948, 0.928, 0.966), "outcome": "passed"},
        ],
    },
    "refused": {
        "decision": "refused",
        "enforced": True,
        "register": False,
        "gates": [{"name": "min_retention", "bound": 0.9, **interval(0.711, 0.68, 0.742), "outcome": "refused"}],
    },
    "inconclusive": {
        "decision": "inconclusive",
        "enforced": False,
        "register": True,
        "gates": [{"name": "min_retention", "bound": 0.9, **interval(0.905, 0.88, 0.93), "outcome": "inconclusive"}],
    },
}

USAGE: dict[str, Any] = {
    "teacher": "deepseek-v3",
    "route": "simulated",
    "asked": 2900,
    "answered": 2862,
    "rejected": 38,
    "from_store": 0,
    "calls": 3191,
    "retries": {"429": 180, "5xx": 64, "reset": 47},
    "finish_reasons": {"stop": 2804, "length": 58},
    "reported_models": {"deepseek-v3-0324 (simulated)": 2862},
    "prompt_tokens": 268_400,
    "completion_tokens": 61_020,
    "latency_p50_s": 0.0061,
    "latency_p95_s": 0.0154,
}

TRAINING: dict[str, Any] = {
    "steps": 400,
    "epochs": 4,
    "train_loss": 0.0312,
    "validation_loss": 0.0287,
    "supervised_tokens": 219_000,
    "train_rows": 2216,
    "parameters": 1_054_000,
    "device": "cpu",
    "seconds": 31.4,
    "tokens_per_s": 27_900.0,
    "peak_memory_bytes": 850 * 2**20,
    "processes": 1,
    "sharding": "none",
}


def profile(latency: float) -> dict[str, Any]:
    return {
        "rows": 500,
        "seconds": 5.2,
        "latency_rows": 20,
        "parameters": 1_054_000,
        "weight_bytes": 4_216_000,
        "peak_memory_bytes": 512 * 2**20,
        "latency_p50_s": latency,
        "latency_p95_s": 2 * latency,
        "tokens_per_s": 4210.0,
        "generated_tokens": 11_020,
        "device": "cpu",
    }


def history() -> str:
    lines = []
    for step in range(10, 401, 10):
        loss = 0.03 + 6.5 * math.exp(-step / 55)
        lines.append(f'{{"step": {step}, "loss": {loss:.5f}, "learning_rate": 0.001}}\n')
        if step % 100 == 0:
            lines.append(f'{{"step": {step}, "validation_loss": {loss * 1.1:.5f}}}\n')
    return "".join(lines)


@pytest.fixture
def distil(tmp_path: Path) -> Distil:
    """Write every step's folder; `teacher_answer` and `baseline_answer` replace the answers to all rows."""

    def make(
        decision: str = "passed", teacher_answer: str | None = None, baseline_answer: str = "the the"
    ) -> Distilled:
        rows = prompts()
        folders = {name: open_folder(tmp_path / name) for name in COUNTS}
        write_rows(folders["prompts"] / "prompts.jsonl", rows)
        write_rows(folders["completions"] / "completions.jsonl", completions(rows, teacher_answer))
        write_json(folders["completions"] / "usage.json", USAGE)
        dropped = {"length": 40, "empty": 6}
        write_json(folders["curated"] / "drops.json", {"kept": {"train": 2220, "validation": 118}, "dropped": dropped})
        write_rows(folders["curated"] / "train.jsonl", [TRAINED])
        write_rows(folders["curated"] / "drops.jsonl", [DROPPED])
        write_json(folders["training"] / "metrics.json", TRAINING)
        write_text(folders["training"] / "history.jsonl", history())
        wrong = "Order 48201: refund refused, because it is opened."
        _model(folders["student"], predictions(rows, lambda number: wrong if number < 2 else None), 0.021)
        _model(folders["baseline"], predictions(rows, lambda number: baseline_answer), 0.0409)
        write_json(folders["evaluation"] / "metrics.json", METRICS)
        write_json(folders["evaluation"] / "gate.json", GATES[decision])
        write_text(folders["evaluation"] / "scores.jsonl", scores(rows))
        for name, counts in COUNTS.items():
            close_folder(folders[name], name, counts, PROVENANCE.get(name))
        return folders

    return make


PROVENANCE = {
    "prompts": Provenance(config={"task": "conversation", "test_fraction": 0.1}, data={"training_data": "a1" * 32}),
    "completions": Provenance(
        config={
            "teachers": [{"model": "deepseek-v3", "endpoint": "https://teacher.example/v1", "key_variable": None}],
            "prompting": {"system_prompt": "Answer <b>briefly</b>.", "chain_of_thought": True},
            "temperature": 0.7,
        },
        code="c0" * 32,
        versions={"python": "3.12.4"},
    ),
    "curated": Provenance(config={"min_chars": 1}),
    "training": Provenance(
        config={"learning_rate": 2e-5, "num_epochs": 3.0, "scheduler": "cosine"},
        data={"student": "5d" * 32},
        code="c1" * 32,
        versions={"python": "3.12.4", "torch": "2.13.0", "transformers": "5.1.0"},
    ),
}


def _model(folder: Path, rows: list[Prediction], latency: float) -> None:
    write_rows(folder / "predictions.jsonl", rows)
    write_json(folder / "profile.json", profile(latency))


COUNTS: dict[str, dict[str, Any]] = {
    "prompts": {
        "train": 2280,
        "validation": 120,
        "test": 500,
        "rejected": 4,
        "reasons": {"empty_content": 3, "unknown_role": 1},
        "left_out": {"duplicate": 9, "leaked": 3},
    },
    "completions": {
        "answered": 2862,
        "rejected": 38,
        "finish_reasons": {"stop": 2804, "length": 58},
        "reasons": {"content_filter": 38},
    },
    "curated": {"train": 2220, "validation": 118},
    "training": {},
    "student": {},
    "baseline": {},
    "evaluation": {},
}
