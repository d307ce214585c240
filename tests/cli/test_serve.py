"""azdistill serve: a run's student as an endpoint, and wrong input."""

import json
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.files import read_rows, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.predict import STEP
from azdistill.contracts.rows import Prediction, Prompt
from azdistill.contracts.step import parse
from azdistill.engine.problems import printable
from azdistill.steps.predict import body
from azdistill.students.loading import load_student
from tests.cli.conftest import Command
from tests.students import tiny

Start = Callable[..., "subprocess.Popen[str]"]
MAX_NEW_TOKENS = 16


@pytest.fixture
def run(folder: Path) -> Path:
    """A run folder as the steps write it: a student, its test rows and its answers to them."""
    model, prompts = folder / "r/train/model", folder / "r/prepare/prompts"
    load_student(tiny.write(folder / "base")).save(model, "float32")
    close_folder(model, "train", {})
    rows = [
        Prompt(
            id=f"{number:016x}",
            split="test",
            messages=tiny.turns(f"Where is order {number}?", "Which one?", f"{number}!", system="Be brief."),
            gold="On its way.",
            source=f"rows.jsonl:{number}",
        )
        for number in range(12)
    ]
    write_rows(prompts / "prompts.jsonl", rows)
    close_folder(prompts, "prepare", {"test": len(rows)})
    ports = {"model": model, "prompts": prompts, "predictions": folder / "r/predict_student/predictions"}
    flags = [word for name, path in ports.items() for word in (f"--{name}", str(path))]
    body(parse(STEP, [*flags, "--max-new-tokens", str(MAX_NEW_TOKENS), "--latency-rows", "0"]))
    return folder / "r"


def ask(url: str, messages: Any) -> str:
    request = urllib.request.Request(
        f"{url}/chat/completions",
        json.dumps({"model": "any", "messages": messages, "temperature": 0}).encode(),
        {"Content-Type": "application/json"},
    )
    answer: str = json.load(urllib.request.urlopen(request, timeout=20))["choices"][0]["message"]["content"]
    return answer


def test_a_run_is_served_as_it_was_evaluated(start: Start, azdistill: Command, run: Path) -> None:
    process = start("serve", run, "--port", "0", "--max-new-tokens", str(MAX_NEW_TOKENS), "--engine", "transformers")
    assert process.stdout
    ready, example, _ = (process.stdout.readline() for _ in range(3))
    match = re.fullmatch(r"(.*) \((\w+), (\w+)\) answers at (http://127\.0\.0\.1:\d+/v1)\n", ready)
    assert match, ready + process.communicate()[1]
    url = match[4]
    done = subprocess.run(example, shell=True, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["choices"][0]["message"]["role"] == "assistant"

    prompts = list(read_rows(run / "prepare/prompts/prompts.jsonl", Prompt))
    turns = [[{"role": turn.role, "content": turn.content} for turn in prompt.messages] for prompt in prompts]
    with ThreadPoolExecutor(len(turns)) as clients:
        answers = list(clients.map(lambda messages: ask(url, messages), turns))
    predictions = read_rows(run / "predict_student/predictions/predictions.jsonl", Prediction)
    assert answers == [prediction.completion for prediction in predictions]

    options = ("--data", run, "--task", "conversation", "--metrics", "accuracy", "--max-new-tokens", "16", "-o", "out")
    done_evaluate = azdistill("evaluate", "--model", url, *options)
    assert done_evaluate.code == 0, done_evaluate.err
    evaluated = read_rows(Path("out/1/predictions.jsonl"), Prediction)
    assert [row.completion for row in evaluated] == answers

    question = turns[0][-1]["content"]
    done_chat = azdistill("chat", url, "-m", question, "--max-new-tokens", str(MAX_NEW_TOKENS))
    answer = printable(ask(url, [{"role": "user", "content": question}]))
    assert done_chat.out == f"student> {answer}\n"

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, re.sub(r"loading .* \(\d+ s\)\n", "", err)) == (0, "", "")


