"""Runs: data between nodes, commands as Azure ML renders them, the files of a run folder."""

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError, PipelineError
from azdistill.engine.local.engine import explain, run_pipeline
from azdistill.engine.local.options import RunOptions
from azdistill.engine.local.results import Event
from azdistill.engine.local.snapshots import large_snapshot
from tests.engine.local.conftest import Project


def single_job(command: str, more: str = "") -> str:
    """A pipeline with one job, `show`, that writes one file."""
    return f"""
jobs:
  show:
    command: {command}
    outputs: {{out: {{type: uri_file}}}}
    {more}
"""


def test_data_flows_from_node_to_node_and_out_of_the_pipeline(chain: Project) -> None:
    result = chain.run()
    assert {name: node.state for name, node in result.nodes.items()} == {"first": "completed", "second": "completed"}
    assert result.outputs["", "result"].read_text() == "a\na\n"
    assert result.outputs["first", "out"].read_text() == "a\n"
    result.check()


def test_the_files_of_a_run_folder(chain: Project) -> None:
    chain.run()
    paths = [path.relative_to(chain.folder).as_posix() for path in chain.folder.rglob("*")]
    assert {path for path in paths if "/." not in f"/{path}"} == {
        "first", "first/log.txt", "first/node.json", "first/out",
        "second", "second/log.txt", "second/node.json", "second/out",
    }  # fmt: skip
    assert json.loads((chain.folder / "first" / "node.json").read_text())["state"] == "completed"


@pytest.mark.parametrize("compiled", [True, False])
def test_modules_are_compiled_once_and_never_next_to_the_code(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiled: bool
) -> None:
    """Packages are compiled where pip installed them. Without bytecode, as uv installs them, the home folder has it."""
    monkeypatch.setattr(sys, "pycache_prefix", None if compiled else str(tmp_path / "empty"))
    project.write("code/words.py", "TEXT = 'hello'")
    command = f"PYTHONPATH=. {sys.executable} -c 'import words; print(words.TEXT)' > ${{{{outputs.out}}}}"
    project.write("pipeline.yml", single_job(f'"{command}"', "code: ./code"))
    project.run().check()
    assert project.text("show") == "hello\n"
    assert not [*project.root.rglob("__pycache__")]
    names = {path.name for path in (project.home / "bytecode").rglob("words.*.pyc")}
    assert names == (set() if compiled else {f"words.{sys.implementation.cache_tag}.pyc"})


def test_independent_nodes_run_concurrently(project: Project) -> None:
    """Each node waits for the other, so they finish only if they run concurrently."""
    meet = "touch ../../{own}; while [ ! -e ../../{other} ]; do sleep 0.01; done"
    project.write("pipeline.yml", f"""
jobs:
  left: {{command: "{meet.format(own="l", other="r")}"}}
  right: {{command: "{meet.format(own="r", other="l")}"}}
""")  # fmt: skip
    assert project.states(jobs=2) == {"left": "completed", "right": "completed"}


def test_jobs_limits_how_many_nodes_run_concurrently(project: Project) -> None:
    project.write("pipeline.yml", "jobs:\n" + "".join(f"  n{number}: {{command: sleep 0.05}}\n" for number in range(4)))
    highest = 0

    def watch(event: Event) -> None:
        nonlocal highest
        highest = max(highest, sum(node.state == "running" for node in event.nodes.values()))

    project.run(jobs=1, watch=watch)
    assert highest == 1


def test_events_do_not_change_afterwards(chain: Project) -> None:
    seen: list[Event] = []
    chain.run(watch=seen.append)
    assert seen[0].nodes["second"].state == "waiting"
    assert seen[-1].nodes["second"].state == "completed"


