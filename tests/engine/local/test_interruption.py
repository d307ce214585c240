"""Runs that are stopped at any moment: nothing stays behind, and the next run completes with the same result."""

import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from azdistill.contracts.errors import InputError
from tests.engine.local.conftest import Workshop, alive, until

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


def long(shop: Workshop, command: str) -> str:
    """A pipeline of one node that says when it is there. Returns a mark in the command lines of its programs."""
    mark = str(shop.root / "here")
    shop.write("pipeline.yml", f"jobs:\n  wait:\n    command: |\n      {command.replace('@', mark)}\n")
    return mark


def programs(shop: Workshop) -> list[int]:
    """Processes of this test's nodes; the engine's own command line names the pipeline file."""
    return [pid for pid in alive(str(shop.root)) if pid not in alive(str(shop.pipeline))]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_run_with_130_and_the_next_run_goes_on(shop: Workshop, engines: Engines, number: int) -> None:
    mark = long(shop, "touch @; python -c 'import time; time.sleep(60)' @ & touch @; sleep 60; echo @")
    engine = engines(shop)
    until(lambda: os.path.exists(mark) and programs(shop))
    engine.send_signal(number)
    output, _ = engine.communicate(timeout=20)
    assert engine.returncode == 130
    assert output == f"interrupted; run again with '{shop.folder}' to continue\n"
    until(lambda: not programs(shop), 5)
    assert shop.explain()["wait"].reasons == ("its last attempt was interrupted",)
    long(shop, "touch @")
    assert shop.states() == {"wait": "completed"}


def test_a_node_gets_time_to_save_what_it_has(shop: Workshop, engines: Engines) -> None:
    saver = shop.write("saver.py", """
import pathlib, signal, sys, time
here, saved = map(pathlib.Path, sys.argv[1:])
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), saved.write_text("all"), sys.exit()))
here.touch()
time.sleep(60)
""")  # fmt: skip
    mark = long(shop, f"true && python {saver} @ {shop.root}/saved; echo")
    engine = engines(shop)
    until(lambda: os.path.exists(mark))
    engine.terminate()
    engine.communicate(timeout=20)
    assert (shop.root / "saved").read_text() == "all"


def test_a_node_that_ignores_the_signal_is_ended_after_the_grace_time(shop: Workshop, engines: Engines) -> None:
    mark = long(shop, "trap '' TERM; touch @; while true; do sleep 1; done; echo @")
    engine = engines(shop, "0.3")
    until(lambda: os.path.exists(mark))
    engine.terminate()
    engine.communicate(timeout=10)
    assert engine.returncode == 130
    until(lambda: not programs(shop), 5)


def test_a_second_ctrl_c_does_not_wait_for_the_grace_time(shop: Workshop, engines: Engines) -> None:
    mark = long(shop, "trap '' TERM; touch @; while true; do sleep 1; done; echo @")
    engine = engines(shop)
    until(lambda: os.path.exists(mark))
    engine.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        engine.wait(0.7)
    engine.send_signal(signal.SIGINT)
    engine.communicate(timeout=5)
    assert engine.returncode == 130
    until(lambda: not programs(shop), 5)


def test_no_program_outlives_an_engine_that_was_killed(shop: Workshop, engines: Engines) -> None:
    mark = long(shop, "trap '' TERM HUP; (sleep 61; echo @) & touch @; sleep 62; echo @")
    engine = engines(shop)
    until(lambda: os.path.exists(mark))
    assert programs(shop)
    engine.kill()
    engine.wait()
    until(lambda: not programs(shop), 5)


@pytest.mark.parametrize("delay", [0.0, 0.25, 0.6, 0.8])
def test_after_a_kill_the_next_run_completes_with_the_same_result(
    shop: Workshop, engines: Engines, delay: float
) -> None:
    shop.write("pipeline.yml", STAGES)
    engine = engines(shop)
    until(shop.folder.exists)
    time.sleep(delay)
    engine.kill()
    engine.wait()
    until(lambda: not programs(shop), 5)
    shop.run().check()
    assert [shop.text(node) for node in ("one", "three")] == ["1\n2\n3\n"] * 2
    assert sorted(path.name for path in (shop.folder / "two/out").iterdir()) == ["1", "2", "3"]
    assert set(shop.states().values()) == {"reused"}


def test_what_was_finished_before_a_kill_is_not_run_again(shop: Workshop, engines: Engines) -> None:
    shop.write("pipeline.yml", STAGES)
    engine = engines(shop)
    until((shop.folder / "two/out/1").exists)
    engine.kill()
    engine.wait()
    assert shop.explain()["two"].reasons == ("its last attempt was cut short",)
    assert shop.states() == {"one": "reused", "two": "completed", "three": "completed"}


def test_a_second_engine_on_the_folder_says_so(shop: Workshop, engines: Engines) -> None:
    mark = long(shop, "touch @; sleep 60")
    engines(shop)
    until(lambda: os.path.exists(mark))
    with pytest.raises(InputError, match=f"run folder '{shop.folder}': it is in use by another run; wait for it"):
        shop.run()


def test_an_error_in_the_watcher_leaves_no_program(shop: Workshop) -> None:
    long(shop, "sleep 60; echo @")

    def watch(event: object) -> None:
        if programs(shop):
            raise RuntimeError("a bug in what shows progress")

    with pytest.raises(RuntimeError, match="a bug"):
        shop.run(watch=watch)
    assert not programs(shop)


def test_an_ignored_ctrl_c_stays_ignored(shop: Workshop) -> None:
    """A shell that puts a job into the background has it ignore Ctrl-C."""
    mark = long(shop, "touch @; sleep 0.5")
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        states = shop.states(watch=lambda event: os.path.exists(mark) and signal.raise_signal(signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)
    assert states == {"wait": "completed"}
