"""Reuse: which nodes run again, and the reasons that are given."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from azdistill.engine.local.engine import explain
from azdistill.engine.local.hashing import FileHashes
from azdistill.engine.local.records import (
    RECORD_FILE,
    NodeRecord,
    ReuseKey,
    has_damaged_record,
    read_record,
    write_record,
)
from tests.damaged import CONTENTS
from tests.engine.local.conftest import Project

REUSED = {"first": "reused", "second": "reused"}


def test_nothing_runs_again_when_nothing_changed(chain: Project) -> None:
    chain.run()
    before = {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*/*")}
    result = chain.run()
    assert {name: node.state for name, node in result.nodes.items()} == REUSED
    assert result.outputs["", "result"].read_text() == "a\na\n"
    assert {path: path.stat().st_mtime_ns for path in chain.folder.rglob("*/*")} == before


def test_modification_times_and_the_folder_do_not_count(chain: Project, tmp_path: Path) -> None:
    chain.run()
    os.utime(chain.root / "rows.txt", (0, 0))
    elsewhere = tmp_path.with_name(tmp_path.name + " moved")
    tmp_path.rename(elsewhere)
    try:
        assert set(Project(elsewhere).states().values()) == {"reused"}
    finally:
        elsewhere.rename(tmp_path)


Edit = Callable[[str], str]
COMPONENT = "parts/repeat/component.yml"

CHANGES: dict[str, tuple[str, Edit, dict[str, str]]] = {
    "code": ("parts/copy/code/copy.sh", lambda text: f"# new\n{text}", {"first": "code changed: copy.sh"}),
    "more code": ("parts/copy/code/more.py", lambda text: "x", {"first": "code changed: more.py added"}),
    "environment": ("conda.yml", lambda text: f"{text}#", {"first": "environment changed: conda.yml"}),
    "image": ("environment.yml", lambda text: f"{text}#", {"first": "environment changed: its definition"}),
    "command": (COMPONENT, lambda text: text.replace("cat", "cat -u"), {"second": "command changed"}),
    "a comment": (COMPONENT, lambda text: f"# nothing new\n{text}", {}),
    "input": (
        "rows.txt",
        lambda text: "b\n",
        {"first": "input rows changed: rows.txt", "second": "first runs before it"},
    ),
    "parameter": (
        "pipeline.yml",
        lambda text: text.replace("times: 2", "times: 3"),
        {"second": "parameter times: 2 -> 3"},
    ),
    "output setting": (
        "pipeline.yml",
        lambda text: text.replace("result: {type: uri_file}", "result: {type: uri_file, mode: upload}"),
        {"second": "output out: uri_file -> uri_file upload"},
    ),
    "variable": (
        "pipeline.yml",
        lambda text: f"{text}    environment_variables: {{A: b}}\n",
        {"second": "variable A added"},
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_reruns_only_dependent_nodes_and_is_named(chain: Project, what: str) -> None:
    file, edit, expected = CHANGES[what]
    chain.run()
    path = chain.root / file
    chain.write(file, edit(path.read_text() if path.exists() else ""))
    reasons = {name: node.reasons[0] for name, node in chain.explain().items() if not node.reused}
    assert reasons | {"second": expected.get("second")} == {"second": None} | expected
    ran = {name for name, state in chain.states().items() if state == "completed"}
    assert ran == set(expected)


def test_a_node_whose_input_has_the_same_content_is_reused(chain: Project) -> None:
    """The copy runs again, and writes what it wrote before."""
    chain.run()
    chain.write("parts/copy/code/copy.sh", '# a comment\ncp "$1" "$2"\n')
    assert chain.states() == {"first": "completed", "second": "reused"}


def test_explain_writes_nothing(chain: Project) -> None:
    explanations = chain.explain()
    assert explanations["first"].reasons == ("it has not run in this folder",)
    assert explanations["second"].reasons == ("first runs before it",)
    assert not chain.folder.exists()
    chain.run()
    before = sorted((path, path.stat().st_mtime_ns) for path in chain.root.rglob("*"))
    assert all(node.reused for node in chain.explain().values())
    assert sorted((path, path.stat().st_mtime_ns) for path in chain.root.rglob("*")) == before


def test_explain_accepts_inputs(chain: Project) -> None:
    chain.run(inputs={"times": "3"})
    assert chain.text("second") == "a\n" * 3
    assert chain.explain({"times": "3"})["second"].reused
    assert chain.explain()["second"].reasons == ("parameter times: 3 -> 2",)


def test_a_changed_file_in_an_input_folder_is_named(project: Project) -> None:
    project.write("pipeline.yml", """
