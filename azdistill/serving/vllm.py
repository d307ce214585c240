"""Serve a student with vLLM, as a process, until a signal.

Not run on a GPU yet: the command line follows vLLM's documentation of `vllm serve`.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiohttp

from azdistill.contracts.errors import AzdistillError
from azdistill.serving.stopping import STOP_TIMEOUT_S, first_of, stop_on_signals
from azdistill.students.chat_template import MARKER
from azdistill.students.vllm import ENVIRONMENT

logger = logging.getLogger("azdistill.serving")

# Seconds between two requests to /health, and between two lines about the start.
POLL_S, REPORT_S = 0.5, 10.0


def is_servable(folder: Path) -> bool:
    """True if vLLM renders and ends answers as azdistill does: a folder that step train has saved."""
    template = folder / "chat_template.jinja"
    return (folder / "config.json").is_file() and template.is_file() and MARKER in template.read_text(encoding="utf-8")


def command(program: str, folder: Path, name: str, host: str, port: int, max_new_tokens: int, dtype: str) -> list[str]:
    """Command line of vLLM: greedy by default, since it ignores `do_sample: false` of generation_config.json."""
    generation = json.dumps({"temperature": 0.0, "max_new_tokens": max_new_tokens})
    return [
        *(program, "serve", str(folder)),
        *("--host", host, "--port", str(port)),
        *("--served-model-name", name),
        *("--dtype", dtype),
        *("--load-format", "safetensors"),
        *("--generation-config", "auto"),
        *("--override-generation-config", generation),
    ]


def serve_command(words: Sequence[str], url: str, ready: Callable[[], None]) -> None:
    """Run the command of a server until SIGTERM or Ctrl-C, which it gets as SIGTERM.

    `ready` is called when /health of `url` answers. Raises AzdistillError if the command ends itself.
    """
    asyncio.run(_serve(words, url, ready))


async def _serve(words: Sequence[str], url: str, ready: Callable[[], None]) -> None:
    stop = stop_on_signals()
    # In a session of its own: the signal of the terminal does not reach it, and its process group has its id.
    process = await asyncio.create_subprocess_exec(*words, env={**os.environ, **ENVIRONMENT}, start_new_session=True)
    ended = asyncio.create_task(process.wait())
    healthy = asyncio.create_task(_wait_until_healthy(url))
    try:
        await first_of(stop, ended, healthy)
        if healthy.done():
            healthy.result()
            ready()
            await first_of(stop, ended)
        if not stop.is_set():
            raise AzdistillError(
                f"ended with exit code {process.returncode}; its messages are above",
                subject=Path(words[0]).name,
                code="server_ended",
                fix="correct what they report, or use --engine transformers",
            )
    finally:
        healthy.cancel()
        await _terminate(process)


async def _wait_until_healthy(url: str) -> None:
    started = reported = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        while True:
            try:
                async with session.get(f"{url}/health") as response:
                    if response.status == 200:
                        return
            except (aiohttp.ClientError, TimeoutError):
                pass
            if time.monotonic() - reported >= REPORT_S:
                reported = time.monotonic()
                logger.info("waiting for %s/health: %.0f s", url, reported - started)
            await asyncio.sleep(POLL_S)


async def _terminate(process: asyncio.subprocess.Process) -> None:
    """End the server by SIGTERM, and what is left of its process group, which holds GPU memory, by SIGKILL."""
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS denies it for a group that has ended
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
