"""The quickstart's student served to 32 clients for a minute, for `make bench-ship`.

The server is `azdistill serve` in a process of its own. Each client sends the next held-out row as soon as it has its
answer. An answer that differs from predictions.jsonl is an error, as are a failed request and a refused one.
"""

import asyncio
import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

import aiohttp

from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.layout import RUN_PROMPTS
from azdistill.contracts.percentile import percentile
from azdistill.contracts.rows import Prediction, Prompt

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "runs" / "quickstart"
PREDICTIONS = Path("predict_student", "predictions")
CLIENTS, SECONDS = 32, 60.0


@dataclass
class Load:
    """Requests of all clients: seconds of each, errors, and tokens of the answers."""

    seconds: list[float] = field(default_factory=list)
    errors: int = 0
    tokens: int = 0


def serve_figures(run: Path = QUICKSTART, seconds: float = SECONDS) -> dict[str, float | int]:
    """Errors, 99th percentile of the latency in milliseconds, and generated tokens per second."""
    if not (run / RUN_PROMPTS).is_file():
        subprocess.run(["make", "quickstart"], cwd=ROOT, check=True)
    rows = [row for row in read_rows(run / RUN_PROMPTS, Prompt) if row.split == "test"]
    answers = {row.id: row.completion for row in read_rows(run / PREDICTIONS / "predictions.jsonl", Prediction)}
    longest = read_json(run / PREDICTIONS / "manifest.json")["provenance"]["config"]["max_new_tokens"]
    requests = [
        ([{"role": turn.role, "content": turn.content} for turn in row.messages], answers[row.id]) for row in rows
    ]
    with _server(run, longest) as url:
        load = asyncio.run(generate_load(url, requests, CLIENTS, seconds))
    return {
        "serve_errors": load.errors,
        "serve_p99_ms": round(1000 * (percentile(load.seconds, 0.99) or 0.0), 1),
        "serve_tokens_s": round(load.tokens / seconds, 1),
    }


async def generate_load(
    url: str, requests: Sequence[tuple[Any, str]], clients: int, seconds: float, **fields: Any
) -> Load:
    """Send requests by concurrent clients for some seconds, and wait for the answers of those in flight.

    `requests` are messages with the expected answer. `fields` are further fields of the bodies.
    """
    load, waiting = Load(), cycle(requests)
    end = time.monotonic() + seconds

    async def client(session: aiohttp.ClientSession) -> None:
        while time.monotonic() < end:
            messages, expected = next(waiting)
            started = time.monotonic()
            try:
                async with session.post(url, json={"messages": messages, "temperature": 0, **fields}) as response:
                    body = await response.json()
                    load.errors += body["choices"][0]["message"]["content"] != expected
                    load.tokens += body["usage"]["completion_tokens"]
            except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
                load.errors += 1
            load.seconds.append(time.monotonic() - started)

    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as session:
        await asyncio.gather(*(client(session) for _ in range(clients)))
    return load


@contextlib.contextmanager
def _server(run: Path, max_new_tokens: int) -> Iterator[str]:
    """Run `azdistill serve` while the block lasts; yields the URL of its chat completions."""
    program = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]
    options = ["--port", "0", "--max-new-tokens", str(max_new_tokens), "--engine", "transformers"]
    process = subprocess.Popen([*program, "serve", str(run), *options], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        match = re.search(r"answers at (http://\S+)", process.stdout.readline())
        if match is None:
            raise RuntimeError("azdistill serve did not start; its message is above")
        yield f"{match[1]}/chat/completions"
    finally:
        process.terminate()
        code = process.wait(timeout=60)
    if code:
        raise RuntimeError(f"azdistill serve ended with exit code {code}")


if __name__ == "__main__":
    print(serve_figures())