def test_optional_text_without_a_value_is_removed(project: Project) -> None:
    project.write("part.yml", """
inputs: {name: {type: string, optional: true}, count: {type: integer, default: 3}}
outputs: {out: {type: uri_file}}
command: echo begin $[[--name ${{inputs.name}}]] --count ${{inputs.count}} > ${{outputs.out}}
""")  # fmt: skip
    project.write("pipeline.yml", """
inputs: {name: {type: string, optional: true}}
jobs:
  none: {component: ./part.yml}
  given: {component: ./part.yml, inputs: {name: x, count: 5}}
  bound: {component: ./part.yml, inputs: {name: "${{parent.inputs.name}}"}}
""")  # fmt: skip
    project.run()
    assert [project.text(node) for node in ("none", "given", "bound")] == [
        "begin --count 3\n", "begin --name x --count 5\n", "begin --count 3\n",
    ]  # fmt: skip
    project.run(inputs={"name": "y"})
    assert project.text("bound") == "begin --name y --count 3\n"


def test_literals_are_formatted_as_on_azure(project: Project) -> None:
    project.write("pipeline.yml", """
inputs: {rate: 2.0e-05, flag: true, day: 2026-11-24}
jobs:
  say:
    command: echo ${{inputs.rate}} ${{inputs.flag}} ${{inputs.day}} ${{inputs.own}} > ${{outputs.out}}
    inputs:
      rate: ${{parent.inputs.rate}}
      flag: ${{parent.inputs.flag}}
      day: ${{parent.inputs.day}}
      own: two words
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    project.run()
    assert project.text("say") == "2e-05 True 2026-11-24 two words\n"


def test_paths_with_spaces_quotes_and_unicode_stay_one_word(tmp_path: Path) -> None:
    project = Project(tmp_path / 'l\'été à $HOME "x"')
    project.write("pipeline.yml", """
inputs: {rows: {type: uri_file, path: "./mes données.txt"}}
jobs:
  bare:
    command: cat ${{inputs.rows}} > ${{outputs.out}}/a
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {out: {type: uri_folder}}
  quoted:
    command: cat "${{inputs.rows}}" '${{inputs.rows}}' > "${{outputs.out}}/a"
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {out: {type: uri_folder}}
  nested:
    command: |
      # don't split the "path
      echo "$(cat ${{inputs.rows}}) `cat ${{inputs.rows}}` $((1 + 1)) '${{inputs.rows}}'" > ${{outputs.out}}/a
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {out: {type: uri_folder}}
""")  # fmt: skip
    project.write("mes données.txt", "é\n")
    project.run().check()
    assert project.text("bare", "out/a") == "é\n"
    assert project.text("quoted", "out/a") == "é\né\n"
    assert project.text("nested", "out/a") == f"é é 2 '{project.root}/mes données.txt'\n"


def test_paths_of_a_component_are_relative_to_its_file(project: Project) -> None:
    project.write("pipes/deep/pipeline.yml", """
jobs: {show: {component: ../../a/b/c/component.yml}}
""")  # fmt: skip
    project.write("a/b/c/component.yml", """
code: ../code
additional_includes: [../../../lib]
outputs: {out: {type: uri_file}}
command: cat main.txt lib/helper.txt > ${{outputs.out}}
""")  # fmt: skip
    project.write("a/b/code/main.txt", "main\n")
    project.write("lib/helper.txt", "helper\n")
    run_pipeline(project.root / "pipes/deep/pipeline.yml", project.folder, home=project.home).check()
    assert project.text("show") == "main\nhelper\n"


def test_ignored_files_are_not_in_the_snapshot(project: Project) -> None:
    project.write("pipeline.yml", single_job("find . -type f > ${{outputs.out}}", "code: ./code"))
    project.write("code/kept.py", "")
    project.write("code/data/big.bin", "")
    project.write("code/__pycache__/kept.pyc", "")
    project.write("code/.amlignore", "data/\n")
    project.write("code/.gitignore", "*.py\n")
    project.run().check()
    assert sorted(project.text("show").split()) == ["./.amlignore", "./.gitignore", "./kept.py"]


def test_a_zip_of_an_included_folder_is_reused_until_the_folder_changes(project: Project) -> None:
    list_zip = "python -m zipfile -l lib.zip | tail -n +3 | cut -d' ' -f1 > ${{outputs.out}}"
    component = (
        f"type: command\ncommand: {list_zip}\nadditional_includes: [lib.zip]\noutputs: {{out: {{type: uri_file}}}}\n"
    )
    project.write("c.yml", component)
    project.write("pipeline.yml", "jobs: {show: {component: ./c.yml}}")
    project.write("lib/a.py", "1")
    assert project.states() == {"show": "completed"}
    assert project.text("show") == "lib/a.py\n"
    assert project.states() == {"show": "reused"}
    project.write("lib/b.py", "2")
    assert project.states() == {"show": "completed"}
    assert project.text("show") == "lib/a.py\nlib/b.py\n"


def test_run_folders_and_the_home_folder_are_not_in_the_snapshot(project: Project) -> None:
    project.write("pipeline.yml", single_job("find . -name '*.y*ml' > ${{outputs.out}}", "code: ."))
    assert project.states() == {"show": "completed"}
    assert project.text("show") == "./pipeline.yml\n"
    assert project.states() == {"show": "reused"}
    assert project.states(folder=project.root / "runs/other") == {"show": "completed"}
    assert (project.root / "runs/other/show/out").read_text() == "./pipeline.yml\n"


@pytest.mark.parametrize(("files", "size"), [(2_001, 0), (1, 100_000_001)])
def test_a_large_snapshot_is_a_warning_with_its_largest_file(tmp_path: Path, files: int, size: int) -> None:
    paths = {f"{number}.bin": tmp_path / f"{number}.bin" for number in range(files)}
    for path in paths.values():
        path.touch()
    assert large_snapshot(dict(list(paths.items())[:2_000])) == ""
    os.truncate(tmp_path / "0.bin", max(size, 1))
    assert f"{files:,} files, {size / 1e6:.0f} MB; the largest is '0.bin'" in large_snapshot(paths)


def test_linked_code_is_in_the_snapshot_and_a_link_to_itself_is_skipped(project: Project) -> None:
    project.write("pipeline.yml", single_job("cat lib/a.txt > ${{outputs.out}}", "code: ./code"))
    project.write("elsewhere/a.txt", "a\n")
    project.write("code/main.py", "")
    (project.root / "code/lib").symlink_to(project.root / "elsewhere")
    (project.root / "code/latest").symlink_to(project.root / "code")
    project.run().check()
    assert project.text("show") == "a\n"


def test_a_command_without_code_runs_in_a_folder_with_those_of_artifacts_only(project: Project) -> None:
    project.write("pipeline.yml", single_job("ls -A > ${{outputs.out}}"))
    project.run().check()
    assert project.text("show") == "logs\noutputs\n"


def test_variables_of_the_job_reach_the_command_and_those_of_a_component_do_not(project: Project) -> None:
    """Azure ML drops the latter: a local run must not pass where a run in Azure would fail."""
    project.write("part.yml", """
environment_variables: {LOST: "1"}
outputs: {out: {type: uri_file}}
command: echo "$KEPT${LOST:-no}$ADDED" > ${{outputs.out}}
""")  # fmt: skip
    project.write("pipeline.yml", "jobs: {show: {component: ./part.yml, environment_variables: {KEPT: 'yes '}}}")
    project.run(variables={"ADDED": " more"}).check()
    assert project.text("show") == "yes no more\n"
    assert project.states(variables={"ADDED": "other"}) == {"show": "reused"}


def test_commands_run_with_this_interpreter(project: Project) -> None:
    project.write("pipeline.yml", single_job("python -c 'import sys; print(sys.version)' > ${{outputs.out}}"))
    project.run().check()
    assert project.text("show").strip() == sys.version


def test_a_datastore_in_the_home_is_shared_between_runs(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  write:
    command: echo "$WHO" >> ${{outputs.store}}/log; cat ${{outputs.store}}/log
    outputs: {store: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/blob/paths/answers"}}
""")  # fmt: skip
    project.run(folder=project.root / "one", variables={"WHO": "one"}).check()
    result = project.run(folder=project.root / "two", variables={"WHO": "two"})
    assert result.outputs["write", "store"] == project.home / "datastores/blob/answers"
    assert (project.home / "datastores/blob/answers/log").read_text() == "one\ntwo\n"


