"""azdistill chat: chat with the student of a run."""

import io
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.cli.chat import StudentConversation
from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Message, Prompt
from azdistill.job.bundle import compile_job
from azdistill.job.loading import load_job
from azdistill.local_runs.run_task import task_of_run
from azdistill.tasks.task import Task
from tests.cli.conftest import JOB, Command

SYSTEM = Message(role="system", content="You are the desk.")
QUESTION = Message(role="user", content="Where is order 4711?")
EXAMPLE = Prompt(id="1", split="test", messages=(SYSTEM, QUESTION), gold="On its way.", source="rows.jsonl:1")

Chat = Callable[..., tuple[list[str], StudentConversation]]


@pytest.fixture
def chat(capsys: pytest.CaptureFixture[str]) -> Chat:
    """Chat with a student that counts turns: the printed lines and the conversation."""

    def send(
        *lines: str, example: Prompt | None = None, system: str | None = None, task: Task | None = None
    ) -> tuple[list[str], StudentConversation]:
        examples = iter([example] if example else [])
        conversation = StudentConversation(lambda history: f"turn {len(history)}", examples, system, task)
        for line in lines:
            conversation.send(line)
        return capsys.readouterr().out.splitlines(), conversation

    return send


def test_turns_follow_one_another(chat: Chat) -> None:
    out, conversation = chat("Hi", "And now?")
    assert out == ["student> turn 1", "student> turn 3"]
    assert [turn.role for turn in conversation.history] == ["user", "assistant"] * 2


def test_a_conversation_starts_with_the_system_prompt_of_the_rows(chat: Chat) -> None:
    assert chat("Hi", example=EXAMPLE)[1].history[0] == SYSTEM
    assert chat("Hi", example=EXAMPLE, system="Be brief.")[1].history[0].content == "Be brief."


def test_an_empty_line_starts_a_new_conversation(chat: Chat) -> None:
    out, conversation = chat("Hi", "", "Hello", example=EXAMPLE)
    assert out == ["student> turn 2", "student> turn 2"]
    assert [turn.content for turn in conversation.history] == [SYSTEM.content, "Hello", "turn 2"]


def test_an_example_is_shown_answered_and_compared_and_can_be_continued(chat: Chat) -> None:
    out, _ = chat("/example", "Thanks", "/example", example=EXAMPLE)
    assert out == [
        "system> You are the desk.",
        "user> Where is order 4711?",
        "student> turn 2",
        "reference> On its way.",
        "student> turn 4",
        "there are no more examples",
    ]


def test_a_row_gets_the_prompt_that_the_task_of_the_run_gives_it(chat: Chat, folder: Path) -> None:
    shutil.copytree(Path(__file__).parents[2] / "pipelines/quickstart/student", folder / "student")
    for name in ("rows.jsonl", "test.jsonl"):
        (folder / name).write_text('{"premise": "A man sits.", "hypothesis": "He sits.", "label": 0}\n')
    (folder / "job.yaml").write_text(JOB.replace("task: conversation", "task: nli\nlabels: [yes-it-does, no]"))
    compile_job(load_job(folder / "job.yaml"), folder / "runs/small/bundle")
    name, task = task_of_run(folder / "runs/small") or ("", None)
    assert name == "nli"
    out, conversation = chat('{"premise": "A man sits.", "hypothesis": "He stands.", "label": 1}', "Why?", task=task)
    prompt = "Premise: A man sits.\nHypothesis: He stands.\nDoes the premise entail the hypothesis? "
    assert conversation.history[0].content == f"{prompt}Answer with one word: yes-it-does or no."
    assert out[-3:] == ["student> turn 1", "reference> no", "student> turn 3"]
    assert chat('{"premise": "A man sits."}', task=task)[1].history == ()
    assert task_of_run(folder) is None
    assert chat('{"premise": 1}', "{")[0] == ["student> turn 1", "student> turn 3"]


def test_a_folder_without_a_student_is_one_line(azdistill: Command, folder: Path) -> None:
    done = azdistill("chat", folder)
    assert (done.code, done.out) == (2, "")
    assert "no config.json, so there is no model" in done.err
    assert done.err.count("\n") == 1
    done = azdistill("chat", "missing", "-m", "Hi")
    assert (done.code, done.out) == (2, "")
    assert done.err == "missing: not a run folder; give a run folder, or a name in runs/, which has: none\n"


def test_an_incomplete_student_is_not_loaded(azdistill: Command, folder: Path) -> None:
    (folder / "train/model").mkdir(parents=True)
    (folder / "train/model/config.json").write_text("{}")
    done = azdistill("chat", folder)
    assert done.code == 2
    assert "did not finish" in done.err


@pytest.fixture
def distilled(folder: Path) -> Path:
    """A run folder as the steps write it, with a student of a thousand random weights."""
    from transformers import AutoModelForCausalLM, LlamaConfig

    from azdistill.students.tiny import byte_level_tokenizer

    model, prompts = folder / "r/train/model", folder / "r/prepare/prompts"
    tokenizer = byte_level_tokenizer([SYSTEM.content, QUESTION.content])
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = LlamaConfig(vocab_size=len(tokenizer), eos_token_id=tokenizer.eos_token_id, **sizes)
    AutoModelForCausalLM.from_config(config).save_pretrained(model)
    tokenizer.save_pretrained(model)
    close_folder(model, "train", {})
    prompts.mkdir(parents=True)
    write_rows(prompts / "prompts.jsonl", [EXAMPLE.model_copy(update={"split": "train"}), EXAMPLE])
    return folder / "r"


def test_the_student_of_a_run_answers(azdistill: Command, distilled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("azdistill.cli.loading.QUIET_S", 0.0)
    done = azdistill("chat", distilled, "-m", "Hi", "-m", "/example", "--max-new-tokens", "3")
    assert done.code == 0, done.err
    assert done.out.count("student> ") == 2
    assert "user> Where is order 4711?\n" in done.out
    assert done.out.endswith("reference> On its way.\n")
    assert f"loading {distilled} (0 s)\n" in done.err


def test_lines_can_come_from_a_pipe(azdistill: Command, distilled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("Hi\n\nHello\n"))
    done = azdistill("chat", distilled / "train/model", "--max-new-tokens", "3")
    assert (done.code, done.out.count("student> ")) == (0, 2)
    assert done.out.startswith("student> ")


def test_an_endpoint_that_does_not_answer_is_one_line(azdistill: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = azdistill("chat", f"http://127.0.0.1:{port}/v1", "-m", "Hi")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"endpoint 'http://127.0.0.1:{port}/v1/chat/completions': " in done.err
    assert "Connection refused" in done.err
