"""The server of a scoring teacher next to the training. vLLM needs a GPU: a substitute records its arguments."""

import contextlib
import json
import os
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import AzdistillError, EndpointError, Interrupted
from azdistill.teacher.server import scoring_server
from tests.students import tiny

# Like vLLM it has a process of its own for the model, which ends only when it is killed.
SERVER = """\
import http.server, json, os, subprocess, sys
if os.environ.get("END") == "at the start":
    print("no such architecture")
    sys.exit(3)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/end":
            os._exit(4)
        self.send_response(200 if self.path == "/health" and os.environ.get("END") != "never ready" else 503)
        self.end_headers()
    def log_message(self, *_):
        pass
ignore = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
engine = subprocess.Popen([sys.executable, "-c", ignore])
json.dump([sys.argv[1:], dict(os.environ), engine.pid], open(os.environ["RECORD"], "w"))
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The command `vllm` on the PATH; returns the file with what it was started with."""
    program = tmp_path / "bin" / "vllm"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\n{SERVER}")
    program.chmod(0o755)
    for name, value in {"PATH": f"{program.parent}:{os.environ['PATH']}", "RECORD": f"{tmp_path}/record.json"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "record.json"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny.write(tmp_path / "model", weights=False)


def serve(model: Path, **settings: Any) -> Any:
    return scoring_server(model, **{"top_k": 20, "max_length": 512, "gpu_memory": 0.3, "start_s": 20, **settings})


def has_ended(pid: int) -> bool:
    """True if a process that was killed ends. It may stay as a zombie where nothing waits for it."""
    deadline, stat = time.monotonic() + 5, Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_vllm_serves_the_model_alone_and_ends_with_the_block(
    record: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID"):
        monkeypatch.setenv(name, "1")
    with serve(model) as url:
        arguments, environment, engine = json.loads(record.read_text())
        assert Path(f"/proc/{engine}").exists()
    assert has_ended(engine)
    assert url == f"http://127.0.0.1:{arguments[arguments.index('--port') + 1]}/v1"
    assert arguments[:2] == ["serve", str(model)]
    assert arguments[-2:] == ["--no-enable-prefix-caching", "--enforce-eager"]
    options = dict(zip(arguments[2:-2:2], arguments[3:-2:2], strict=True))
    assert options["--max-logprobs"] == "20"
    assert options["--max-model-len"] == "512"
    assert options["--gpu-memory-utilization"] == "0.3"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert not {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "TORCHELASTIC_RUN_ID"} & environment.keys()


@pytest.mark.parametrize(
    ("end", "message"),
    [
        ("at the start", r"scorer: the server ended with exit code 3; its last messages are in the log"),
        ("never ready", r"scorer: scorer.start_minutes: the server is not ready after 1 s"),
    ],
)
def test_a_server_that_does_not_start_is_one_error(
    record: Path, model: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, end: str, message: str
) -> None:
    monkeypatch.setenv("END", end)
    with caplog.at_level("INFO", "azdistill"), pytest.raises(AzdistillError, match=message), serve(model, start_s=1):
        pytest.fail("it is not ready")
    if end == "at the start":
        assert "scorer: no such architecture" in caplog.messages
    else:
        assert has_ended(json.loads(record.read_text())[2])


def test_a_server_that_ends_during_the_training_explains_the_failure_of_requests(record: Path, model: Path) -> None:
    def end_server(url: str) -> None:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(f"{url.removesuffix('/v1')}/end")
        assert has_ended(os.getpgid(json.loads(record.read_text())[2]))
        raise EndpointError("no connection")

    with pytest.raises(AzdistillError, match="the server ended with exit code 4"), serve(model) as url:
        end_server(url)
    with pytest.raises(EndpointError, match="too long"), serve(model):
        raise EndpointError("too long")


def test_sigterm_ends_the_server_too(record: Path, model: Path) -> None:
    with pytest.raises(Interrupted, match="stopped by SIGTERM"), serve(model):
        os.kill(os.getpid(), signal.SIGTERM)
    assert has_ended(json.loads(record.read_text())[2])
