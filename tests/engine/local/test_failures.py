"""Nodes that go wrong: what is said, what still runs, what the next run does."""

import subprocess
import sys
from pathlib import Path

import pytest

from azdistill.contracts.errors import NodeFailed
from azdistill.engine.local.results import NodeRun, describe_failure
from tests.engine.local.conftest import ENGINE, REPEAT, Workshop, alive, until
from tests.engine.local.test_running import one

GO_ON = "settings: {continue_on_step_failure: true}"


def test_a_failed_node_lets_independent_ones_finish_where_the_pipeline_says_so(shop: Workshop) -> None:
    shop.write("pipeline.yml", GO_ON + """
jobs:
  bad: {command: "echo about to fail; echo why >&2; exit 7", outputs: {out: {type: uri_file}}}
  after:
    command: cat ${{inputs.x}}
    inputs: {x: "${{parent.jobs.bad.outputs.out}}"}
    outputs: {out: {type: uri_file}}
  later: {command: "cat ${{inputs.x}}", inputs: {x: "${{parent.jobs.after.outputs.out}}"}}
  other: {command: "sleep 0.1"}
""")  # fmt: skip
    result = shop.run()
    assert {name: node.state for name, node in result.nodes.items()} == {
        "bad": "failed", "after": "skipped", "later": "skipped", "other": "completed",
    }  # fmt: skip
    with pytest.raises(NodeFailed) as problem:
        result.check()
    log = shop.folder / "bad" / "log.txt"
    assert str(problem.value) == f"node bad exited with 7\n  | about to fail\n  | why\n  log: {log}"


def test_a_failed_node_ends_the_run_as_on_azure_and_what_was_ended_goes_on_in_the_next(shop: Workshop) -> None:
    fails = "for i in $(seq 100); do [ -e ../../other/begun/it ] && break; sleep .1; done; exit 7"
    shop.write("pipeline.yml", f"""
jobs:
  bad: {{command: "{fails}"}}
  other:
    command: "[ -e ${{{{outputs.begun}}}}/it ] && exit 0; touch ${{{{outputs.begun}}}}/it; sleep 60"
    outputs: {{begun: {{type: uri_folder}}}}
  after: {{command: "ls ${{{{inputs.x}}}}", inputs: {{x: "${{{{parent.jobs.other.outputs.begun}}}}"}}}}
""")  # fmt: skip
    assert shop.states(jobs=2) == {"bad": "failed", "other": "interrupted", "after": "skipped"}
    shop.write("pipeline.yml", shop.pipeline.read_text().replace("exit 7", "exit 0"))
    assert shop.states(jobs=2) == {"bad": "completed", "other": "completed", "after": "completed"}


def test_the_next_run_tries_a_failed_node_again_and_its_dependents(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs:
  bad: {command: "cat @FLAG@ > ${{outputs.out}}", outputs: {out: {type: uri_file}}}
  after: {command: "cat ${{inputs.x}}", inputs: {x: "${{parent.jobs.bad.outputs.out}}"}}
""".replace("@FLAG@", str(shop.root / "flag")))  # fmt: skip
    assert shop.states() == {"bad": "failed", "after": "skipped"}
    assert shop.explain()["bad"].reasons == ("its last attempt was failed",)
    shop.write("flag", "x")
    assert shop.states() == {"bad": "completed", "after": "completed"}


@pytest.mark.parametrize(
    ("kind", "command", "read"),
    [("uri_file", "true", False), ("uri_folder", "true", True), ("uri_folder", "rmdir ${{outputs.out}}", False)],
)
def test_a_node_that_exits_with_0_and_leaves_nothing_has_failed(
    shop: Workshop, kind: str, command: str, read: bool
) -> None:
    shop.write("pipeline.yml", f"""
jobs:
  make: {{command: "{command}", outputs: {{out: {{type: {kind}}}}}}}
  {'read: {command: "ls ${{inputs.x}}", inputs: {x: "${{parent.jobs.make.outputs.out}}"}}' if read else ""}
""")  # fmt: skip
    result = shop.run()
    assert result.nodes["make"].state == "failed"
    assert f"exited with 0 but wrote nothing to output 'out' at {shop.folder}/make/out" in describe_failure(
        result.nodes["make"]
    )


def test_an_empty_folder_that_nobody_reads_is_fine(shop: Workshop) -> None:
    shop.write("pipeline.yml", "jobs: {make: {command: 'true', outputs: {spare: {type: uri_folder}}}}")
    assert shop.states() == {"make": "completed"}
    assert shop.states() == {"make": "reused"}


def test_half_a_file_of_a_failed_try_is_no_output_of_the_next(shop: Workshop) -> None:
    tried = shop.root / "tried"
    shop.write(
        "pipeline.yml", one(f"if [ ! -e {tried} ]; then echo half > ${{{{outputs.out}}}}; touch {tried}; exit 1; fi")
    )
    assert shop.states() == {"show": "failed"}
    result = shop.run()
    assert result.nodes["show"].state == "failed"
    assert "wrote nothing to output 'out'" in describe_failure(result.nodes["show"])


def test_a_cut_short_try_goes_on_from_its_checkpoints(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs:
  train:
    command: "[ -e ${{outputs.steps}}/1 ] || { touch ${{outputs.steps}}/1; exit 1; }"
    outputs: {steps: {type: uri_folder}}
""")  # fmt: skip
    assert shop.states() == {"train": "failed"}
    assert shop.states() == {"train": "completed"}