def write_untemplated(folder: Path) -> None:
    """A student without a chat template, which is found when it is loaded."""
    (tiny.write(folder / "untemplated") / "chat_template.jinja").unlink()


def test_a_port_in_use_is_one_line(azdistill: Command, run: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        done = azdistill("serve", run, "--port", str(port))
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        f"azdistill: --host 127.0.0.1 --port {port}: this address cannot be used (Address already in use); "
        "use --port 0 for a free port\n"
    )


def test_what_cannot_be_served_is_one_line(azdistill: Command, folder: Path) -> None:
    adapter = folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"base_model_name_or_path": "microsoft/Phi-4-mini-instruct"}')
    write_untemplated(folder)
    messages = {
        "adapter": "holds an adapter of microsoft/Phi-4-mini-instruct",
        "untemplated": "its tokenizer has no chat_template",
        "http://127.0.0.1:8000/v1": "is an endpoint, which is served already",
        "./absent": "no such folder",
    }
    for model, message in messages.items():
        done = azdistill("serve", model, "--port", "0", "--engine", "transformers")
        assert (done.code, done.out, done.err.count("\n")) == (2, "", 1), done.err
        assert message in done.err


def test_vllm_must_be_installed_to_be_chosen(azdistill: Command, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    done = azdistill("serve", run, "--port", "0", "--engine", "vllm")
    assert (done.code, done.err) == (2, "azdistill: vllm: is not installed; use --engine transformers\n")


# A substitute for vLLM: writes its arguments and the files of its model, answers /health, and then stops azdistill.
VLLM = """#!{python}
import http.server, json, os, pathlib, signal, sys, threading
files = {{path.name: path.read_text() for path in pathlib.Path(sys.argv[2]).iterdir() if path.suffix != ".safetensors"}}
pathlib.Path("vllm.json").write_text(json.dumps([sys.argv[1:], files]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        threading.Timer(0.3, os.kill, (os.getppid(), signal.SIGTERM)).start()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[sys.argv.index("--port") + 1])), Handler).serve_forever()
"""


@pytest.mark.filterwarnings("ignore::FutureWarning")  # peft reads a deprecated property
def test_vllm_gets_an_adapter_merged_and_saved_as_step_train_saves(
    azdistill: Command, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(load_student(tiny.write(folder / "base")).model, LoraConfig(target_modules=["q_proj"]))
    model.save_pretrained(folder / "adapter")
    config = json.loads((folder / "adapter/adapter_config.json").read_text())
    (folder / "adapter/adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "../base"}))
    (folder / "bin").mkdir()
    (folder / "bin/vllm").write_text(VLLM.format(python=sys.executable))
    (folder / "bin/vllm").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder / "bin"))
    done = azdistill("serve", "adapter", "--port", "0", "--engine", "vllm")
    assert done.code == 0, done.err
    assert done.out.startswith("adapter (vllm, float32) answers at http://127.0.0.1:")
    arguments, files = json.loads((folder / "vllm.json").read_text())
    assert (arguments[0], arguments[arguments.index("--served-model-name") + 1]) == ("serve", "adapter")
    assert "{# azdistill #}" in files["chat_template.jinja"]
    assert json.loads(files["generation_config.json"])["do_sample"] is False
    assert "adapter_config.json" not in files
    assert not Path(arguments[1]).exists()


def test_an_address_of_other_machines_is_pointed_out(azdistill: Command, folder: Path) -> None:
    write_untemplated(folder)
    done = azdistill("serve", "untemplated", "--host", "0.0.0.0", "--port", "0")
    warning, _ = done.err.splitlines()
    assert warning.startswith("warning: 0.0.0.0 is reachable from other machines, and the server has no authentication")


def test_an_unknown_host_is_wrong_input(azdistill: Command, run: Path) -> None:
    done = azdistill("serve", run, "--host", "192.0.2.1", "--port", "0")
    assert done.code == 2
    assert "this address cannot be used (Cannot assign requested address); give --host an address" in done.err
