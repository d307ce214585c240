"""Remote data: local copies by name and address, datastore paths, downloads."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import AzdistillError, InputError, PipelineError
from azdistill.engine.local import downloads
from azdistill.engine.local.data import find_copy, parse_copy, read_copies
from azdistill.engine.local.downloads import download, download_path
from azdistill.engine.local.results import describe_failure
from tests.engine.local.conftest import Project

SHORT = "azureml://datastores/store/paths/raw/2024/a.csv"
LONG = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores/store/paths/raw/2024/a.csv"
OF_WORKSPACE = "azureml:/subscriptions/s/resourceGroups/g/providers/m/workspaces/w/data/iris/versions/1"


@pytest.mark.parametrize(
    ("address", "key", "expected"),
    [
        ("azureml:iris:1", "azureml:iris:1", "/c"),
        ("azureml:iris:1", "iris:1", "/c"),
        ("azureml:iris:1", "azureml:iris", "/c"),
        ("azureml:iris:1", "iris", "/c"),
        ("azureml:iris:1", "iris:2", None),
        ("azureml:iris:1", "iri", None),
        ("azureml:iris@latest", "iris@latest", "/c"),
        ("azureml:iris@latest", "iris", "/c"),
        ("azureml:iris", "iris", "/c"),
        ("azureml://registries/r/data/iris/versions/1", "iris:1", "/c"),
        ("azureml://registries/r/data/iris/labels/latest", "azureml:iris@latest", "/c"),
        (OF_WORKSPACE, "iris", "/c"),
        (SHORT, SHORT, "/c"),
        (SHORT, LONG, "/c"),
        (LONG, SHORT, "/c"),
        (SHORT, "azureml://datastores/store/paths/raw/", "/c/2024/a.csv"),
        (SHORT, "azureml://datastores/store/paths/raw", "/c/2024/a.csv"),
        (SHORT, "azureml://datastores/store", "/c/raw/2024/a.csv"),
        (SHORT, "azureml://datastores/store/paths/ra", None),
        (SHORT, "store", None),
        ("azureml://datastores/s/paths/data/iris", "iris", None),
        ("azureml://datastores/s/paths/raw/", "azureml://datastores/s/paths/raw", "/c"),
        ("https://h.example/d/a.csv?sig=x", "https://h.example/d/a.csv", "/c"),
        ("https://h.example/d/a.csv?sig=x", "https://h.example/d/", "/c/a.csv"),
        ("wasbs://c@a.blob.core.windows.net/d/a.csv", "wasbs://c@a.blob.core.windows.net/d", "/c/a.csv"),
    ],
)
def test_a_copy_is_found_by_name_or_address(address: str, key: str, expected: str | None) -> None:
    assert find_copy(address, {key: Path("/c")}) == (Path(expected) if expected else None)


def test_the_most_exact_name_wins() -> None:
    raw = "azureml://datastores/store/paths/raw"
    copies = {"iris": Path("/any"), "iris:1": Path("/one"), raw: Path("/raw"), f"{raw}/2024/": Path("/year")}
    assert find_copy("azureml:iris:1", copies) == Path("/one")
    assert find_copy("azureml:iris:2", copies) == Path("/any")
    assert find_copy(SHORT, copies) == Path("/year/a.csv")


def test_name_and_path_of_a_copy_may_contain_equals_signs(tmp_path: Path) -> None:
    (tmp_path / "year=2024").mkdir()
    address = "azureml://datastores/s/paths/year=2024"
    assert parse_copy(f"{address}={tmp_path}/year=2024") == (address, tmp_path / "year=2024")
    assert parse_copy(f"iris={tmp_path}/year=2024") == ("iris", tmp_path / "year=2024")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("iris", "--data 'iris': must be NAME=PATH"),
        ("=x", "--data '=x': must be NAME=PATH"),
        ("iris=", "--data 'iris=': no such file or folder: '.'"),
        ("iris=nowhere", "--data 'iris=nowhere': no such file or folder: 'nowhere'"),
    ],
)
def test_a_missing_copy_is_refused(text: str, expected: str) -> None:
    with pytest.raises(InputError) as problem:
        parse_copy(text)
    assert str(problem.value).startswith(expected)


def test_paths_of_a_mapping_file_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "copies.yml").write_text("azureml:iris:1: a.csv\nazureml:beans:2: ./b.csv\n")
    with pytest.raises(InputError) as error:
        read_copies(tmp_path / "copies.yml")
    (problem,) = error.value.problems
    assert (problem.line, problem.field, problem.value) == (2, ("azureml:beans:2",), "./b.csv")
    assert problem.message == "no such file or folder"
    (tmp_path / "b.csv").touch()
    assert read_copies(tmp_path / "copies.yml") == {
        "azureml:iris:1": tmp_path / "a.csv",
        "azureml:beans:2": tmp_path / "b.csv",
    }


READS = """
inputs:
  rows: {type: uri_file, path: "azureml:rows@latest"}
