"""Secrets in all output of the product, while endpoints, proxies and servers repeat them in every spelling.

`secrets()` plants keys, tokens, passwords and signatures, each in the place where users have it, and returns
`secrets_planted` and `secret_hits`: how many of them, or parts of 8 characters, are in a file that was written, in a
request other than the header that authenticates, or on the terminal. The senders are real: HTTP servers and a proxy on
loopback. `python -m benchmarks.robust_secrets` also prints where each hit is.
"""

import contextlib
import io
import itertools
import json
import logging
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
from base64 import b64decode
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

from azdistill.contracts.errors import AzdistillError
from tests.secret_spellings import KINDS, SPELLINGS, SecretSearch
from tests.small_job import AZDISTILL, QUICKSTART, variables

SEED, TEACHERS, ROWS = 17, 15, len(SPELLINGS) + 2
AUTHENTICATION = frozenset({"authorization", "api-key", "proxy-authorization"})
NO_PROXIES = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"), "")
ANSWER: dict[str, Any] = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": {}}
SCOPE = "https://ai.azure.com/.default"
# Statuses of the endpoints that doctor asks, in the order of its teachers.
DOCTOR_STATUSES = (302, 424, 401, 400, 404, 503, 200, 403)
NODE = """\
type: pipeline
settings: {{default_compute: azureml:cpu}}
inputs:
{inputs}
jobs:
  only:
    type: command
    command: echo "${{{{inputs.rows}}}}" > /dev/null && echo done > ${{{{outputs.out}}}}/done
    environment: azureml:any:1
    inputs: {{rows: "${{{{parent.inputs.rows}}}}"}}
    outputs: {{out: {{type: uri_folder}}}}
    environment_variables: {variables}
"""


