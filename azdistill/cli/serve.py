"""azdistill serve: serve a student as an OpenAI-compatible endpoint."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from azdistill.cli.loading import report_loading
from azdistill.cli.render import print_text
from azdistill.cli.workspace import Config

if TYPE_CHECKING:
    import socket


class Engine(StrEnum):
    auto = "auto"
    transformers = "transformers"
    vllm = "vllm"


def serve(
    context: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="run folder, name of a run, model or adapter folder, or registered model NAME:VERSION"
        ),
    ],
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="port; 0 selects a free one")] = 8000,
    max_new_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="maximum length of an answer in tokens; a request can ask for less")
    ] = 256,
    batch_size: Annotated[
        int, typer.Option(min=1, metavar="N", help="requests that are decoded together (engine transformers)")
    ] = 32,
    engine: Annotated[
        Engine, typer.Option(help="auto: vllm where it is installed and there is a GPU, else transformers")
    ] = Engine.auto,
    config: Config = None,
) -> None:
    """Serve a student as an OpenAI-compatible endpoint.

    The endpoint has /v1/chat/completions (with streaming), /v1/models and /health, and no authentication. The student
    answers as it was evaluated: greedily, with the prompt and the end tokens of its training. SIGTERM or Ctrl-C ends
    the server after the requests in flight, within 20 seconds; a second one ends it immediately.

    Example: azdistill serve runs/quickstart --port 8000

    Exit codes: 0 ended by a signal, 1 the server failed, 2 wrong input, 130 interrupted while loading.
    """
    from azdistill.cli.workspace import workspace_client
    from azdistill.contracts.extras import check_steps
    from azdistill.local_runs.models import find_model, local_folder
    from azdistill.serving.address import is_loopback, listen

    folder = local_folder(find_model(model, lambda: workspace_client(context, config)))
    check_steps(["predict"], extra="train")
    # Before the model is loaded, so that a port in use is reported immediately.
    with listen(host, port) as listening:
        if not is_loopback(listening):
            print_text(
                f"warning: {host} is reachable from other machines, and the server has no authentication: everyone "
                f"who reaches port {listening.getsockname()[1]} can use the model",
                file=sys.stderr,
            )
        if engine is Engine.vllm or (engine is Engine.auto and _has_vllm()):
            _serve_by_vllm(folder, model, listening, max_new_tokens)
        else:
            _serve(folder, model, listening, max_new_tokens, batch_size)


def _serve(folder: Path, name: str, listening: "socket.socket", max_new_tokens: int, batch_size: int) -> None:
    with report_loading(name):
        from azdistill.serving.address import base_url
        from azdistill.serving.transformers import serve_student
        from azdistill.students.loading import load_student

        student = load_student(folder)
    about = f"{student.device.type}, {str(student.model.dtype).removeprefix('torch.')}"
    serve_student(
        student,
        name,
        listening,
        lambda: _announce(name, base_url(listening), about),
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
    )


def _serve_by_vllm(folder: Path, name: str, listening: "socket.socket", max_new_tokens: int) -> None:
    """vLLM gets a copy of a student that azdistill has not saved: with its template, end tokens and merged adapter."""
    import tempfile

    from azdistill.contracts.errors import InputError
    from azdistill.serving.address import base_url
    from azdistill.serving.vllm import command, is_servable, serve_command
    from azdistill.students.vllm import executable

    program = executable()
    if program is None:
        raise InputError("is not installed", subject="vllm", code="not_installed", fix="use --engine transformers")
    with tempfile.TemporaryDirectory() as copy:
        with report_loading(name):
            from azdistill.students.loading import best_dtype, load_student

            dtype = best_dtype()
            if not is_servable(folder):
                load_student(folder).save(Path(copy), dtype)
                folder = Path(copy)
        url, (host, port) = base_url(listening), listening.getsockname()[:2]
        listening.close()
        words = command(program, folder, name, host, port, max_new_tokens, dtype)
        serve_command(words, url, lambda: _announce(name, url, f"vllm, {dtype}"))


def _has_vllm() -> bool:
    """True if vLLM is installed and there is a GPU."""
    from azdistill.students.vllm import executable

    if executable() is None:
        return False
    import torch

    return torch.cuda.is_available()


def _announce(name: str, url: str, about: str) -> None:
    body = '{"messages": [{"role": "user", "content": "Hello"}]}'
    print_text(f"{name} ({about}) answers at {url}/v1")
    print_text(f"curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'")
    print_text("press Ctrl-C to stop it", flush=True)