jobs:
  show:
    command: cat ${{inputs.rows}} ${{inputs.more}}/* > ${{outputs.out}}
    inputs:
      rows: ${{parent.inputs.rows}}
      more: {type: uri_folder, mode: download, path: "azureml://datastores/store/paths/raw/2024/"}
    outputs: {out: {type: uri_file}}
"""


@pytest.fixture
def reads(project: Project) -> Project:
    project.write("pipeline.yml", READS)
    project.write("rows.txt", "row\n")
    project.write("raw/2024/a.txt", "more\n")
    return project


def test_mapped_data_counts_for_reuse_by_content(reads: Project) -> None:
    data = {"rows": reads.root / "rows.txt", "azureml://datastores/store/paths/raw": reads.root / "raw"}
    assert reads.states(data=data) == {"show": "completed"}
    assert reads.text("show") == "row\nmore\n"
    reads.write("other/copy.txt", "row\n")
    elsewhere = data | {"azureml:rows@latest": reads.root / "other/copy.txt"}
    assert reads.explain(data=elsewhere)["show"].reused
    reads.write("rows.txt", "another\n")
    assert reads.explain(data=data)["show"].reasons == ("input rows changed: rows.txt",)


def test_every_address_without_a_copy_is_reported_with_the_option_to_add(reads: Project) -> None:
    with pytest.raises(PipelineError) as problem:
        reads.run()
    folder = reads.home / "datastores/store/raw/2024"
    assert str(problem.value).splitlines() == [
        (
            f"{reads.pipeline}:3: inputs.rows='azureml:rows@latest': this machine has no copy of it (local engine); "
            "add --data azureml:rows@latest=PATH"
        ),
        (
            f"{reads.pipeline}:9: jobs.show.inputs.more='azureml://datastores/store/paths/raw/2024/': no such file or "
            f"folder (local engine); put a copy at {folder}, or add --data azureml://datastores/store/paths/raw/2024/=PATH"
        ),
    ]
    assert not reads.folder.exists()


def test_a_copy_of_the_wrong_kind_is_refused_before_anything_runs(reads: Project) -> None:
    data = {"rows": reads.root / "raw", "azureml://datastores/store/paths/raw/2024": reads.root / "rows.txt"}
    with pytest.raises(PipelineError) as problem:
        reads.run(data=data)
    assert "is a folder, but the input is a uri_file" in str(problem.value)
    assert "is a file, but the input is a uri_folder" in str(problem.value)


@pytest.mark.parametrize("mode", ["ro_mount", "download", "direct", "eval_mount", "eval_download"])
def test_every_mode_of_an_input_gives_a_path(project: Project, mode: str) -> None:
    project.write("x.txt", "x\n")
    project.write("pipeline.yml", f"""
jobs:
  show:
    command: cat ${{{{inputs.x}}}} > ${{{{outputs.out}}}}
    inputs: {{x: {{type: uri_file, mode: {mode}, path: ./x.txt}}}}
    outputs: {{out: {{type: uri_file}}}}
""")  # fmt: skip
    project.run().check()
    assert project.text("show") == "x\n"


TEMPLATE = "azureml://datastores/${{default_datastore}}/paths/azureml/${{name}}/${{output_name}}/"
WRITES = f"""
jobs:
  one:
    command: ls ${{{{outputs.out}}}}; echo $WORD > ${{{{outputs.out}}}}/$WORD
    outputs: {{out: {{type: uri_folder, path: "{TEMPLATE}"}}}}
  two:
    command: cp ${{{{inputs.x}}}}/* ${{{{outputs.out}}}}
    inputs: {{x: "${{{{parent.jobs.one.outputs.out}}}}"}}
    outputs: {{out: {{type: uri_folder, path: "{TEMPLATE}"}}}}
"""


@pytest.mark.parametrize(
    ("settings", "store"),
    [
        ("", "workspaceblobstore"),
        ("settings: {default_datastore: 'azureml:mine'}", "mine"),
        ("settings: {default_datastore: mine}", "mine"),
    ],
)
def test_expressions_in_the_address_of_an_output_are_replaced(project: Project, settings: str, store: str) -> None:
    """`${{name}}` is the name of the node's job, as on Azure ML: two nodes do not write to the same folder."""
    project.write("pipeline.yml", settings + WRITES)
    result = project.run(variables={"WORD": "a"})
    result.check()
    folder = project.home / "datastores" / store / "azureml"
    assert result.outputs["one", "out"] == folder / "run-one/out"
    assert result.outputs["two", "out"] == folder / "run-two/out"
    assert (folder / "run-two/out/a").read_text() == "a\n"


def test_an_output_with_the_run_name_in_its_address_is_compared_and_cleared(project: Project) -> None:
    project.write("pipeline.yml", WRITES)
    out = project.run(variables={"WORD": "a"}).outputs["one", "out"]
    assert project.states() == {"one": "reused", "two": "reused"}
    (out / "a").write_text("tampered")
    assert project.explain()["one"].reasons == ("output out was changed",)
    project.run(variables={"WORD": "b"}).check()
    assert [path.name for path in out.iterdir()] == ["b"]


def test_two_outputs_whose_addresses_differ_by_output_name_do_not_conflict(project: Project) -> None:
    folder = "azureml://datastores/blob/paths/x/${{output_name}}"
    project.write("pipeline.yml", f"""
jobs:
  one: {{command: "echo 1 > ${{{{outputs.a}}}}", outputs: {{a: {{type: uri_file, path: "{folder}"}}}}}}
  two: {{command: "echo 2 > ${{{{outputs.b}}}}", outputs: {{b: {{type: uri_file, path: "{folder}"}}}}}}
""")  # fmt: skip
    project.run().check()
    assert (project.home / "datastores/blob/x/b").read_text() == "2\n"


class Server:
    """FileList on loopback. `answers` by path: a body, or what to do with the request."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]] = {}
        self.asked: list[str] = []
        self.url = ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.asked.append(request.path)
        answer = self.answers.get(request.path.partition("?")[0])
        if callable(answer):
            answer(request)
        elif answer is None:
            request.send_error(404)
        else:
            request.send_response(200)
            request.send_header("Content-Length", str(len(answer)))
            request.end_headers()
            request.wfile.write(answer)


@contextmanager
def serving(server: Server) -> Iterator[None]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.handle(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(server := Server()):
        yield server


@pytest.fixture
def online(project: Project, server: Server) -> Project:
    server.answers["/data/rows.csv"] = b"a,b\n"
    project.write("pipeline.yml", f"""
inputs: {{rows: {{type: uri_file, path: "{server.url}/data/rows.csv?sig=secret"}}}}
jobs:
  show:
    command: cp ${{{{inputs.rows}}}} ${{{{outputs.out}}}}
    inputs: {{rows: "${{{{parent.inputs.rows}}}}"}}
    outputs: {{out: {{type: uri_file}}}}
""")  # fmt: skip
    return project


def test_an_http_input_is_downloaded_once_and_keeps_its_name(
    online: Project, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "azdistill")
    assert online.explain()["show"].reasons == ("inputs.rows must be downloaded first",)
    assert server.asked == []
    online.run().check()
    assert online.text("show") == "a,b\n"
    assert caplog.messages == [f"downloading {server.url}/data/rows.csv: 0.0 MB"]
    assert [path.name for path in (online.home / "downloads").glob("*/[!.]*")] == ["rows.csv"]
    assert online.states() == {"show": "reused"}
    assert online.states(folder=online.root / "other") == {"show": "completed"}
    assert server.asked == ["/data/rows.csv?sig=secret"]


