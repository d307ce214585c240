"""A scoring teacher as a child process on loopback: vLLM, or a simulated teacher where vLLM is not installed.

Not run with vLLM yet: its command line follows the documentation of `vllm serve`.
"""

import contextlib
import http.client
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import IO

from azdistill.contracts.errors import AzdistillError, EndpointError, Interrupted
from azdistill.contracts.train_scored import SERVED_NAME
from azdistill.students.folders import model_folder, tokenizer_folder
from azdistill.students.vllm import ENVIRONMENT, executable

logger = logging.getLogger("azdistill.teacher")

HOST = "127.0.0.1"

# Seconds between two requests to /health, between two lines about the start, and until a server that was asked to end
# is killed.
POLL_S, REPORT_S, STOP_TIMEOUT_S = 0.2, 10.0, 20.0

# Variables by which a launcher, such as that of Azure ML, makes processes train together. vLLM would join them.
LAUNCHER = re.compile(r"((LOCAL_|GROUP_|ROLE_|NODE_)?(RANK|WORLD_SIZE)|MASTER_(ADDR|PORT)|ROLE_NAME|TORCHELASTIC_\w+)")

# Prompt tokens of one forward pass. The scores of each need its logits, which vLLM's share of the GPU does not include:
# 1.2 GB in float32 for 2,048 tokens of a vocabulary of 152,000.
TOKENS_OF_A_PASS = 2048

# Lines of the server's output in the log when it fails.
SHOWN_LINES = 30


@contextlib.contextmanager
def scoring_server(
    folder: Path, *, top_k: int, max_length: int, gpu_memory: float, start_s: float, simulate: bool = False
) -> Iterator[str]:
    """Serve the model of `folder` inside the block. Yields the base URL of the server when it is ready.

    It scores sequences of less than `max_length` tokens, with `top_k` likely ones, in the fraction `gpu_memory` of the
    GPU memory. It runs in a process group of its own, which ends with the block, also by SIGTERM. Raises AzdistillError
    if it ends, or is not ready after `start_s` seconds.
    """
    folder, port, program = folder.resolve(), _free_port(), None if simulate else executable()
    command = (
        vllm_command(program, folder, port, top_k=top_k, max_length=max_length, gpu_memory=gpu_memory)
        if program
        else simulated_command(folder, port, top_k)
    )
    with tempfile.TemporaryFile("w+", errors="replace") as output, _interrupted_by_sigterm():
        process = subprocess.Popen(
            command,
            cwd=folder.anchor,  # not in that of a step's snapshot, which has no simulated teacher
            env=environment(os.environ),
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, output, port, start_s)
            yield f"http://{HOST}:{port}/v1"
        except EndpointError:
            if process.poll() is not None:
                raise _ended(process, output) from None
            raise
        finally:
            _stop(process)


def vllm_command(program: str, folder: Path, port: int, *, top_k: int, max_length: int, gpu_memory: float) -> list[str]:
    """Command line of vLLM for scoring only.

    Prefix caching is off, because tokens in the cache have no scores; so are CUDA graphs, which only speed generation
    up. `max_length` includes the token that is generated after each sequence.
    """
    return [
        *(program, "serve", str(model_folder(folder))),
        *("--tokenizer", str(tokenizer_folder(folder))),
        *("--host", HOST, "--port", str(port)),
        *("--served-model-name", SERVED_NAME),
        *("--dtype", "auto"),
        *("--load-format", "safetensors"),
        *("--generation-config", "vllm"),
        *("--max-model-len", str(max_length)),
        *("--max-num-batched-tokens", str(max(TOKENS_OF_A_PASS, max_length))),
        *("--max-logprobs", str(top_k)),
        *("--gpu-memory-utilization", f"{gpu_memory:g}"),
        "--no-enable-prefix-caching",
        "--enforce-eager",
    ]


def simulated_command(folder: Path, port: int, top_k: int) -> list[str]:
    """Command line of a simulated teacher. It ends when its standard input closes: also if this process is killed."""
    simulation = '{"latency_ms": 0}'
    options = ["--port", str(port), "--model", str(folder), "--max-logprobs", str(top_k), "--simulation", simulation]
    return [sys.executable, "-m", "azdistill.simulate", "--with-parent", *options]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Environment of the server: that of this process, without the variables of a launcher of several processes."""
    return {name: value for name, value in environ.items() if not LAUNCHER.fullmatch(name)} | ENVIRONMENT


def _wait_until_ready(process: subprocess.Popen[str], output: IO[str], port: int, start_s: float) -> None:
    started = reported = time.monotonic()
    logger.info("train: starting the server of the scoring teacher")
    while not _is_healthy(port):
        if process.poll() is not None:
            raise _ended(process, output)
        now = time.monotonic()
        if now - started > start_s:
            _log_end(output)
            raise AzdistillError(
                f"the server is not ready after {start_s:.0f} s",
                subject="scorer",
                code="server_not_ready",
                field=("scorer", "start_minutes"),
                fix="raise it, or correct what the server reports in the log",
            )
        if now - reported >= REPORT_S:
            reported = now
            logger.info("train: waiting for the scoring teacher: %.0f s of at most %.0f s", now - started, start_s)
        time.sleep(POLL_S)
    logger.info("train: the scoring teacher is ready after %.0f s", time.monotonic() - started)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _ended(process: subprocess.Popen[str], output: IO[str]) -> AzdistillError:
    _log_end(output)
    return AzdistillError(
        f"the server ended with exit code {process.wait()}; its last messages are in the log",
        subject="scorer",
        code="server_ended",
        fix="correct what they report and run again, or set scorer.teacher to the endpoint of a server",
    )


def _log_end(output: IO[str]) -> None:
    output.seek(0)
    for line in output.read().splitlines()[-SHOWN_LINES:]:
        logger.info("scorer: %s", line)


def _stop(process: subprocess.Popen[str]) -> None:
    """End the process group: by SIGTERM, and what is left of it by SIGKILL."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Raise Interrupted in the block on SIGTERM, which would end this process and leave the server running."""
    if threading.current_thread() is not threading.main_thread():  # only this thread handles signals
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise Interrupted("stopped by SIGTERM", fix="run again to continue")

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind((HOST, 0))
        port: int = listening.getsockname()[1]
        return port
