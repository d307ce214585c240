"""Failed nodes: their messages, which nodes still run, and what the next run does."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.errors import NodeFailed
from azdistill.engine.local.results import NodeRun, describe_failure
from tests.engine.local.conftest import ENGINE, REPEAT, Project, alive, until
from tests.engine.local.test_running import single_job

GO_ON = "settings: {continue_on_step_failure: true}"


def test_independent_nodes_finish_after_a_failure_if_the_pipeline_continues(project: Project) -> None:
    project.write("pipeline.yml", GO_ON + """
jobs:
  bad: {command: "echo about to fail; echo why >&2; exit 7", outputs: {out: {type: uri_file}}}
  after:
    command: cat ${{inputs.x}}
    inputs: {x: "${{parent.jobs.bad.outputs.out}}"}
    outputs: {out: {type: uri_file}}
  later: {command: "cat ${{inputs.x}}", inputs: {x: "${{parent.jobs.after.outputs.out}}"}}
  other: {command: "sleep 0.1"}
""")  # fmt: skip
    result = project.run()
    assert {name: node.state for name, node in result.nodes.items()} == {
        "bad": "failed", "after": "skipped", "later": "skipped", "other": "completed",
    }  # fmt: skip
    with pytest.raises(NodeFailed) as problem:
        result.check()
    log = project.folder / "bad" / "log.txt"
    assert str(problem.value) == f"node bad exited with 7\n  | about to fail\n  | why\n  log: {log}"


def test_a_failed_node_ends_the_run_and_interrupted_nodes_continue_in_the_next(project: Project) -> None:
    fails = "for i in $(seq 100); do [ -e ../../other/begun/it ] && break; sleep .1; done; exit 7"
    project.write("pipeline.yml", f"""
jobs:
  bad: {{command: "{fails}"}}
  other:
    command: "[ -e ${{{{outputs.begun}}}}/it ] && exit 0; touch ${{{{outputs.begun}}}}/it; sleep 60"
    outputs: {{begun: {{type: uri_folder}}}}
  after: {{command: "ls ${{{{inputs.x}}}}", inputs: {{x: "${{{{parent.jobs.other.outputs.begun}}}}"}}}}
""")  # fmt: skip
    assert project.states(jobs=2) == {"bad": "failed", "other": "interrupted", "after": "skipped"}
    project.write("pipeline.yml", project.pipeline.read_text().replace("exit 7", "exit 0"))
    assert project.states(jobs=2) == {"bad": "completed", "other": "completed", "after": "completed"}


def test_the_log_of_a_second_failure_has_no_line_of_the_first_one(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  bad:
    command: 'echo run $(ls ${{outputs.out}} | wc -l); echo rank $(ls ${{outputs.out}} | wc -l) >> ../log.1.txt;
      mktemp -p ${{outputs.out}} > ../made.txt; exit 7'
    outputs: {out: {type: uri_folder}}
""")  # fmt: skip
    for attempt in range(2):
        project.run()
        assert (project.folder / "bad" / "log.txt").read_text() == f"run {attempt}\n"
        assert (project.folder / "bad" / "log.1.txt").read_text() == f"rank {attempt}\n"