def test_an_http_input_with_a_copy_is_not_downloaded(online: Project, server: Server) -> None:
    online.write("copy.csv", "copy\n")
    online.run(data={f"{server.url}/data/rows.csv": online.root / "copy.csv"}).check()
    assert online.text("show") == "copy\n"
    assert server.asked == []


def test_an_http_address_is_refused_for_a_folder(online: Project, server: Server) -> None:
    online.write("pipeline.yml", online.pipeline.read_text().replace("uri_file, path", "uri_folder, path"))
    with pytest.raises(PipelineError) as error:
        online.run()
    (problem,) = error.value.problems
    assert (problem.line, problem.field) == (2, ("inputs", "rows"))
    assert problem.message == "an http address is one file, but the input is a uri_folder"
    assert problem.fix == f"add --data {server.url}/data/rows.csv=PATH"
    assert "secret" not in str(problem)
    assert server.asked == []


def cut_short(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "100")
    request.end_headers()
    request.wfile.write(b"half")


def silent(request: BaseHTTPRequestHandler) -> None:
    threading.Event().wait(1.0)


def test_a_partial_download_is_never_used(online: Project, server: Server) -> None:
    server.answers["/data/rows.csv"] = cut_short
    with pytest.raises(AzdistillError) as problem:
        online.run()
    address = f"{server.url}/data/rows.csv"
    assert str(problem.value) == (
        f"{address}: the download failed: the connection ended after 4 of 100 bytes; try again, or add --data "
        f"{address}=PATH"
    )
    assert list((online.home / "downloads").glob("*/[!.]*")) == []
    server.answers["/data/rows.csv"] = b"complete\n"
    online.run().check()
    assert online.text("show") == "complete\n"