inputs: {data: {type: uri_folder, path: ./data}}
jobs: {show: {command: "ls ${{inputs.data}}", inputs: {data: "${{parent.inputs.data}}"}}}
""")  # fmt: skip
    for number in range(6):
        project.write(f"data/part/{number}.txt", "x")
    project.run()
    (project.root / "data/part/0.txt").unlink()
    project.write("data/part/1.txt", "y")
    project.write("data/new.txt", "z")
    assert project.explain()["show"].reasons == (
        "input data changed: new.txt added, part/0.txt removed, part/1.txt",
    )  # fmt: skip
    for number in range(6):
        project.write(f"data/part/{number}.txt", "other")
    assert project.explain()["show"].reasons[0].endswith(" and 4 more")


def test_a_changed_output_is_written_again(chain: Project) -> None:
    chain.run()
    chain.write("run/second/out", "tampered")
    assert chain.explain()["second"].reasons == ("output out was changed",)
    assert chain.states() == {"first": "reused", "second": "completed"}
    (chain.folder / "first/out").unlink()
    assert chain.states() == {"first": "completed", "second": "reused"}
    assert chain.text("second") == "a\na\n"


def test_a_deterministic_false_node_always_runs(chain: Project) -> None:
    chain.write(
        "parts/repeat/component.yml",
        (chain.root / "parts/repeat/component.yml").read_text() + "is_deterministic: false\n",
    )
    chain.run()
    assert chain.explain()["second"].reasons == ("is_deterministic: false",)
    assert chain.states() == {"first": "reused", "second": "completed"}


def test_force_rerun_runs_everything(chain: Project) -> None:
    chain.run()
    chain.write("pipeline.yml", "settings: {force_rerun: true}\n" + chain.pipeline.read_text())
    assert chain.explain()["first"].reasons == ("settings.force_rerun: true",)
    assert chain.states() == {"first": "completed", "second": "completed"}


def test_a_node_that_was_removed_and_added_again_is_reused(chain: Project) -> None:
    chain.run()
    complete = chain.pipeline.read_text()
    chain.write(
        "pipeline.yml", complete[: complete.index("  second:")].replace("outputs:\n  result: {type: uri_file}\n", "")
    )
    assert chain.states() == {"first": "reused"}
    chain.write("pipeline.yml", complete)
    assert chain.states() == REUSED


def test_a_changed_shared_output_reruns_the_nodes_that_read_it(project: Project) -> None:
    text = """
jobs:
  write:
    command: echo ${{inputs.word}} > ${{outputs.out}}
    inputs: {word: one}
    outputs: {out: {type: uri_file, path: "azureml://datastores/blob/paths/word.txt"}}
  read:
    command: cat ${{inputs.word}} > ${{outputs.out}}
    inputs: {word: "${{parent.jobs.write.outputs.out}}"}
    outputs: {out: {type: uri_file}}
"""
    project.write("pipeline.yml", text)
    project.run().check()
    assert project.states() == {"write": "reused", "read": "reused"}
    project.write("pipeline.yml", text.replace("word: one", "word: two"))
    project.run().check()
    assert project.text("read") == "two\n"


def test_a_failed_attempt_keeps_a_shared_output(project: Project) -> None:
    text = """
jobs:
  write:
    command: echo ${{inputs.word}} > ${{outputs.out}}
    inputs: {word: one}
    outputs: {out: {type: uri_file, path: "azureml://datastores/blob/paths/word.txt"}}
"""
    project.write("pipeline.yml", text)
    project.run().check()
    project.write("pipeline.yml", text.replace("command: echo", "command: false && echo"))
    assert project.states() == {"write": "failed"}
    assert (project.home / "datastores/blob/word.txt").read_text() == "one\n"


def test_explain_notes_where_azure_would_decide_differently(project: Project) -> None:
    text = """
inputs: {rows: {type: uri_file, path: "azureml://datastores/blob/paths/rows.txt"}}
jobs:
  show: {compute: "azureml:small", command: "cat ${{inputs.rows}}", inputs: {rows: "${{parent.inputs.rows}}"}}