def test_an_input_on_a_datastore_is_read_from_the_home(project: Project) -> None:
    project.write("pipeline.yml", """
inputs: {rows: {type: uri_file, path: "azureml://datastores/blob/paths/rows.txt"}}
jobs:
  show: {command: "cat ${{inputs.rows}}", inputs: {rows: "${{parent.inputs.rows}}"}}
""")  # fmt: skip
    with pytest.raises(PipelineError, match=r"inputs\.rows='azureml://.*put a copy at .*home/datastores/blob/rows"):
        project.run()
    project.write("home/datastores/blob/rows.txt", "a\n")
    assert project.states() == {"show": "completed"}


def test_all_missing_inputs_are_reported_before_anything_runs(project: Project) -> None:
    project.write("pipeline.yml", """
inputs: {rows: {type: uri_file, path: "azureml:rows:1"}}
jobs:
  before: {command: "true"}
  show: {command: "cat ${{inputs.rows}}", inputs: {rows: "${{parent.inputs.rows}}"}}
  own: {command: "cat ${{inputs.rows}}", inputs: {rows: {type: uri_file, path: "wasbs://a@b.example.org/rows"}}}
""")  # fmt: skip
    with pytest.raises(PipelineError) as error:
        project.run()
    assert [(problem.line, problem.field, problem.fix) for problem in error.value.problems] == [
        (2, ("inputs", "rows"), "add --data azureml:rows:1=PATH"),
        (6, ("jobs", "own", "inputs", "rows"), "add --data wasbs://a@b.example.org/rows=PATH"),
    ]
    assert {problem.message for problem in error.value.problems} == {"this machine has no copy of it"}
    assert not project.folder.exists()