def test_the_status_of_a_failed_download_is_reported(online: Project, server: Server) -> None:
    del server.answers["/data/rows.csv"]
    with pytest.raises(
        AzdistillError, match=r"the download failed: the server answered 404 .*add --data http"
    ) as problem:
        online.run()
    assert "secret" not in str(problem.value)
    assert not (online.folder / "show").exists()


def test_without_a_network_the_error_suggests_a_copy(online: Project, server: Server) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    online.write("pipeline.yml", online.pipeline.read_text().replace(server.url, closed))
    with pytest.raises(AzdistillError, match=r"the download failed: .*[Cc]onnection refused.*add --data"):
        online.run()


def test_a_download_from_a_silent_server_times_out(tmp_path: Path, server: Server) -> None:
    server.answers["/x"] = silent
    path = download_path(f"{server.url}/x", tmp_path)
    assert path is not None
    with pytest.raises(AzdistillError, match=r"the download failed: .*timed out"):
        download(f"{server.url}/x", path, timeout=0.05)
    assert not path.exists()


@pytest.mark.parametrize(("limit", "value"), [("MAX_BYTES", 3), ("MAX_SECONDS", -1.0)])
def test_a_download_has_a_total_size_and_time(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    monkeypatch.setattr(downloads, limit, value)
    server.answers["/x"] = b"a,b\n"
    path = download_path(f"{server.url}/x", tmp_path)
    assert path
    with pytest.raises(AzdistillError, match=r"the download failed: .*(GB|hours)"):
        download(f"{server.url}/x", path)
    assert not path.exists()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("https://h.example/d/a%20b.csv?x=1", "a_b.csv"),
        ("https://h.example/d/", "data"),
        ("https://h.example/d/..%2f..%2fetc", "etc"),
        ("https://h.example/.hidden", "hidden"),
        ("https://[broken", "_broken"),
    ],
)
def test_a_download_has_a_valid_file_name(tmp_path: Path, address: str, name: str) -> None:
    path = download_path(address, tmp_path)
    assert path is not None
    assert path.name == name
    assert path.parent.parent == tmp_path / "downloads"


def test_an_invalid_address_gives_one_line(online: Project, server: Server) -> None:
    online.write("pipeline.yml", online.pipeline.read_text().replace(server.url, "http://[broken"))
    with pytest.raises(AzdistillError, match="the download failed: "):
        online.run()


def test_a_download_that_a_node_changed_is_downloaded_again(online: Project, server: Server) -> None:
    text = online.pipeline.read_text()
    online.write("pipeline.yml", text.replace("command: cp", "command: echo x >> ${{inputs.rows}}; cp"))
    result = online.run()
    assert "input 'rows' changed: rows.csv" in describe_failure(result.nodes["show"])
    online.write("pipeline.yml", text)
    online.run().check()
    assert online.text("show") == "a,b\n"
    assert len(server.asked) == 2