"""
    project.write("home/datastores/blob/rows.txt", "a\n")
    project.write("pipeline.yml", text)
    project.run()
    project.write("pipeline.yml", text.replace("small", "large"))
    assert project.explain()["show"].reused
    assert project.explain()["show"].notes == (
        "compute changed: Azure ML runs it again",
        "input rows is an address: Azure ML assumes that its content is unchanged",
    )


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"state": "completed"}', '{"state": "completed", "key": 3}', "\0"])
def test_an_unreadable_record_is_ignored(chain: Project, broken: str) -> None:
    chain.run()
    chain.write("run/second/node.json", broken)
    chain.write("run/.hashes.json", broken)
    assert chain.explain()["second"].reasons == ("its node.json is damaged",)
    assert chain.states() == {"first": "reused", "second": "completed"}


def test_a_damaged_record_or_cache_is_read_as_none(tmp_path: Path) -> None:
    record = NodeRecord("completed", ReuseKey({"code": "1"}, {"code": {"a.py": "2"}}), outputs={"out": "3"})
    write_record(tmp_path, record)
    assert read_record(tmp_path) == record
    key = {"values": {}, "files": {}}
    wrong_fields = [
        *({field: value} for field in asdict(record) for value in (5.5, "x", [], {"a": 1}, None)),
        *({"key": {**key, part: value}} for part in key for value in (5.5, "x", [3], {"a": 1}, {"a": {"b": 2}})),
        *({"seconds": value} for value in (-1, float("inf"), float("nan"))),
    ]
    accepted = [{"exit_code": None}, {"seconds": 5.5}]
    wrong = [json.dumps({**asdict(record), **fields}).encode() for fields in wrong_fields if fields not in accepted]
    for content in [*CONTENTS.values(), *wrong]:
        (tmp_path / RECORD_FILE).write_bytes(content)
        assert read_record(tmp_path) is None, content[:200]
        assert has_damaged_record(tmp_path)
    for content in CONTENTS.values():
        (tmp_path / "cache").write_bytes(content)
        assert FileHashes(tmp_path / "cache").file(tmp_path / "cache") == hashlib.sha256(content).hexdigest()


def test_ten_unchanged_nodes_are_reused_in_under_a_second(project: Project) -> None:
    project.write("part.yml", """
inputs: {before: {type: uri_file, optional: true}}
outputs: {out: {type: uri_file}}
command: echo x > ${{outputs.out}}
""")  # fmt: skip
    link = '  n@: {component: ./part.yml, inputs: {before: "${{parent.jobs.n#.outputs.out}}"}}\n'
    links = [link.replace("@", str(number)).replace("#", str(number - 1)) for number in range(1, 10)]
    project.write("pipeline.yml", "jobs:\n  n0: {component: ./part.yml}\n" + "".join(links))
    project.run()
    started = time.perf_counter()
    assert set(project.states().values()) == {"reused"}
    explain(project.pipeline, project.folder, home=project.home)
    assert time.perf_counter() - started < 1


SECRETS = """\
type: pipeline
inputs: {hf_token: none, times: "2"}
jobs:
  only:
    type: command
    command: echo ${{inputs.times}} > ${{outputs.out}}/done
    environment: azureml:any:1
    inputs: {hf_token: "${{parent.inputs.hf_token}}", times: "${{parent.inputs.times}}"}
    outputs: {out: {type: uri_folder}}
    environment_variables: {SERVICE_PASSWORD: VALUE, PLAIN: VALUE-1}
"""


def test_values_with_names_of_secrets_are_recorded_as_hashes(project: Project) -> None:
    project.write("pipeline.yml", SECRETS.replace("VALUE", "correct-horse"))
    project.run(inputs={"hf_token": "battery-staple"})
    record = (project.folder / "only/node.json").read_text()
    assert "battery" not in record
    assert record.count("correct-horse") == 1  # the plain variable
    assert project.explain({"hf_token": "battery-staple"})["only"].reused
    project.write("pipeline.yml", SECRETS.replace("VALUE", "another"))
    reasons = project.explain({"hf_token": "next-staple", "times": "3"})["only"].reasons
    assert [reason.partition(":")[0] for reason in reasons] == [
        "variable SERVICE_PASSWORD",
        "variable PLAIN",
        "parameter hf_token",
        "parameter times",
    ]
    assert not any("staple" in reason for reason in reasons)
    assert reasons[0].count("sha256 ") == reasons[2].count("sha256 ") == 2


def test_a_secret_in_an_older_record_is_not_shown(project: Project) -> None:
    project.write("pipeline.yml", SECRETS)
    project.run()
    record = project.folder / "only/node.json"
    values = json.loads(record.read_text())
    values["key"]["values"]["parameter hf_token"] = "battery-staple"
    record.write_text(json.dumps(values))
    (reason,) = project.explain()["only"].reasons
    assert reason.startswith("parameter hf_token: sha256 ")
    assert "battery" not in reason