def test_the_next_run_retries_a_failed_node_and_its_dependents(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  bad: {command: "cat @FLAG@ > ${{outputs.out}}", outputs: {out: {type: uri_file}}}
  after: {command: "cat ${{inputs.x}}", inputs: {x: "${{parent.jobs.bad.outputs.out}}"}}
""".replace("@FLAG@", str(project.root / "flag")))  # fmt: skip
    assert project.states() == {"bad": "failed", "after": "skipped"}
    assert project.explain()["bad"].reasons == ("its last attempt failed",)
    project.write("flag", "x")
    assert project.states() == {"bad": "completed", "after": "completed"}


@pytest.mark.parametrize(
    ("kind", "command", "read"),
    [("uri_file", "true", False), ("uri_folder", "true", True), ("uri_folder", "rmdir ${{outputs.out}}", False)],
)
def test_a_node_that_exits_with_0_without_its_output_has_failed(
    project: Project, kind: str, command: str, read: bool
) -> None:
    project.write("pipeline.yml", f"""
jobs:
  make: {{command: "{command}", outputs: {{out: {{type: {kind}}}}}}}
  {'read: {command: "ls ${{inputs.x}}", inputs: {x: "${{parent.jobs.make.outputs.out}}"}}' if read else ""}
""")  # fmt: skip
    result = project.run()
    assert result.nodes["make"].state == "failed"
    assert f"exited with 0 but wrote nothing to output 'out' at {project.folder}/make/out" in describe_failure(
        result.nodes["make"]
    )


@pytest.mark.parametrize("output", ["{type: uri_folder}", "'${{parent.outputs.spare}}'"])
def test_an_empty_folder_that_no_node_reads_is_accepted(project: Project, output: str) -> None:
    """Azure ML completes such a node too, also where the output is one of the pipeline."""
    job = f"{{command: 'true', outputs: {{spare: {output}}}}}"
    project.write("pipeline.yml", f"outputs: {{spare: {{type: uri_folder}}}}\njobs: {{make: {job}}}")
    assert project.states() == {"make": "completed"}
    assert project.states() == {"make": "reused"}


def test_a_partial_file_of_a_failed_attempt_is_deleted(project: Project) -> None:
    tried = project.root / "tried"
    project.write(
        "pipeline.yml",
        single_job(f"if [ ! -e {tried} ]; then echo half > ${{{{outputs.out}}}}; touch {tried}; exit 1; fi"),
    )
    assert project.states() == {"show": "failed"}
    result = project.run()
    assert result.nodes["show"].state == "failed"
    assert "wrote nothing to output 'out'" in describe_failure(result.nodes["show"])


def test_an_attempt_continues_from_the_checkpoints_of_the_last(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  train:
    command: "[ -e ${{outputs.steps}}/1 ] || { touch ${{outputs.steps}}/1; exit 1; }"
    outputs: {steps: {type: uri_folder}}
""")  # fmt: skip
    assert project.states() == {"train": "failed"}
    assert project.states() == {"train": "completed"}


def test_a_changed_command_starts_with_empty_outputs(project: Project) -> None:
    text = "jobs: {train: {command: 'touch ${{outputs.steps}}/@; exit @', outputs: {steps: {type: uri_folder}}}}"
    project.write("pipeline.yml", text.replace("@", "1"))
    project.run()
    project.write("pipeline.yml", text.replace("@", "0"))
    project.run().check()
    assert [path.name for path in (project.folder / "train/steps").iterdir()] == ["0"]


def test_binary_output_is_logged_unchanged_and_shown_without_control_characters(project: Project) -> None:
    project.write("pipeline.yml", r"""jobs: {bad: {command: "printf 'a\\377\\000\\033[31mb\\tc\\n'; exit 1"}}""")
    result = project.run()
    assert (project.folder / "bad/log.txt").read_bytes() == b"a\xff\0\x1b[31mb\tc\n"
    text = describe_failure(result.nodes["bad"])
    assert "\x1b" not in text
    assert "\0" not in text
    assert "[31m" not in text


def test_an_error_of_bash_has_the_line_of_the_command(project: Project) -> None:
    project.write("pipeline.yml", "jobs:\n  bad:\n    command: |\n      true\n      nothing-like-this\n")
    project.run()
    assert (project.folder / "bad/log.txt").read_text() == "bash: line 2: nothing-like-this: command not found\n"


def test_an_error_of_bash_shows_the_command_as_it_was_written(project: Project) -> None:
    project.write("pipeline.yml", json.dumps({"jobs": {"say": {"command": "echo (a)"}}}))
    log = project.run().nodes["say"].log.read_text()
    assert log.splitlines() == [
        "bash: -c: line 1: syntax error near unexpected token `a'",
        "bash: -c: line 1: `echo (a)'",
    ]


