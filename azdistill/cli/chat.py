"""azdistill chat: chat with the student of a run, or with a served one."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from azdistill.cli.loading import report_loading
from azdistill.cli.render import print_text
from azdistill.contracts.layout import RUN_PROMPTS

if TYPE_CHECKING:
    from azdistill.contracts.rows import Message, Prompt
    from azdistill.tasks.task import Case, Task

    # Answers a history of messages.
    Reply = Callable[["tuple[Message, ...]"], str]

# A row of each task that writes the prompt of its rows itself.
ROW_EXAMPLES = {
    "nli": '{"premise": "...", "hypothesis": "..."}',
    "qa": '{"question": "...", "context": "..."}',
    "math": '{"question": "..."}',
    "summarization": '{"document": "..."}',
}
# Longest wait for the answer of an endpoint.
ENDPOINT_TIMEOUT_S = 300.0


def chat(
    model: Annotated[
        str,
        typer.Argument(
            metavar="RUN", help="run folder or its name in runs/, model folder, or URL that azdistill serve has printed"
        ),
    ],
    message: Annotated[
        list[str] | None,
        typer.Option("--message", "-m", metavar="TEXT", help="send this message and end; repeatable for more turns"),
    ] = None,
    system: Annotated[
        str | None, typer.Option(metavar="TEXT", help="system prompt; default: that of the run's rows")
    ] = None,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="maximum length of an answer in tokens")
    ] = 256,
) -> None:
    """Chat with the student of a run.

    A student can do only the task that it was trained on: /example sends one of the run's test rows. A JSON object is
    a row of the run's task and becomes the same prompt as in the training: {"question": "..."}. An empty line starts
    a new conversation, Ctrl-D ends. Lines can come from a pipe.

    Example: azdistill chat quickstart -m "Hi, my order 4711 arrived broken."

    Exit codes: 0 ended, 1 the endpoint failed, 2 no student in this folder.
    """
    from azdistill.local_runs.run_folder import RUNS, find_run
    from azdistill.local_runs.run_task import task_of_run

    is_url = model.startswith(("http://", "https://"))
    paths = (path for path in (Path(model), RUNS / model) if is_url or path.exists())
    folder = next(paths, None) or find_run(Path(model)).path
    reply = endpoint_reply(model, max_new_tokens) if is_url else load_reply(folder, max_new_tokens)
    name, task = task_of_run(folder) or ("", None)
    conversation = StudentConversation(reply, test_rows(folder), system, task)
    for line in message or _read_lines(name):
        conversation.send(line)


def load_reply(run: Path, max_new_tokens: int) -> "Reply":
    """Load the student of a run or model folder. Raises InputError if the folder has none."""
    from azdistill.local_runs.models import student_folder

    model = student_folder(run)
    with report_loading(str(run)):
        from azdistill.generation.generate import chat_reply
        from azdistill.students.loading import load_student

        student = load_student(model)
    return lambda history: chat_reply(student, history, max_new_tokens)


def endpoint_reply(url: str, max_new_tokens: int) -> "Reply":
    """Ask an endpoint without authentication. Raises InputError for a URL without chat completions."""
    import urllib.error
    import urllib.request

    from azdistill.contracts.chat_url import chat_url
    from azdistill.contracts.errors import EndpointError
    from azdistill.engine.redaction import READ, quote

    address = chat_url(url)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def reply(history: "tuple[Message, ...]") -> str:
        messages = [{"role": turn.role, "content": turn.content} for turn in history]
        body = {"model": "default", "messages": messages, "max_tokens": max_new_tokens, "temperature": 0}
        request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
        try:
            with opener.open(request, timeout=ENDPOINT_TIMEOUT_S) as response:
                answer: str = json.load(response)["choices"][0]["message"]["content"]
                return answer
        except urllib.error.HTTPError as error:
            with error:
                reason = f"HTTP {error.code}: {quote(error.read(READ).decode(errors='replace'))}"
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = quote(str(error))
        raise EndpointError(reason, subject=f"endpoint {address!r}", fix="check that a student is served there")

    return reply


def test_rows(run: Path) -> "Iterator[Prompt]":
    """The test rows of a run; none for a model folder."""
    from azdistill.contracts.files import read_rows
    from azdistill.contracts.rows import Prompt

    if (run / RUN_PROMPTS).is_file():
        yield from (row for row in read_rows(run / RUN_PROMPTS, Prompt) if row.split == "test")


def _read_lines(task: str) -> Iterator[str]:
    """Lines of standard input. A terminal gets a hint and a prompt."""
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        print_text("type a message; /example for a test row, an empty line for a new conversation, Ctrl-D to end")
        if task in ROW_EXAMPLES:
            print_text(f"a row of task {task} gets its prompt: {ROW_EXAMPLES[task]}")
    while True:
        try:
            yield input("you> " if is_terminal else "")
        except EOFError:
            return


class StudentConversation:
    """A conversation with the student. It starts with `system`, by default the system prompt of the examples.

    JSON objects are rows of `task`.
    """

    def __init__(
        self, reply: "Reply", examples: "Iterator[Prompt]", system: str | None = None, task: "Task | None" = None
    ) -> None:
        self._reply, self._examples, self._task = reply, examples, task
        self._first_example = next(examples, None)
        self._opening = _opening(system, self._first_example)
        self.history = self._opening

    def send(self, line: str) -> None:
        """Handle a line of the user: a message, a row, `/example`, or an empty line for a new conversation."""
        from azdistill.contracts.rows import Message

        command = line.strip()
        if not command:
            self.history = self._opening
        elif command == "/example":
            self._send_example(self._next_example())
        elif self._task and (row := _read_row(command)):
            self._send_row(row, self._task)
        else:
            self._answer((*self.history, Message(role="user", content=line)))

    def _next_example(self) -> "Prompt | None":
        first, self._first_example = self._first_example, None
        return first or next(self._examples, None)

    def _send_example(self, example: "Prompt | None") -> None:
        if example is None:
            print_text("there are no more examples")
            return
        self._send_case(example)

    def _send_row(self, row: "dict[str, Any]", task: "Task") -> None:
        from azdistill.data.cases import case_of
        from azdistill.tasks.task import BadRow

        try:
            self._send_case(case_of(row, task))
        except BadRow as error:
            print_text(f"rejected: {error}", file=sys.stderr)

    def _send_case(self, case: "Prompt | Case") -> None:
        """Show a prompt, its answer and its references."""
        from azdistill.contracts.rows import gold_texts

        for turn in case.messages:
            print_text(f"{turn.role}> {turn.content}")
        self._answer(case.messages)
        for gold in gold_texts(case.gold):
            print_text(f"reference> {gold}", flush=True)

    def _answer(self, history: "tuple[Message, ...]") -> None:
        from azdistill.contracts.rows import Message

        answer = self._reply(history)
        print_text(f"student> {answer}", flush=True)
        self.history = (*history, Message(role="assistant", content=answer))


def _read_row(text: str) -> "dict[str, Any]":
    """A JSON object of one line; empty for other text."""
    try:
        row = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _opening(system: str | None, example: "Prompt | None") -> "tuple[Message, ...]":
    from azdistill.contracts.rows import Message

    if system is not None:
        return (Message(role="system", content=system),)
    return tuple(turn for turn in (example.messages[:1] if example else ()) if turn.role == "system")