def test_a_missing_compute_does_not_stop_a_local_run(project: Project) -> None:
    project.write("pipeline.yml", "jobs: {go: {command: 'true'}}")
    assert project.states() == {"go": "completed"}


def test_unsupported_jobs_are_refused_by_name(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  tune: {type: spark, entry: {file: a.py}}
  known: {component: "azureml:train:1"}
""")  # fmt: skip
    with pytest.raises(PipelineError) as error:
        project.run()
    assert {(problem.line, problem.field, problem.value) for problem in error.value.problems} == {
        (3, ("jobs", "tune", "type"), "spark"),
        (4, ("jobs", "known", "component"), "azureml:train:1"),
    }


def test_a_run_folder_that_is_a_file_is_refused(chain: Project) -> None:
    chain.write("run", "")
    with pytest.raises(InputError, match="is a file"):
        chain.run()


def test_a_run_outside_the_main_thread(chain: Project) -> None:
    states: dict[str, str] = {}
    thread = threading.Thread(target=lambda: states.update(chain.states()))
    thread.start()
    thread.join(30)
    assert states == {"first": "completed", "second": "completed"}


def test_relative_paths_are_relative_to_the_current_folder(chain: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(chain.root)
    run_pipeline(Path("pipeline.yml"), Path("run"), home=Path("home")).check()
    assert chain.text("second") == "a\na\n"


def test_options_are_accepted_as_an_object_and_as_keyword_arguments(chain: Project) -> None:
    options = RunOptions(home=chain.home, inputs={"times": "3"})
    run_pipeline(chain.pipeline, chain.folder, options).check()
    assert chain.text("second") == "a\n" * 3
    assert {node.reused for node in explain(chain.pipeline, chain.folder, options)} == {True}
    run_pipeline(chain.pipeline, chain.folder, options, inputs={"times": "1"}).check()
    assert chain.text("second") == "a\n"
    with pytest.raises(TypeError, match="unknown"):
        run_pipeline(chain.pipeline, chain.folder, options, unknown=1)


def test_every_public_name_can_be_imported() -> None:
    from azdistill.engine import local

    assert dir(local) == ["Faults", "NodeSelection", "RunOptions", "RunResult", "explain", "run_pipeline"]
    assert all(getattr(local, name).__name__ == name for name in dir(local))
    with pytest.raises(AttributeError, match="public names: Faults, "):
        _ = local.nothing