def test_a_file_that_bash_reads_first_is_read_by_commands(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    command = "echo ${READ-} ${BASH_ENV-none} ${AZDISTILL_BASH_ENV-none}; bash -c 'trap; echo ${READ-}'"
    project.write("pipeline.yml", json.dumps({"jobs": {"say": {"command": command}}}))
    assert project.run().nodes["say"].log.read_text() == "none none\n\n"
    file = project.write("first.sh", "READ=${READ-}yes\n")
    monkeypatch.setenv("BASH_ENV", str(file))
    log = project.run(folder=project.root / "other").nodes["say"].log.read_text()
    assert log == f"yes {file} none\nyes\n"


def test_the_exit_code_of_a_command_is_that_of_bash_without_options(project: Project) -> None:
    """As on Azure ML: a pipeline has that of its last program, and a line that fails does not end the command."""
    commands = {
        "pipe": ("false | true", 0),
        "lines": ("false\ntrue", 0),
        "both": ("true && false && touch here", 1),
        "pipefail": ("set -o pipefail; false | true", 1),
        "errexit": ("set -e\nfalse\ntrue", 1),
        "last": ("true; (exit 7)", 7),
    }
    nodes = {name: {"command": command} for name, (command, _) in commands.items()}
    settings = {"continue_on_step_failure": True}
    project.write("pipeline.yml", json.dumps({"settings": settings, "jobs": nodes}))
    codes = {name: node.exit_code for name, node in project.run().nodes.items()}
    assert codes == {name: code for name, (_, code) in commands.items()}


def test_only_the_end_of_a_large_log_is_read(project: Project) -> None:
    project.write("pipeline.yml", "jobs: {bad: {command: 'yes | head -c 20000000; echo last; exit 1'}}")
    text = describe_failure(project.run().nodes["bad"])
    assert text.splitlines()[-2] == "  | last"
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("damage", "change"),
    [
        ("rm ${{inputs.rows}}", "input 'rows' was deleted"),
        ("echo more >> ${{inputs.rows}}", "input 'rows' changed: out"),
        ("rm ${{inputs.rows}}; mkdir ${{inputs.rows}}", "input 'rows' changed"),
    ],
)
def test_a_command_that_changes_its_input_fails(chain: Project, damage: str, change: str) -> None:
    chain.write("parts/repeat/component.yml", f"{REPEAT.rstrip()}; {damage}\n")
    result = chain.run()
    assert result.nodes["second"].state == "failed"
    path = chain.folder / "first/out"
    assert f"{change} ({path}); a node must not change its inputs: copy them first" in describe_failure(
        result.nodes["second"]
    )
    assert chain.explain()["first"].reasons == ("output out was changed",)
    chain.write("parts/repeat/component.yml", REPEAT)
    assert chain.states() == {"first": "completed", "second": "completed"}


