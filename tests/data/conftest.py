"""The user's files, and the steps as processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def chat(question="Where is order 1?", answer=None, **fields):
    """A row of chat messages."""
    turns = [{"role": "user", "content": question}]
    turns += [{"role": "assistant", "content": answer}] if answer else []
    return {"messages": turns, **fields}


@pytest.fixture
def jsonl(tmp_path):
    """Write a file of rows, or of lines unchanged."""

    def write(rows, name="rows.jsonl"):
        path = tmp_path / name
        path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
        return path

    return write


class StepRun:
    """Exit code, both streams and output folder of a step's process."""

    def __init__(self, step, folder: Path, flags):
        options = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        done = subprocess.run(
            [sys.executable, "-m", f"azdistill.steps.{step}", *options],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        self.code, self.out, self.err, self.folder = done.returncode, done.stdout, done.stderr, folder

    def assert_refused(self, *words):
        """Exit code 2, one line, no traceback, and no manifest that a later step would accept."""
        assert self.code == 2, self.err
        assert self.err.count("\n") == 1, self.err
        assert "Traceback" not in self.err
        for word in words:
            assert word in self.err, self.err
        assert not (self.folder / "manifest.json").exists()


@pytest.fixture
def prepare_step(tmp_path):
    def run(training_data, **flags):
        folder = flags.pop("prompts", tmp_path / "prompts")
        return StepRun("prepare", folder, {"training_data": training_data, "prompts": folder, **flags})

    return run


@pytest.fixture
def curate_step(tmp_path):
    def run(completions, **flags):
        folder = tmp_path / "curated"
        return StepRun("curate", folder, {"completions": completions, "curated": folder, **flags})

    return run


@pytest.fixture
def row():
    return chat
