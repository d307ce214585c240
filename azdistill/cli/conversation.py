"""A conversation with a student on the terminal."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from azdistill.contracts.errors import InputError
from azdistill.contracts.files import read_rows
from azdistill.contracts.manifest import read_manifest
from azdistill.contracts.rows import Message, Prompt

History = tuple[Message, ...]
Reply = Callable[[History], str]

MODEL = Path("train", "model")
PROMPTS = Path("prepare", "prompts", "prompts.jsonl")


def student_of(run: Path, max_new_tokens: int) -> Reply:
    """The student of a run or model folder, as what answers. Raises InputError when there is none."""
    model = run / MODEL if (run / MODEL).is_dir() else run
    if model != run:
        read_manifest(model)  # half a model is none
    if not (model / "config.json").is_file():
        raise InputError(f"{model}: no config.json, so no student lies here; name the folder of a finished run")
    from azdistill.generation.generate import chat_reply
    from azdistill.students.loading import load_student

    student = load_student(model)
    return lambda history: chat_reply(student, history, max_new_tokens)


def held_out(run: Path) -> Iterator[Prompt]:
    """The test rows of a run; none for a bare model folder."""
    if (run / PROMPTS).is_file():
        yield from (row for row in read_rows(run / PROMPTS, Prompt) if row.split == "test")


def said() -> Iterator[str]:
    """Lines as a person types them, or from a pipe; the hint and the prompt are for a person."""
    person = sys.stdin.isatty()
    if person:
        print("say something; /example for a held-out row, empty line for a new conversation, Ctrl-D to end")
    while True:
        try:
            yield input("you> " if person else "")
        except EOFError:
            return


class Conversation:
    """What was said so far. A new one opens with `system`, or as the run's own rows do."""

    def __init__(self, reply: Reply, examples: Iterator[Prompt], system: str | None = None) -> None:
        self._reply, self._examples = reply, examples
        self._first = next(examples, None)
        self._opening = _opening(system, self._first)
        self.history = self._opening

    def hear(self, line: str) -> None:
        """One line of the person: words, `/example`, or an empty line for a new conversation."""
        text = line.strip()
        if not text:
            self.history = self._opening
        elif text == "/example":
            self._show(self._next())
        else:
            self._answer((*self.history, Message(role="user", content=line)))

    def _next(self) -> Prompt | None:
        first, self._first = self._first, None
        return first or next(self._examples, None)

    def _show(self, example: Prompt | None) -> None:
        if example is None:
            print("there is no more example here")
            return
        for turn in example.messages:
            print(f"{turn.role}> {turn.content}")
        self._answer(example.messages)
        if example.gold is not None:
            print(f"reference> {example.gold}", flush=True)

    def _answer(self, asked: History) -> None:
        answer = self._reply(asked)
        print(f"student> {answer}", flush=True)
        self.history = (*asked, Message(role="assistant", content=answer))


def _opening(system: str | None, example: Prompt | None) -> History:
    if system is not None:
        return (Message(role="system", content=system),)
    return tuple(turn for turn in (example.messages[:1] if example else ()) if turn.role == "system")