def test_a_command_that_changes_a_file_of_the_user_fails(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  sort:
    command: sort -o ${{inputs.data}}/b.txt ${{inputs.data}}/b.txt; touch ${{inputs.data}}/c.txt
    inputs: {data: {type: uri_folder, path: ./data}}
""")  # fmt: skip
    project.write("data/a.txt", "a\n")
    project.write("data/b.txt", "2\n1\n")
    result = project.run()
    assert result.nodes["sort"].state == "failed"
    assert "input 'data' changed: b.txt, c.txt added" in describe_failure(result.nodes["sort"])


def test_a_node_that_reads_a_changed_input_fails_too(project: Project) -> None:
    project.write("pipeline.yml", GO_ON + """
jobs:
  make: {command: "echo a > ${{outputs.out}}", outputs: {out: {type: uri_file}}}
  damage:
    command: echo b > ${{inputs.x}}
    inputs: {x: "${{parent.jobs.make.outputs.out}}"}
  read:
    command: cat ${{inputs.x}} > ${{outputs.out}}
    inputs: {x: "${{parent.jobs.make.outputs.out}}"}
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    assert project.states(jobs=1) == {"make": "completed", "damage": "failed", "read": "failed"}


def test_touching_an_input_is_no_change(project: Project) -> None:
    project.write("pipeline.yml", """
jobs: {show: {command: "touch ${{inputs.x}}; chmod 600 ${{inputs.x}}", inputs: {x: {type: uri_file, path: ./x}}}}
""")  # fmt: skip
    project.write("x", "x")
    assert project.states() == {"show": "completed"}


def test_a_shared_output_may_be_read_while_it_grows(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  grow:
    command: ls ${{inputs.before}} > ${{outputs.store}}/seen
    inputs: {before: {type: uri_folder, path: "azureml://datastores/blob/paths/store"}}
    outputs: {store: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/blob/paths/store/"}}
""")  # fmt: skip
    project.write("home/datastores/blob/store/a", "a")
    assert project.states() == {"grow": "completed"}


def test_an_input_that_contains_the_run_folder_may_change(project: Project) -> None:
    project.write("pipeline.yml", """
jobs:
  list:
    command: ls ${{inputs.all}} > ${{outputs.out}}
    inputs: {all: {type: uri_folder, path: .}}
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    assert project.states() == {"list": "completed"}


def test_a_node_that_fills_the_disk_fails(project: Project) -> None:
    """A file size limit replaces a full disk: both make a write fail."""
    project.write("pipeline.yml", single_job("ulimit -f 8; trap '' XFSZ; head -c 100000 /dev/zero > ${{outputs.out}}"))
    result = project.run()
    assert result.nodes["show"].state == "failed"
    assert "File too large" in describe_failure(result.nodes["show"])


def test_a_full_disk_is_a_readable_error_of_the_engine(chain: Project) -> None:
    """The engine itself may write no file larger than a few bytes."""
    limited = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))"
    done = subprocess.run(
        [sys.executable, "-c", limited + ENGINE, str(chain.pipeline), str(chain.folder), str(chain.home)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"run folder '{chain.folder}': File too large" in done.stdout
    assert chain.states() == {"first": "completed", "second": "completed"}


def test_the_signal_that_ended_a_node_is_named(project: Project) -> None:
    project.write("pipeline.yml", GO_ON + """
jobs:
  killed: {command: "python -c 'import os; os.kill(os.getpid(), 9)'"}
  broken: {command: "kill -SEGV $BASHPID"}
  typo: {command: "no-such-program"}
""")  # fmt: skip
    nodes = project.run().nodes
    assert "node killed was ended by SIGKILL, often because memory ran out" in describe_failure(nodes["killed"])
    assert "node broken was ended by SIGSEGV" in describe_failure(nodes["broken"])
    assert "node typo exited with 127" in describe_failure(nodes["typo"])


def test_a_command_too_long_for_a_shell_fails_only_its_node(project: Project) -> None:
    project.write(
        "pipeline.yml", f"{GO_ON}\njobs: {{long: {{command: 'echo {'x' * 200_000}'}}, other: {{command: 'true'}}}}"
    )
    result = project.run()
    assert {name: node.state for name, node in result.nodes.items()} == {"long": "failed", "other": "completed"}
    text = describe_failure(result.nodes["long"])
    assert "node long could not be started" in text
    assert "Argument list too long" in text


def test_a_background_program_ends_with_its_node(project: Project) -> None:
    project.write("pipeline.yml", single_job("sleep 98765 & echo $! > ${{outputs.out}}"))
    project.run().check()
    until(lambda: not alive("sleep 98765"))


def test_a_failure_without_a_log_is_described(tmp_path: Path) -> None:
    assert describe_failure(NodeRun("a", "failed", tmp_path / "none", exit_code=1)).startswith("node a exited with 1")
