"""Two processes train one student together, started as `distribution: pytorch` of Azure ML starts them."""

import os
import socket
import subprocess
import sys

import pytest

from azdistill.contracts.files import read_json, write_rows
from azdistill.contracts.manifest import close_folder, read_manifest
from tests.training.conftest import rows


@pytest.mark.slow
def test_two_processes_train_one_student_and_the_main_process_writes_it(student, tmp_path):
    write_rows(tmp_path / "curated" / "train.jsonl", rows(64))
    write_rows(tmp_path / "curated" / "validation.jsonl", rows(12, first=64))
    close_folder(tmp_path / "curated", "curate", {})
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    outputs = [text for name in ("model", "metrics", "checkpoints") for text in (f"--{name}", tmp_path / name)]
    flags = ["--num-epochs", "2", "--learning-rate", "3e-3", "--max-length", "128", *outputs]
    command = [sys.executable, "-m", "azdistill.steps.train", "--curated", tmp_path / "curated", "--student", student]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        subprocess.Popen(
            [*command, *flags], env={**environment, "RANK": rank, "LOCAL_RANK": rank}, stdout=subprocess.PIPE
        )
        for rank in "01"
    ]
    outputs = [process.communicate(timeout=120)[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0].startswith("train: 64 rows")
    assert outputs[1] == ""
    metrics = read_json(tmp_path / "metrics" / "metrics.json")
    assert metrics["steps"] == 10  # one process takes 20
    assert metrics["validation_loss"] < 5
    assert set(read_manifest(tmp_path / "model").files) >= {"model.safetensors", "tokenizer.json", "config.json"}
    assert list((tmp_path / "checkpoints").iterdir()) == []
