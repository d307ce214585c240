"""A pipeline file cannot make the engine write or delete outside its run folder and the folders of its datastores."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError, PipelineError
from azdistill.engine.local.storage import datastore_path, remove
from tests.engine.local.conftest import Project

STORE = "azureml://datastores/w/paths"


def writes(path: str, kind: str = "uri_folder") -> str:
    """A pipeline of one node whose output has a path."""
    return f"""
jobs:
  write:
    command: echo $WORD
    outputs:
      out: {{type: {kind}, path: "{path}"}}
"""


@pytest.fixture
def victim(project: Project) -> Path:
    """A file that no run may touch, in a folder next to the run folder and the home."""
    return project.write("victim/precious.txt", "precious")


def refused(project: Project, victim: Path) -> PipelineError:
    """The error of a run, after which the victim is as it was and no run folder exists."""
    with pytest.raises(PipelineError) as error:
        project.run(variables={"WORD": "a"})
    with pytest.raises(PipelineError):
        project.explain()
    assert victim.read_text() == "precious"
    assert not project.folder.exists()
    return error.value


@pytest.mark.parametrize(
    "path",
    [
        "${{name}}/../../../../victim",
        "../../../victim",
        "${{name}}/..",
        "a/${{ name }}/../../../../../victim/${{output_name}}",
        "/victim",
        "a//victim",
    ],
)
@pytest.mark.parametrize("kind", ["uri_folder", "uri_file"])
def test_a_path_with_parent_folders_is_refused(project: Project, victim: Path, path: str, kind: str) -> None:
    project.write("pipeline.yml", writes(f"{STORE}/{path}", kind=kind))
    (problem,) = refused(project, victim).problems
    assert (problem.code, problem.line) == ("unsafe_path", 6)
    assert (problem.field, problem.value) == (("jobs", "write", "outputs", "out"), f"{STORE}/{path}")


@pytest.mark.parametrize("path", ["link", "link/${{name}}", "${{name}}"])
def test_a_link_out_of_the_datastore_is_refused(project: Project, victim: Path, path: str) -> None:
    store = project.home / "datastores/w"
    store.mkdir(parents=True)
    (store / "link").symlink_to(victim.parent)
    (store / "run-write").symlink_to(victim.parent)
    project.write("pipeline.yml", writes(f"{STORE}/{path}"))
    (problem,) = refused(project, victim).problems
    assert (problem.code, problem.field) == ("unsafe_path", ("jobs", "write", "outputs", "out"))
    assert str(victim.parent) in problem.message


def test_the_folder_of_a_datastore_may_be_a_link(project: Project, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (project.home / "datastores").mkdir(parents=True)
    (project.home / "datastores/w").symlink_to(disk)
    project.write("pipeline.yml", writes(f"{STORE}/${{{{name}}}}"))
    project.run().check()
    assert (disk / "run-write").is_dir()


def test_a_link_that_a_node_makes_is_refused_before_the_next_node_runs(project: Project, victim: Path) -> None:
    project.write("pipeline.yml", f"""
jobs:
  link:
    command: touch ${{{{outputs.out}}}}/file; ln -s {victim.parent} ${{{{outputs.out}}}}/out
    outputs: {{out: {{type: uri_folder, path: "{STORE}/shared"}}}}
  write:
    command: ls ${{{{inputs.x}}}}
    inputs: {{x: "${{{{parent.jobs.link.outputs.out}}}}"}}
    outputs: {{out: {{type: uri_folder, path: "{STORE}/shared/out"}}}}
""")  # fmt: skip
    with pytest.raises(InputError) as error:
        project.run()
    assert error.value.problems[0].code == "unsafe_path"
    assert sorted(victim.parent.iterdir()) == [victim]


@pytest.mark.parametrize("name", ["../../victim", "a/../../../victim", "/tmp/victim", ".", "..", ".code", "a b", ""])
@pytest.mark.parametrize("in_component", [False, True])
def test_an_output_with_the_name_of_a_path_is_refused(
    project: Project, victim: Path, name: str, in_component: bool
) -> None:
    definition = f"{{command: 'true', outputs: {{'{name}': {{type: uri_folder}}}}}}"
    project.write("component.yml", definition)
    project.write("pipeline.yml", f"jobs: {{write: {'{component: ./component.yml}' if in_component else definition}}}")
    refused(project, victim)


@pytest.mark.parametrize("name", ["../victim", "..", "/tmp/victim", "a/b"])
def test_a_node_with_the_name_of_a_path_is_refused(project: Project, victim: Path, name: str) -> None:
    project.write("pipeline.yml", f"jobs: {{'{name}': {{command: 'true'}}}}")
    refused(project, victim)


def test_an_input_with_parent_folders_in_its_address_is_refused(project: Project, victim: Path) -> None:
    path = f"{STORE}/../../../victim/precious.txt"
    project.write("pipeline.yml", f"""
jobs: {{read: {{command: "cat ${{{{inputs.x}}}}", inputs: {{x: {{type: uri_file, path: "{path}"}}}}}}}}
""")  # fmt: skip
    (problem,) = refused(project, victim).problems
    assert (problem.field, problem.value) == (("jobs", "read", "inputs", "x"), path)


def test_a_new_attempt_deletes_a_link_and_not_its_target(project: Project, victim: Path) -> None:
    """A command replaces its output by a link; then it changes, so that the next run clears what it left."""
    text = """
jobs:
  link: {command: "rm -r ${{outputs.out}}; ln -s @ ${{outputs.out}}; # 1", outputs: {out: {type: uri_folder}}}
""".replace("@", str(victim.parent))
    project.write("pipeline.yml", text)
    project.run().check()
    project.write("pipeline.yml", text.replace("# 1", "# 2"))
    project.run().check()
    (project.folder / "link").rename(project.root / "moved")
    (project.folder / "link").symlink_to(project.root / "moved")
    project.write("pipeline.yml", text.replace("# 1", "# 3"))
    project.run().check()
    assert (project.root / "moved/node.json").is_file()
    assert victim.read_text() == "precious"


def test_remove_deletes_files_folders_and_links(tmp_path: Path) -> None:
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling", "file", "nowhere"):
        remove(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    remove(tmp_path / "folder")
    assert list(tmp_path.iterdir()) == []


def test_the_path_of_a_datastore_address(tmp_path: Path) -> None:
    assert datastore_path(f"{STORE}/a/./b/", tmp_path) == tmp_path / "datastores/w/a/b"
    assert datastore_path("azureml:iris:1", tmp_path) is None
    for path in ("a/../b", "/a", "a//b", ".."):
        with pytest.raises(InputError):
            datastore_path(f"{STORE}/{path}", tmp_path)
