"""The process of vLLM, with a substitute that records its arguments and answers /health. vLLM needs a GPU."""

import json
import os
import select
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import AzdistillError
from azdistill.serving import vllm
from azdistill.serving.address import base_url, listen
from azdistill.students.loading import load_student
from azdistill.students.vllm import executable
from tests.students import tiny

SUBSTITUTE = """\
import http.server, json, os, signal, sys
json.dump([sys.argv[1:], os.environ.get("HF_HUB_OFFLINE")], open("started.json", "w"))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/health" else 404)
        self.end_headers()
    def log_message(self, *_):
        pass
def stop(*_):
    open("stopped", "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
port = int(sys.argv[sys.argv.index("--port") + 1])
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


@pytest.fixture
def address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, int]:
    """URL and port that are free."""
    monkeypatch.chdir(tmp_path)
    with listen("127.0.0.1", 0) as listening:
        return base_url(listening), listening.getsockname()[1]


def test_it_is_served_until_a_signal(tmp_path: Path, address: tuple[str, int]) -> None:
    url, port = address
    (tmp_path / "substitute.py").write_text(SUBSTITUTE)
    words = vllm.command("substitute.py", Path("model"), "support", "127.0.0.1", port, 48, "bfloat16")
    ready: list[str] = []

    def stop() -> None:
        ready.append(url)
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()

    vllm.serve_command([sys.executable, *words], url, stop)
    (arguments, offline) = json.loads((tmp_path / "started.json").read_text())
    assert arguments[:2] == ["serve", "model"]
    options = dict(zip(arguments[2::2], arguments[3::2], strict=True))
    assert options["--served-model-name"] == "support"
    assert json.loads(options["--override-generation-config"]) == {"temperature": 0.0, "max_new_tokens": 48}
    assert (ready, offline) == ([url], "1")
    assert (tmp_path / "stopped").exists()


def test_an_early_end_is_one_line(address: tuple[str, int]) -> None:
    words = [sys.executable, "-c", "import sys; sys.exit(3)"]
    with pytest.raises(AzdistillError, match="ended with exit code 3; its messages are above"):
        vllm.serve_command(words, address[0], lambda: pytest.fail("it is not ready"))


def test_processes_that_a_server_leaves_are_killed(tmp_path: Path, address: tuple[str, int]) -> None:
    words = ["bash", "-c", "exec > pipe; sleep 60 & exit 3"]
    os.mkfifo(tmp_path / "pipe")
    with open(os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK), "rb") as pipe:
        with pytest.raises(AzdistillError, match="ended with exit code 3"):
            vllm.serve_command(words, address[0], lambda: pytest.fail("it is not ready"))
        readable, _, _ = select.select([pipe], [], [], 20)  # at its end, when no process has it open
        assert readable


def test_only_a_saved_student_is_served_without_a_copy(tmp_path: Path) -> None:
    base = tiny.write(tmp_path / "base")
    load_student(base).save(tmp_path / "saved", "float32")
    assert [vllm.is_servable(tmp_path / name) for name in ("base", "saved")] == [False, True]


@pytest.mark.gpu
def test_vllm_gives_the_evaluated_answers(tmp_path: Path) -> None:
    import urllib.request

    from azdistill.contracts.rows import Message
    from azdistill.generation.generate import chat_reply

    program = executable()
    assert program, "install vllm in this environment"
    base = load_student(tiny.write(tmp_path / "base", hidden_size=128, num_attention_heads=2, head_dim=64))
    base.save(tmp_path / "saved", "bfloat16")
    expected = chat_reply(load_student(tmp_path / "saved"), [Message(role="user", content="Hi")], 16)
    with listen("127.0.0.1", 0) as listening:
        url, port = base_url(listening), listening.getsockname()[1]
    answers: list[Any] = []

    def ask() -> None:
        body = json.dumps({"model": "s", "messages": [{"role": "user", "content": "Hi"}]}).encode()
        request = urllib.request.Request(f"{url}/v1/chat/completions", body, {"Content-Type": "application/json"})
        answers.append(json.load(urllib.request.urlopen(request, timeout=60))["choices"][0]["message"]["content"])
        os.kill(os.getpid(), signal.SIGTERM)

    vllm.serve_command(
        vllm.command(program, tmp_path / "saved", "s", "127.0.0.1", port, 16, "bfloat16"),
        url,
        threading.Thread(target=ask).start,
    )
    assert answers == [expected]
