"""Interrupted runs: no process is left, and the next run completes with the same result."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from azdistill.contracts.errors import InputError
from tests.engine.local.conftest import Project, alive, until

Engines = Callable[..., subprocess.Popen[str]]

STAGES = """
jobs:
  one:
    command: for i in 1 2 3; do echo $i; sleep 0.1; done > ${{outputs.out}}
    outputs: {out: {type: uri_file}}
  two:
    command: for i in $(cat ${{inputs.x}}); do echo $i > ${{outputs.out}}/$i; sleep 0.1; done
    inputs: {x: "${{parent.jobs.one.outputs.out}}"}
    outputs: {out: {type: uri_folder}}
  three:
    command: cat ${{inputs.x}}/* > ${{outputs.out}}; sleep 0.1
    inputs: {x: "${{parent.jobs.two.outputs.out}}"}
    outputs: {out: {type: uri_file}}
"""


def long(project: Project, command: str) -> str:
    """Write a pipeline of one node that creates a file when it runs.

    Returns the path of the file, which is in the command lines of the node's processes.
    """
    mark = str(project.root / "here")
    project.write("pipeline.yml", f"jobs:\n  wait:\n    command: |\n      {command.replace('@', mark)}\n")
    return mark


def programs(project: Project) -> list[int]:
    """Processes of this test's nodes; the engine's own command line names the pipeline file."""
    return [pid for pid in alive(str(project.root)) if pid not in alive(str(project.pipeline))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_the_run_with_130_and_the_next_continues(project: Project, engines: Engines, number: int) -> None:
    mark = long(project, "touch @; python -c 'import time; time.sleep(60)' @ & touch @; sleep 60; echo @")
    engine = engines(project)
    until(lambda: os.path.exists(mark) and programs(project))
    engine.send_signal(number)
    output, _ = engine.communicate(timeout=20)
    assert engine.returncode == 130
    assert output == f"interrupted; run again with '{project.folder}' to continue\n"
    until(lambda: not programs(project), 5)
    assert project.explain()["wait"].reasons == ("its last attempt was interrupted",)
    long(project, "touch @")
    assert project.states() == {"wait": "completed"}


def test_a_node_has_time_to_save_after_a_signal(project: Project, engines: Engines) -> None:
    saver = project.write("saver.py", """
import pathlib, signal, sys, time
here, saved = map(pathlib.Path, sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), saved.write_text("all"), sys.exit()))
here.touch()
time.sleep(60)
""")  # fmt: skip
    mark = long(project, f"true && python {saver} @ {project.root}/saved; echo")
    engine = engines(project)
    until(lambda: os.path.exists(mark))
    engine.terminate()
    engine.communicate(timeout=20)
    assert (project.root / "saved").read_text() == "all"


def test_a_node_that_ignores_the_signal_is_killed_after_the_grace_time(project: Project, engines: Engines) -> None:
    mark = long(project, "trap '' TERM; touch @; while true; do sleep 1; done; echo @")
    engine = engines(project, "0.3")
    until(lambda: os.path.exists(mark))
    engine.terminate()
    engine.communicate(timeout=10)
    assert engine.returncode == 130
    until(lambda: not programs(project), 5)


def test_a_second_ctrl_c_does_not_wait_for_the_grace_time(project: Project, engines: Engines) -> None:
    mark = long(project, "trap '' TERM; touch @; while true; do sleep 1; done; echo @")
    engine = engines(project)
    until(lambda: os.path.exists(mark))
    engine.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(0.7)
    engine.send_signal(signal.SIGINT)
    engine.communicate(timeout=5)
    assert engine.returncode == 130
    until(lambda: not programs(project), 5)


def test_no_program_outlives_an_engine_that_was_killed(project: Project, engines: Engines) -> None:
    mark = long(project, "trap '' TERM HUP; (sleep 61; echo @) & touch @; sleep 62; echo @")
    engine = engines(project)
    until(lambda: os.path.exists(mark))
    assert programs(project)
    engine.kill()
    engine.wait()
    until(lambda: not programs(project), 5)


# Programs that leave their node's process group and session, with another parent, and without its variables.
LEFT = """
setsid sleep 7001@ &
(setsid bash -c 'sleep 7002@ & exit' &)
setsid env -i bash -c 'trap "" TERM HUP; while true; do setsid sleep 7003@; done' &
"""

# The last command of a node, and what else its pipeline has.
ENDS_OF_A_NODE = {
    "its end": ("true", ""),
    "its failure": ("exit 3", ""),
    "its time limit": ("sleep 60", "    limits: {timeout: 1}\n"),
    "the failure of another": ("sleep 60", "  fails: {command: 'until [ -e @ ]; do sleep 0.1; done; exit 3'}\n"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="docs/engine.md: other systems have no adoption of processes")
@pytest.mark.parametrize("end", [*ENDS_OF_A_NODE, "a signal", "a kill of the engine"])
def test_programs_in_sessions_of_their_own_end_with_their_node(project: Project, engines: Engines, end: str) -> None:
    number = os.getpid()
    left = LEFT.replace("@", str(number)).strip().replace("\n", "\n      ")
    last, more = ENDS_OF_A_NODE.get(end, ("sleep 60", ""))
    mark = long(project, f"{left}\n      sleep 0.5; touch @; {last}")
    project.write("pipeline.yml", project.pipeline.read_text() + more.replace("@", mark))
    other = subprocess.Popen(["sleep", f"7000{number}"], start_new_session=True)
    engine = engines(project)
    until((project.root / "here").exists)
    if end not in ENDS_OF_A_NODE:
        # Each next to the shell of the node, whose command line names it.
        assert all(len(alive(f"sleep 700{kind}{number}")) > 1 for kind in (1, 2, 3))
        engine.send_signal(signal.SIGTERM if end == "a signal" else signal.SIGKILL)
    engine.communicate(timeout=20)
    until(lambda: not any(alive(f"700{kind}{number}") for kind in (1, 2, 3)), 5)
    assert other.poll() is None
    other.kill()
    other.wait()


def test_a_supervisor_that_is_killed_takes_its_command_along(project: Project, engines: Engines) -> None:
    mark = long(project, "touch @; sleep 60; echo @")
    engine = engines(project)
    until(lambda: os.path.exists(mark))
    (shell,) = [process for process in map(psutil.Process, programs(project)) if process.name() == "bash"]
    shell.parent().kill()
    output, _ = engine.communicate(timeout=20)
    assert (engine.returncode, "node wait was ended by SIGKILL" in output) == (1, True)
    until(lambda: not programs(project), 5)


@pytest.mark.parametrize("delay", [0.0, 0.25, 0.6, 0.8])
def test_after_a_kill_the_next_run_completes_with_the_same_result(
    project: Project, engines: Engines, delay: float
) -> None:
    project.write("pipeline.yml", STAGES)
    engine = engines(project)
    until(project.folder.exists)
    time.sleep(delay)
    engine.kill()
    engine.wait()
    until(lambda: not programs(project), 5)
    project.run().check()
    assert [project.text(node) for node in ("one", "three")] == ["1\n2\n3\n"] * 2
    assert sorted(path.name for path in (project.folder / "two/out").iterdir()) == ["1", "2", "3"]
    assert set(project.states().values()) == {"reused"}


def test_what_was_finished_before_a_kill_is_not_run_again(project: Project, engines: Engines) -> None:
    project.write("pipeline.yml", STAGES)
    engine = engines(project)
    until((project.folder / "two/out/1").exists)
    engine.kill()
    engine.wait()
    assert project.explain()["two"].reasons == ("its last attempt was interrupted",)
    assert project.states() == {"one": "reused", "two": "completed", "three": "completed"}


def test_a_second_run_in_the_folder_is_refused(project: Project, engines: Engines) -> None:
    mark = long(project, "touch @; sleep 60")
    engines(project)
    until(lambda: os.path.exists(mark))
    with pytest.raises(InputError, match=f"run folder '{project.folder}': it is in use by another run; wait for it"):
        project.run()


def test_an_exception_in_watch_leaves_no_process(project: Project) -> None:
    long(project, "sleep 60; echo @")

    def watch(event: object) -> None:
        if programs(project):
            raise RuntimeError("a bug in watch")

    with pytest.raises(RuntimeError, match="a bug"):
        project.run(watch=watch)
    assert not programs(project)


def test_an_ignored_ctrl_c_stays_ignored(project: Project) -> None:
    """A shell that puts a job into the background has it ignore Ctrl-C."""
    mark = long(project, "touch @; sleep 0.5")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        states = project.states(watch=lambda event: os.path.exists(mark) and signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert states == {"wait": "completed"}