class Outputs:
    """Texts by location: what was written, printed and sent."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, location: str, text: str) -> None:
        self.texts[f"{location} {len(self.texts)}"] = text

    def add_folder(self, location: str, folder: Path) -> None:
        """Add all files but copies of the source code."""
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".py":
                self.add(f"{location}: {path.relative_to(folder)}", path.read_bytes().decode(errors="replace"))

    def run(self, location: str, *arguments: str | Path, **environment: str) -> int:
        """Run the command as a process."""
        command = [*AZDISTILL, *map(str, arguments)]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
        self.add(location, done.stdout + done.stderr)
        return done.returncode

    def call(self, location: str, *arguments: str | Path) -> None:
        """Run the command in this process."""
        from azdistill.cli.main import main

        text, argv = io.StringIO(), sys.argv
        sys.argv = ["azdistill", *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text), contextlib.suppress(SystemExit):
                main()
        finally:
            sys.argv = argv
        self.add(location, text.getvalue())


class Repeating(BaseHTTPRequestHandler):
    """Repeat the secret of a request in body, headers and reason phrase, each time in the next spelling."""

    protocol_version = "HTTP/1.1"
    outputs: Outputs
    spellings: Iterator[str]
    tokens: list[str]  # the last one is that of the managed identity

    def do_CONNECT(self) -> None:
        self._record("")
        self._reply(407, self._spelled())

    def do_GET(self) -> None:
        if self.path.startswith("/identity"):
            token = {"access_token": self.tokens[-1], "expires_on": str(2**33), "token_type": "Bearer"}
            self._send(200, json.dumps({**token, "resource": "https://ai.azure.com"}), "")
            return
        secrets = [part.partition("=")[2] for part in self.path.partition("?")[2].split("&") if part.startswith("sig=")]
        self._reply(403, f"{self._spelled()} {' '.join(secrets)}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        self._record(body)
        kind, _, rest = self.path.strip("/").partition("/")
        if kind == "doctor":
            self._reply(int(rest.partition("/")[0]), self._spelled())
        elif kind == "teacher" and "Say yes." not in body:
            self._repeat_for_row(json.loads(body)["messages"][-1]["content"])
        elif kind == "teacher":
            self._answer(self._spelled())
        else:
            self._reply(403, self._spelled())

    def _record(self, body: str) -> None:
        sent = [f"{name}: {value}" for name, value in self.headers.items() if name.lower() not in AUTHENTICATION]
        self.outputs.add("wire", "\n".join((self.path, *sent, body)))

    def _repeat_for_row(self, content: str) -> None:
        row = int(content.split()[1])
        spelled = self._spelled(list(SPELLINGS)[row % len(SPELLINGS)])
        if row % 4 == 3:
            self._answer(spelled)
        else:
            self._reply((400, 500, 422)[row % 4], f"{'x' * (240 if row % 2 else 0)} not with {spelled}, {spelled}")

    def _answer(self, spelled: str) -> None:
        named = {**ANSWER["choices"][0], "finish_reason": spelled[:1000]}
        self._send(200, json.dumps({**ANSWER, "choices": [named], "model": spelled[:190]}), spelled)

    def _reply(self, status: int, spelled: str) -> None:
        as_json = status % 2 == 0 or self.path.startswith("/api")
        error = {"error": {"message": f"not with {spelled}", "code": "no"}, "error_code": spelled, "message": spelled}
        self._send(status, json.dumps(error) if as_json else f"<h1>{spelled}</h1>", spelled)

    def _send(self, status: int, text: str, spelled: str) -> None:
        header, body = " ".join(spelled.split())[:2000], text.encode()
        self.send_response(status, f"No {header}")
        for name in ("Location", "ms-azureml-model-error-reason", "WWW-Authenticate", "x-ms-error-code"):
            self.send_header(name, f"https://h.example/?code={header}" if name == "Location" else header)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _spelled(self, spelling: str | None = None) -> str:
        secret = self.headers.get("api-key") or self._of_authorization()
        return SPELLINGS[spelling or next(self.spellings)](secret or "nothing")

    def _of_authorization(self) -> str:
        header = self.headers.get("Proxy-Authorization") or self.headers.get("Authorization") or ""
        kind, _, value = header.partition(" ")
        return b64decode(value).decode().partition(":")[2] if kind == "Basic" else value

    def log_message(self, *_: object) -> None: ...


class Server(ThreadingHTTPServer):
    request_queue_size = 1024

    def handle_error(self, *_: object) -> None: ...  # a client that was interrupted


@contextlib.contextmanager
def repeating_server(outputs: Outputs, tokens: list[str]) -> Iterator[str]:
    """Host and port of a server and proxy that repeats secrets."""
    fields = {"outputs": outputs, "spellings": itertools.cycle(SPELLINGS), "tokens": tokens}
    handler = type("Handler", (Repeating,), fields)
    with Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class Planting:
    """The places where users have secrets, and the commands that use them."""

    def __init__(self, folder: Path, host: str, outputs: Outputs, tokens: list[str]) -> None:
        self.folder, self.host, self.outputs = folder, host, outputs
        self.planted: list[str] = []
        self.tokens = tokens
        self._rng = random.Random(SEED)
        shutil.copytree(QUICKSTART / "student", folder / "student")
        rows = [
            {"messages": [{"role": "user", "content": f"row {n} wants an answer"}], "gold": "yes"} for n in range(ROWS)
        ]
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def plant(self, *kinds: str) -> str:
        """A new secret, of the next of these kinds."""
        kinds = kinds or tuple(KINDS)
        self.planted.append(KINDS[kinds[len(self.planted) % len(kinds)]](self._rng))
        return self.planted[-1]

    def job(self, name: str, *teachers: dict[str, Any], **fields: Any) -> Path:
        path = self.folder / f"{name}.yaml"
        settings: dict[str, Any] = {
            "name": name,
            "task": "conversation",
            "data": {"training_data": "rows.jsonl"},
            "student": {"model": "./student", "weights": "random"},
            "teacher": {"teachers": teachers, "policy": "all", "max_attempts": 1, "max_reject_ratio": 1.0},
        }
        path.write_text(json.dumps({**settings, **fields}))
        return path

    def _keys(self, count: int) -> dict[str, str]:
        """Keys by their variables, of which every second one is not named like a secret."""
        return {f"TEACHER_{n}" + "_KEY" * (n % 2): self.plant() for n in range(count)}

    def _run(self, name: str, path: Path, *options: str, **environment: str) -> None:
        run, home = self.folder / f"run-{name}", self.folder / f"home-{name}"
        self.outputs.run(
            f"run {name}", "run", path, "-o", run, *options, **variables(home, **{**NO_PROXIES, **environment})
        )
        for folder in (run, home):
            self.outputs.add_folder(f"files of {name}", folder)

    def keys_of_teachers(self, name: str) -> None:
        """Each teacher repeats its key for every row."""
        keys = self._keys(TEACHERS)
        teachers = [
            {"model": f"m{n}", "endpoint": f"http://{self.host}/teacher/{n}", "key_variable": variable}
            for n, variable in enumerate(keys)
        ]
        teachers.append({"model": "entra", "endpoint": f"http://{self.host}/teacher/entra", "entra_scope": SCOPE})
        self._run(name, self.job(name, *teachers), "--until", "teacher", **keys, **self._identity())

    def _identity(self) -> dict[str, str]:
        """Environment of a managed identity with a new token."""
        self.tokens.append(self.plant("token"))
        endpoint = {"IDENTITY_ENDPOINT": f"http://{self.host}/identity", "IDENTITY_HEADER": self.plant("letters")}
        return {**endpoint, "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}

    def keys_in_doctor(self) -> None:
        keys = self._keys(len(DOCTOR_STATUSES))
        teachers = [
            {"model": f"m{status}", "endpoint": f"http://{self.host}/doctor/{status}", "key_variable": variable}
            for status, variable in zip(DOCTOR_STATUSES, keys, strict=True)
        ]
        job = self.job("doctor", *teachers)
        for form in ("text", "json"):
            self.outputs.run("doctor", "doctor", job, "--format", form, **NO_PROXIES, **keys)

    def passwords_of_proxies(self) -> None:
        teachers = [{"model": f"m{n}", "endpoint": f"https://teacher-{n}.example"} for n in range(4)]
        job = self.job("proxy", *teachers)
        proxies = [f"http://me:{quote(self.plant('symbols', 'letters'), safe='')}@{self.host}" for _ in range(3)]
        self.outputs.run("doctor", "doctor", job, **{**NO_PROXIES, "https_proxy": proxies[0]})
        self._run("proxy", job, "--until", "teacher", https_proxy=proxies[1])
        self._download("proxy-download", "https://data.example/rows.csv", https_proxy=proxies[2])

    def addresses_of_downloads(self) -> None:
        password, signature = (quote(self.plant("symbols", "base64"), safe="") for _ in range(2))
        self._download("download", f"http://me:{password}@{self.host}/rows.csv?sv=2024&sig={signature}")

    def _download(self, name: str, address: str, **environment: str) -> None:
        pipeline = self._pipeline(name, {"rows": {"type": "uri_file", "path": address}})
        self.outputs.call(f"validate {name}", "validate", pipeline)
        self._run(name, pipeline, **environment)

    def _pipeline(self, name: str, inputs: Mapping[str, Any], **variables_of_node: str) -> Path:
        path = self.folder / name / "pipeline.yml"
        path.parent.mkdir()
        lines = "\n".join(f"  {key}: {json.dumps(value)}" for key, value in inputs.items())
        path.write_text(NODE.format(inputs=lines, variables=json.dumps(variables_of_node)))
        return path

    def inputs_and_variables(self) -> None:
        """Values that a run gets by `--set` and by variables, first one and then another."""
        folder, home = self.folder / "run-inputs", self.folder / "home-inputs"
        for _ in range(2):
            pipeline, option = self._inputs()
            self.outputs.run("run inputs", "run", pipeline, "-o", folder, "--explain", *option, **variables(home))
            self.outputs.run("run inputs", "run", pipeline, "-o", folder, *option, **variables(home))
        self.outputs.add_folder("files of inputs", folder)

    def _inputs(self) -> tuple[Path, list[str]]:
        shutil.rmtree(self.folder / "inputs", ignore_errors=True)
        pipeline = self._pipeline("inputs", {"rows": "5", "hf_token": "none"}, SERVICE_PASSWORD=self.plant("letters"))
        text = pipeline.read_text().replace("inputs: {rows:", 'inputs: {hf_token: "${{parent.inputs.hf_token}}", rows:')
        pipeline.write_text(text)
        return pipeline, ["--set", f"inputs.hf_token={self.plant('letters', 'with a start')}"]

    def pasted(self) -> None:
        """Secrets where a job has names and addresses."""
        url, blob = "https://h.example/v1", "https://a.blob.core.windows.net/c/rows.jsonl"
        parameters = ("code", "api-key", "subscription-key", "sig", "x")
        teachers = [
            *(
                {"model": "m", "endpoint": f"{url}?{name}={self.plant('letters', 'with a start')}"}
                for name in parameters
            ),
            {"model": "m", "endpoint": f"{url}#{self.plant('letters')}"},
            {"model": "m", "endpoint": f"https://me:{self.plant('letters')}@h.example/v1"},
            *(
                {"model": "m", "endpoint": url, "key_variable": self.plant(kind)}
                for kind in ("letters", "with a start")
            ),
            {"model": "m", "connection": self.plant("hexadecimal")},
        ]
        rows = [
            f"{blob}?sv=2024&sig={quote(self.plant('base64'), safe='')}",
            blob.replace("//", f"//{self.plant('letters')}@"),
        ]
        jobs = [self.job(f"pasted-{n}", teacher) for n, teacher in enumerate(teachers)]
        right = {"model": "m", "connection": "deepseek"}
        jobs += [self.job(f"rows-{n}", right, data={"training_data": path}) for n, path in enumerate(rows)]
        for number, job in enumerate(jobs):
            bundle = self.folder / f"bundle-{number}"
            self.outputs.call(f"validate {job.stem}", "validate", job)
            self.outputs.call(f"compile {job.stem}", "compile", job, "-o", bundle)
            self.outputs.add_folder(f"bundle of {job.stem}", bundle)

    def files_of_students(self) -> None:
        student = self.folder / "student"
        (student / ".git").mkdir()
        (student / ".git/config").write_text(f"url = https://me:{self.plant('letters')}@github.com/a/b")
        (student / ".env").write_text(f"HF_TOKEN={self.plant('with a start')}")
        job = self.job("student", {"model": "m", "connection": "deepseek"})
        self.outputs.call("compile student", "compile", job, "-o", self.folder / "bundle-student")
        (self.folder / "id_rsa").write_text(self.plant("base64"))
        (student / "notes.txt").symlink_to(self.folder / "id_rsa")
        self.outputs.call("compile link", "compile", job, "-o", self.folder / "bundle-link")
        for name in ("student", "link"):
            self.outputs.add_folder(f"bundle {name}", self.folder / f"bundle-{name}")

    def passwords_of_mlflow(self) -> None:
        """The registry of a student and the log of a training, in this process."""
        from azdistill.contracts.train import TrainConfig
        from azdistill.registry.runs import mlflow_client
        from azdistill.steps.runner import log_to_stdout
        from azdistill.training.tracking import RUN_ID, TRACKING_URI, LogToMLflow

        state = SimpleNamespace(is_world_process_zero=True, global_step=1)
        log_to_stdout()
        for kind in ("symbols", "base64"):
            uri = f"http://me:{quote(self.plant(kind), safe='')}@{self.host}"
            with self._logged("MLflow", MLFLOW_TRACKING_URI=uri):
                LogToMLflow(TrainConfig(), "", {RUN_ID: "run", TRACKING_URI: uri}).on_train_begin(None, state, None)
                for _ in SPELLINGS:
                    with self._failing("registry"), mlflow_client(uri) as client:
                        client.create_registered_model("student")

    def tokens_of_azure(self) -> None:
        """Azure Resource Manager and Azure's SDK repeat the token of the identity."""
        from azure.core.exceptions import HttpResponseError

        from azdistill.azure.errors import translate_errors
        from azdistill.azure_rest.identity import BearerToken
        from azdistill.azure_rest.workspace import GROUP, SUBSCRIPTION, WORKSPACE, Workspace

        token = self.plant("token")
        credential = SimpleNamespace(get_token=lambda scope: BearerToken(token, 2**33))
        names = dict.fromkeys((SUBSCRIPTION, GROUP, WORKSPACE), "a")
        workspace = Workspace(names, credential, f"http://{self.host}/api")
        for spelling in SPELLINGS:
            response = workspace.request("POST", "connections/a/listsecrets", "a")
            self.outputs.add("Azure", f"{response.error} {response!r} {workspace!r}")
            # Only the SDK knows its token: it is recognised by its form, if that is complete.
            if "base64" not in spelling and spelling not in (
                "end",
                "hexadecimal",
                "broken over a line",
                "quoted-printable",
            ):
                with self._failing("SDK"), translate_errors("job"):
                    raise HttpResponseError(f"not with Bearer {SPELLINGS[spelling](token)}")

    @contextlib.contextmanager
    def _failing(self, location: str) -> Iterator[None]:
        try:
            yield
        except AzdistillError as error:
            self.outputs.add(location, str(error))

    @contextlib.contextmanager
    def _logged(self, location: str, **environment: str) -> Iterator[None]:
        """Collect what is printed and logged, with more variables in the environment."""
        text, handlers = io.StringIO(), logging.getLogger("azdistill").handlers
        handlers.append(logging.StreamHandler(text))
        os.environ.update(environment)
        try:
            with contextlib.redirect_stderr(text), contextlib.redirect_stdout(text):
                yield
        finally:
            handlers.pop()
            for name in environment:
                del os.environ[name]
        self.outputs.add(location, text.getvalue())