def test_a_changed_command_starts_from_nothing(shop: Workshop) -> None:
    text = "jobs: {train: {command: 'touch ${{outputs.steps}}/@; exit @', outputs: {steps: {type: uri_folder}}}}"
    shop.write("pipeline.yml", text.replace("@", "1"))
    shop.run()
    shop.write("pipeline.yml", text.replace("@", "0"))
    shop.run().check()
    assert [path.name for path in (shop.folder / "train/steps").iterdir()] == ["0"]


def test_binary_output_is_kept_as_it_is_and_shown_without_harm(shop: Workshop) -> None:
    shop.write("pipeline.yml", r"""jobs: {bad: {command: "printf 'a\\377\\000\\033[31mb\\tc\\n'; exit 1"}}""")
    result = shop.run()
    assert (shop.folder / "bad/log.txt").read_bytes() == b"a\xff\0\x1b[31mb\tc\n"
    text = describe_failure(result.nodes["bad"])
    assert "\x1b" not in text
    assert "\0" not in text


def test_a_large_log_is_read_from_its_end(shop: Workshop) -> None:
    shop.write("pipeline.yml", "jobs: {bad: {command: 'yes | head -c 20000000; echo last; exit 1'}}")
    text = describe_failure(shop.run().nodes["bad"])
    assert text.splitlines()[-2] == "  | last"
    assert len(text) < 1000


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        ("rm ${{inputs.rows}}", "input 'rows' was deleted"),
        ("echo more >> ${{inputs.rows}}", "input 'rows' changed: out"),
        ("rm ${{inputs.rows}}; mkdir ${{inputs.rows}}", "input 'rows' changed"),
    ],
)
def test_a_command_that_changes_its_input_has_failed(chain: Workshop, harm: str, told: str) -> None:
    chain.write("parts/repeat/component.yml", f"{REPEAT.rstrip()}; {harm}\n")
    result = chain.run()
    assert result.nodes["second"].state == "failed"
    place = chain.folder / "first/out"
    assert f"{told} ({place}); a node must not change its inputs: copy them first" in describe_failure(
        result.nodes["second"]
    )
    assert chain.explain()["first"].reasons == ("output out was changed",)
    chain.write("parts/repeat/component.yml", REPEAT)
    assert chain.states() == {"first": "completed", "second": "completed"}


