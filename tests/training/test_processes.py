"""Two processes train one student together, as `distribution: pytorch` of Azure ML starts them."""

import os
import socket
import subprocess
import sys

import pytest

from azdistill.contracts.files import read_json, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from tests.training.conftest import rows


@pytest.mark.slow
def test_two_processes_train_one_student_and_one_writes(student, tmp_path):
    for name, given in {"train": rows(64), "validation": rows(12, first=64)}.items():
        write_rows(tmp_path / "curated" / f"{name}.jsonl", given)
    close_folder(tmp_path / "curated", "curate", {})
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    outputs = [part for name in ("model", "metrics", "checkpoints") for part in (f"--{name}", tmp_path / name)]
    flags = ["--num-epochs", "2", "--learning-rate", "3e-3", "--max-length", "128", *outputs]
    command = [sys.executable, "-m", "azdistill.steps.train", "--curated", tmp_path / "curated", "--student", student]
    shared = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen([*command, *flags], env={**shared, "RANK": rank, "LOCAL_RANK": rank}, stdout=subprocess.PIPE)
        for rank in "01"
    ]
    said = [process.communicate(timeout=120)[0].decode() for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert said[0].startswith("train: 64 rows")
    assert said[1] == ""
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert metrics["steps"] == 10  # of 20 that one process needs
    assert metrics["validation_loss"] < 5
    assert set(read_manifest(tmp_path / "model").files) >= {"model.safetensors", "tokenizer.json", "config.json"}
