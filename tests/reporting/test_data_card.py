"""The data card: labels, agreement with the references, lengths and random rows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.contracts.files import write_rows
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, Split, TokenUsage, TrainRow
from azdistill.contracts.task import TaskName
from azdistill.reporting.data_card import data_card
from azdistill.reporting.render import html, markdown
from azdistill.reporting.report import DataCard, LabelCount, LanguageCount, NewPromptCounts, PublicTestSet
from tests.reporting.test_collect import read_report

KEY = "sk-proj-4fQ8zW1nT7yLk2Vb9Xc3Rm5Jd6Hs0Pa"
LABELS = ("entailment", "neutral")


def prompt(number: int, split: Split = "train") -> Prompt:
    messages = (Message(role="user", content=f"{number}: {KEY if number == 1 else 'x' * 1000}"),)
    gold = LABELS[0] if number < 30 else None
    return Prompt(id=f"{number:016}", split=split, messages=messages, gold=gold, source=f"rows.jsonl:{number}")


def completion(row: Prompt, number: int) -> Completion:
    return Completion(
        **row.model_dump(),
        completion=LABELS[number % 3 == 0],
        finish_reason="length" if number == 1 else "stop",
        teacher="t",
        key="0" * 64,
        usage=TokenUsage(),
    )


@pytest.fixture
def make_card(tmp_path: Path) -> Callable[..., DataCard]:
    """The card of 60 prompts: row 1 has a truncated answer, row 2 is rejected, rows from 50 on are test rows."""

    def make(task: TaskName = "nli", seed: int = 0) -> DataCard:
        prompts = [prompt(number, "test" if number >= 50 else "train") for number in range(60)]
        completions = [completion(row, number) for number, row in enumerate(prompts) if number != 2]
        rejected = [
            Reject(source=f"rows.jsonl:{100 + number}", reason="empty_content", detail="x") for number in range(15)
        ]
        kept = [
            TrainRow(
                id=row.id,
                messages=(*row.messages, Message(role="assistant", content=row.completion)),
                weight=1 + (row.completion == "neutral"),
            )
            for row in completions
            if row.split == "train" and row.finish_reason == "stop"
        ]
        prepared, answered, curated = (tmp_path / name for name in ("prepared", "answered", "curated"))
        for folder in (prepared, answered, curated):
            folder.mkdir(exist_ok=True)
        write_rows(prepared / "prompts.jsonl", prompts)
        write_rows(prepared / "rejects.jsonl", rejected)
        write_rows(answered / "completions.jsonl", completions)
        write_rows(curated / "train.jsonl", kept[:40])
        dropped = Reject(source="rows.jsonl:1", reason="length", detail=f"cut, url https://me:{KEY}@example.com")
        write_rows(curated / "drops.jsonl", [dropped])
        return data_card(prepared, answered, curated, task, None, seed)

    return make


def test_labels_are_counted_before_and_after_curation_and_compared_with_the_references(
    make_card: Callable[..., DataCard],
) -> None:
    card = make_card()
    assert card.labels == (
        LabelCount(label="entailment", answers=31, training_rows=26, weight=26),
        LabelCount(label="neutral", answers=17, training_rows=14, weight=28),
    )
    assert (card.correct_answers, card.answers_with_reference) == (18, 28)
    assert make_card("conversation").correct_answers is None


def test_lengths_are_those_of_all_prompts_and_complete_answers(make_card: Callable[..., DataCard]) -> None:
    lengths = make_card().lengths
    assert (lengths[0].shortest, lengths[0].longest, lengths[0].answers) == (0, 10, 48)
    assert sum(group.prompts for group in lengths) == 60
    assert (lengths[-1].longest, lengths[-1].prompts) == (1500, 59)


def test_random_rows_of_each_reason_are_the_same_every_time_without_keys(make_card: Callable[..., DataCard]) -> None:
    card = make_card()
    assert make_card() == card
    assert make_card(seed=1).samples != card.samples
    assert [(group.step, group.reason, group.rows, len(group.samples)) for group in card.samples] == [
        ("", "", 40, 10),
        ("prepare", "empty_content", 15, 10),
        ("curate", "length", 1, 1),
    ]
    assert card.samples[0].samples[0].messages[0].content.endswith(" … (604 more characters)")
    (dropped,) = card.samples[2].samples
    assert (dropped.id, dropped.answer) == (prompt(1).id, "entailment")
    assert dropped.messages[0].content == "1: [redacted]"
    assert KEY not in card.model_dump_json()


def test_languages_of_training_rows_are_counted(make_card: Callable[..., DataCard], tmp_path: Path) -> None:
    make_card()
    question = "The parcel has not arrived yet, and the shop does not answer my messages. What can I do?"
    answer = "Comanda dumneavoastr\u0103 a plecat ieri din depozit \u0219i ajunge m\u00e2ine la adresa indicat\u0103."
    turns = (Message(role="user", content=question), Message(role="assistant", content=answer))
    short = (Message(role="user", content="Hi"), turns[1])
    write_rows(tmp_path / "curated/train.jsonl", [TrainRow(id="1", messages=turns), TrainRow(id="2", messages=short)])
    card = data_card(tmp_path / "prepared", tmp_path / "answered", tmp_path / "curated", "conversation")
    assert card.languages == (
        LanguageCount(language="ro", prompts=0, answers=2),
        LanguageCount(language="en", prompts=1, answers=0),
        LanguageCount(language="", prompts=1, answers=0),
    )


NEW_PROMPTS = {
    "new_prompts": NewPromptCounts(
        requests=250,
        without_prompts={"content_filter": 2},
        written=1200,
        kept=1000,
        not_needed=50,
        rejected={"duplicate": 10, "near_leaked": 140},
    ),
    "personal_data": {"email": 1234, "phone": 1},
}


def test_the_report_has_the_card(distil: Callable[..., dict[str, Path]], make_card: Callable[..., DataCard]) -> None:
    page = html(read_report(distil()))
    assert "&lt;b&gt;Hello&lt;/b&gt;" in page
    assert "Removed by step curate: length (1)" in page
    languages = (LanguageCount(language="en", prompts=12, answers=9),)
    test_sets = (PublicTestSet(name="gsm8k", rows=1319, prompts=3),)
    card = make_card().model_copy(update={"languages": languages, "public_test_sets": test_sets, **NEW_PROMPTS})
    report = read_report(distil()).model_copy(update={"data_card": card})
    sentence = "28 complete answers to rows with a reference, 64.3% equal the reference."
    assert sentence in html(report)
    assert "| en | 12 | 9 |" in markdown(report)
    assert "| gsm8k | 1,319 | 3 |" in markdown(report)
    assert "| prompts written | 1,200 |\n| kept | 1,000 |\n| not needed | 50 |" in markdown(report)
    assert "| requests without prompts: content filter | 2 |" in markdown(report)
    assert "| rejected: near leaked | 140 |" in markdown(report)
    for text in (html(report), markdown(report)):
        assert "Personal data in the rows, by pattern: email 1,234, phone 1." in text
    assert "| entailment | 31 | 64.6% | 26 | 65.0% | 48.1% |" in markdown(report)
