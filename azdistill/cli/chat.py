"""azdistill chat: talk to the student of a run."""

from pathlib import Path
from typing import Annotated

import typer


def chat(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="a run folder, or a model folder")],
    message: Annotated[
        list[str] | None, typer.Option("--message", "-m", metavar="TEXT", help="say this and end; again for more turns")
    ] = None,
    system: Annotated[str | None, typer.Option(help="system prompt; default: that of the run's own rows")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="longest answer, tokens")] = 256,
) -> None:
    """Talk to the student of a run.

    A student knows what it was taught and nothing else, so /example shows it a held-out row.
    An empty line starts a new conversation, Ctrl-D ends. Lines may come from a pipe.

    Example: azdistill chat runs/quickstart -m "Hi, my order 4711 arrived broken."

    Exit codes: 0 ended, 2 no student lies there.
    """
    from azdistill.cli.conversation import Conversation, held_out, said, student_of

    conversation = Conversation(student_of(run, max_new_tokens), held_out(run), system)
    for line in message or said():
        conversation.hear(line)