def test_a_command_that_changes_a_file_of_the_user_has_failed(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs:
  sort:
    command: sort -o ${{inputs.data}}/b.txt ${{inputs.data}}/b.txt; touch ${{inputs.data}}/c.txt
    inputs: {data: {type: uri_folder, path: ./data}}
""")  # fmt: skip
    shop.write("data/a.txt", "a\n")
    shop.write("data/b.txt", "2\n1\n")
    result = shop.run()
    assert result.nodes["sort"].state == "failed"
    assert "input 'data' changed: b.txt, c.txt added" in describe_failure(result.nodes["sort"])


def test_a_node_after_one_that_changed_what_both_read_is_not_taken_for_right(shop: Workshop) -> None:
    shop.write("pipeline.yml", GO_ON + """
jobs:
  make: {command: "echo a > ${{outputs.out}}", outputs: {out: {type: uri_file}}}
  harm:
    command: echo b > ${{inputs.x}}
    inputs: {x: "${{parent.jobs.make.outputs.out}}"}
  read:
    command: cat ${{inputs.x}} > ${{outputs.out}}
    inputs: {x: "${{parent.jobs.make.outputs.out}}"}
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    assert shop.states(jobs=1) == {"make": "completed", "harm": "failed", "read": "failed"}


def test_an_input_that_was_only_touched_is_as_it_was(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs: {show: {command: "touch ${{inputs.x}}; chmod 600 ${{inputs.x}}", inputs: {x: {type: uri_file, path: ./x}}}}
""")  # fmt: skip
    shop.write("x", "x")
    assert shop.states() == {"show": "completed"}


def test_a_store_that_nodes_may_write_can_be_read_while_it_grows(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs:
  grow:
    command: ls ${{inputs.before}} > ${{outputs.store}}/seen
    inputs: {before: {type: uri_folder, path: "azureml://datastores/blob/paths/store"}}
    outputs: {store: {type: uri_folder, mode: rw_mount, path: "azureml://datastores/blob/paths/store/"}}
""")  # fmt: skip
    shop.write("home/datastores/blob/store/a", "a")
    assert shop.states() == {"grow": "completed"}


def test_an_input_that_holds_the_run_folder_may_grow_by_it(shop: Workshop) -> None:
    shop.write("pipeline.yml", """
jobs:
  list:
    command: ls ${{inputs.all}} > ${{outputs.out}}
    inputs: {all: {type: uri_folder, path: .}}
    outputs: {out: {type: uri_file}}
""")  # fmt: skip
    assert shop.states() == {"list": "completed"}


def test_a_node_that_fills_the_disk_fails_by_itself(shop: Workshop) -> None:
    """A file size limit stands for a full disk: both fail the write."""
    shop.write("pipeline.yml", one("ulimit -f 8; trap '' XFSZ; head -c 100000 /dev/zero > ${{outputs.out}}"))
    result = shop.run()
    assert result.nodes["show"].state == "failed"
    assert "File too large" in describe_failure(result.nodes["show"])


def test_a_full_disk_under_the_engine_is_said_in_a_sentence(chain: Workshop) -> None:
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


def test_the_signal_that_ended_a_node_is_named(shop: Workshop) -> None:
    shop.write("pipeline.yml", GO_ON + """
jobs:
  killed: {command: "python -c 'import os; os.kill(os.getpid(), 9)'"}
  broken: {command: "kill -SEGV $BASHPID"}
  typo: {command: "no-such-program"}
""")  # fmt: skip
    nodes = shop.run().nodes
    assert "node killed was ended by SIGKILL, often because memory ran out" in describe_failure(nodes["killed"])
    assert "node broken was ended by SIGSEGV" in describe_failure(nodes["broken"])
    assert "node typo exited with 127" in describe_failure(nodes["typo"])


def test_a_command_too_long_for_a_shell_fails_its_node_alone(shop: Workshop) -> None:
    shop.write(
        "pipeline.yml", f"{GO_ON}\njobs: {{long: {{command: 'echo {'x' * 200_000}'}}, other: {{command: 'true'}}}}"
    )
    result = shop.run()
    assert {name: node.state for name, node in result.nodes.items()} == {"long": "failed", "other": "completed"}
    text = describe_failure(result.nodes["long"])
    assert "node long could not be started" in text
    assert "Argument list too long" in text


def test_a_background_program_ends_with_its_node(shop: Workshop) -> None:
    shop.write("pipeline.yml", one("sleep 98765 & echo $! > ${{outputs.out}}"))
    shop.run().check()
    until(lambda: not alive("sleep 98765"))


def test_a_log_of_an_absent_node_is_no_problem(tmp_path: Path) -> None:
    assert describe_failure(NodeRun("a", "failed", tmp_path / "none", exit_code=1)).startswith("node a exited with 1")
