"""azdistill chat: a conversation with the student of a run."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.cli.conversation import Conversation
from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Message, Prompt
from tests.cli.conftest import Command

SYSTEM = Message(role="system", content="You are the desk.")
ASKED = Message(role="user", content="Where is order 4711?")
EXAMPLE = Prompt(id="1", split="test", messages=(SYSTEM, ASKED), gold="On its way.", source="rows.jsonl:1")

Heard = tuple[list[str], Conversation]
Hear = Callable[..., Heard]


@pytest.fixture
def hear(capsys: pytest.CaptureFixture[str]) -> Hear:
    """A conversation with a student that counts turns, and what it prints."""

    def say(*lines: str, example: Prompt | None = None, system: str | None = None) -> Heard:
        examples = iter([example] if example else [])
        conversation = Conversation(lambda history: f"turn {len(history)}", examples, system)
        for line in lines:
            conversation.hear(line)
        return capsys.readouterr().out.splitlines(), conversation

    return say


def test_turns_follow_one_another(hear: Hear) -> None:
    out, conversation = hear("Hi", "And now?")
    assert out == ["student> turn 1", "student> turn 3"]
    assert [turn.role for turn in conversation.history] == ["user", "assistant"] * 2


def test_it_opens_as_the_rows_of_the_run_do(hear: Hear) -> None:
    assert hear("Hi", example=EXAMPLE)[1].history[0] == SYSTEM
    assert hear("Hi", example=EXAMPLE, system="Be brief.")[1].history[0].content == "Be brief."


def test_an_empty_line_starts_a_new_conversation(hear: Hear) -> None:
    out, conversation = hear("Hi", "", "Hello", example=EXAMPLE)
    assert out == ["student> turn 2", "student> turn 2"]
    assert [turn.content for turn in conversation.history] == [SYSTEM.content, "Hello", "turn 2"]


def test_an_example_is_shown_answered_and_compared_and_can_be_continued(hear: Hear) -> None:
    out, _ = hear("/example", "Thanks", "/example", example=EXAMPLE)
    assert out == [
        "system> You are the desk.",
        "user> Where is order 4711?",
        "student> turn 2",
        "reference> On its way.",
        "student> turn 4",
        "there is no more example here",
    ]


def test_a_folder_without_a_student_is_one_line(azdistill: Command, folder: Path) -> None:
    done = azdistill("chat", folder)
    assert (done.code, done.out) == (2, "")
    assert "no student lies here" in done.err
    assert done.err.count("\n") == 1


def test_half_a_student_is_none(azdistill: Command, folder: Path) -> None:
    (folder / "train/model").mkdir(parents=True)
    (folder / "train/model/config.json").write_text("{}")
    done = azdistill("chat", folder)
    assert done.code == 2
    assert "did not finish" in done.err


@pytest.fixture
def distilled(folder: Path) -> Path:
    """A run folder as the steps leave it; its student has a thousand weights, drawn at random."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    from azdistill.students.tiny import byte_level_tokenizer

    model, prompts = folder / "r/train/model", folder / "r/prepare/prompts"
    tokenizer = byte_level_tokenizer([SYSTEM.content, ASKED.content])
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(model)
    tokenizer.save_pretrained(model)
    close_folder(model, "train", {})
    prompts.mkdir(parents=True)
    write_rows(prompts / "prompts.jsonl", [EXAMPLE.model_copy(update={"split": "train"}), EXAMPLE])
    return folder / "r"


def test_the_student_of_a_run_answers(azdistill: Command, distilled: Path) -> None:
    done = azdistill("chat", distilled, "-m", "Hi", "-m", "/example", "--max-new-tokens", "3")
    assert done.code == 0, done.err
    assert done.out.count("student> ") == 2
    assert "user> Where is order 4711?\n" in done.out
    assert done.out.endswith("reference> On its way.\n")


def test_lines_may_come_from_a_pipe(azdistill: Command, distilled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n\nHello\n"))
    done = azdistill("chat", distilled / "train/model", "--max-new-tokens", "3")
    assert (done.code, done.out.count("student> ")) == (0, 2)
    assert done.out.startswith("student> ")
