"""Fixtures: a simulated teacher over loopback HTTP in a thread, prompts, configurations, and the step as a process."""

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.requests import SIMULATOR_VARIABLE, Teacher
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import TeacherConfig
from azdistill.simulate.server import listening
from azdistill.simulate.teacher import SimulatedTeacher


class Echo:
    """Expert that repeats the last turn. Rejects a turn that starts with `?`."""

    def answer(self, messages: Sequence[Message]) -> str:
        if messages[-1].content.startswith("?"):
            raise ValueError("a question mark")
        return f"You said: {messages[-1].content}"

    def wrong_answer(self, messages: Sequence[Message]) -> str:
        return "I do not know."


@contextlib.contextmanager
def serving(teacher: SimulatedTeacher, port: int = 0) -> Iterator[str]:
    """Serve `teacher` from a new thread until the block ends; yields its base URL."""
    loop, ready, stop = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    addresses: list[str] = []

    async def serve() -> None:
        async with listening(teacher, port) as url:
            addresses.append(url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield addresses[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()


@pytest.fixture
def simulate() -> Iterator[Callable[..., tuple[SimulatedTeacher, str]]]:
    """Start a simulated teacher with some rates; returns it and its base URL."""
    with contextlib.ExitStack() as stack:

        def start(*, key: str | None = None, **rates: Any) -> tuple[SimulatedTeacher, str]:
            quiet = {"latency_ms": 1, "wrong_rate": 0.0, **rates}
            teacher = SimulatedTeacher(Simulation(**quiet), Echo(), key)
            return teacher, stack.enter_context(serving(teacher))

        yield start


@pytest.fixture
def prompts() -> Callable[..., list[Prompt]]:
    """Numbered prompts; every tenth is a test row."""

    def make(count: int, text: str = "row") -> list[Prompt]:
        conversations = [(Message(role="user", content=f"{text} {number} wants an answer"),) for number in range(count)]
        return [
            Prompt(
                id=prompt_id(messages),
                split="test" if n % 10 == 9 else "train",
                messages=messages,
                source=f"rows:{n + 1}",
            )
            for n, messages in enumerate(conversations)
        ]

    return make


@pytest.fixture
def configure() -> Callable[..., TeacherConfig]:
    """Make the configuration of a teacher at an endpoint, or of a simulated teacher without one."""

    def make(endpoint: str | None = None, *, teacher: dict[str, Any] | None = None, **fields: Any) -> TeacherConfig:
        settings = Teacher(**{"model": "deepseek-v3", "endpoint": endpoint, **(teacher or {})})
        return TeacherConfig(
            teachers=(settings,), **{"teacher_route": "endpoint" if endpoint else "simulated", **fields}
        )

    return make


class StepFolders:
    """Folders and command line of the teacher step, run as a process. `limits` are ulimit commands."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.limits = ""
        self.completions, self.store, self.prompts = root / "completions", root / "store", root / "prompts"

    def write_prompts(self, rows: list[Prompt]) -> None:
        write_rows(self.prompts / "prompts.jsonl", rows)
        close_folder(self.prompts, "prepare", {})

    def start(self, config: TeacherConfig, address: str | None = None, **environ: str) -> "subprocess.Popen[str]":
        teachers = self.root / "teachers.json"
        teachers.write_text(json.dumps([teacher.model_dump() for teacher in config.teachers]))
        flags = config.model_dump(exclude={"teachers", "prompting"})
        options = [
            argument
            for name, value in flags.items()
            if value is not None
            for argument in (f"--{name.replace('_', '-')}", str(value))
        ]
        folders = ["--prompts", self.prompts, "--completions", self.completions, "--store", self.store]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AZUREML", "AZDISTILL"))}
        command = [sys.executable, "-m", "azdistill.steps.teacher", "--teachers", str(teachers), *options]
        limited = ["sh", "-c", f'{self.limits} exec "$0" "$@"'] if self.limits else []
        return subprocess.Popen(
            [*limited, *command, *map(str, folders)],
            env={**inherited, **({SIMULATOR_VARIABLE: address} if address else {}), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, config: TeacherConfig, address: str | None = None, **environ: str) -> tuple[int, str, str]:
        """Run to the end; returns exit code, stdout and stderr."""
        process = self.start(config, address, **environ)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err


@pytest.fixture
def step(tmp_path: Path) -> StepFolders:
    return StepFolders(tmp_path)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """Messages of azdistill.teacher, also after a step in this process has configured logging."""
    logger = logging.getLogger("azdistill.teacher")
    logger.addHandler(caplog.handler)
    with caplog.at_level(logging.INFO, "azdistill.teacher"):
        yield caplog
    logger.removeHandler(caplog.handler)