def plant_all(folder: Path) -> tuple[list[str], Outputs]:
    """Plant every secret, and collect all output."""
    outputs, tokens = Outputs(), list[str]()
    with repeating_server(outputs, tokens) as host:
        planting = Planting(folder, host, outputs, tokens)
        for name in ("first", "second"):
            planting.keys_of_teachers(name)
        planting.keys_in_doctor()
        planting.passwords_of_proxies()
        planting.addresses_of_downloads()
        planting.inputs_and_variables()
        planting.pasted()
        planting.passwords_of_mlflow()
        planting.tokens_of_azure()
        planting.files_of_students()
    return planting.planted, outputs


def secrets(show: bool = False) -> dict[str, int]:
    """The figures. With `show`, also prints each hit."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"  # MLflow reads it when it is imported
    with tempfile.TemporaryDirectory() as name:
        planted, outputs = plant_all(Path(name))
    search, hits = SecretSearch(planted), set()
    for location, text in outputs.texts.items():
        for secret, fragment in search.hits(text).items():
            hits.add(secret)
            if show:
                print(f"{location}: {fragment!r} of secret {planted.index(secret)}")
    return {"secrets_planted": len(planted), "secret_hits": len(hits)}


def main() -> None:
    print(json.dumps(secrets(show=True)))


if __name__ == "__main__":
    main()
