"""Injected preemption: a node is ended and starts again in the same folder."""

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local import Faults
from tests.engine.local.conftest import Project

COUNTS = """\
import pathlib, sys, time
folder = pathlib.Path(sys.argv[1])
for number in range(8):
    mark = folder / f"{number}.txt"
    if not mark.exists():
        time.sleep(0.1)
        mark.write_text("x")
        print("made", number)
"""


def counting(command: str) -> str:
    return f"""
jobs:
  count: {{command: "{command}", code: ./src, outputs: {{out: {{type: uri_folder}}}}}}
  after: {{command: "ls ${{{{inputs.x}}}}", inputs: {{x: "${{{{parent.jobs.count.outputs.out}}}}"}}}}
"""


@pytest.fixture
def counting_project(project: Project) -> Project:
    project.write("src/count.py", COUNTS)
    project.write("pipeline.yml", counting("python count.py ${{outputs.out}}"))
    return project


def test_a_preempted_node_continues_from_its_outputs(counting_project: Project) -> None:
    counting_project.run(faults=Faults(preempt={"count": 0.5})).check()
    log = (counting_project.folder / "count" / "log.txt").read_text()
    before, _, after = log.partition("azdistill: preempted after 0.5 seconds; it starts again in the same folder")
    assert before.count("made") > 0
    assert after.count("made") > 0
    assert [line for line in log.splitlines() if line.startswith("made")] == [f"made {number}" for number in range(8)]


def test_a_node_that_is_done_earlier_is_not_preempted(counting_project: Project) -> None:
    counting_project.run(faults=Faults(preempt={"count": 60})).check()
    assert "preempted" not in (counting_project.folder / "count" / "log.txt").read_text()


def test_a_preempted_node_is_reused(counting_project: Project) -> None:
    counting_project.run(faults=Faults(preempt={"count": 0.3})).check()
    assert set(counting_project.states().values()) == {"reused"}


def test_a_preempted_node_that_ignores_the_signal_is_killed_and_starts_again(project: Project) -> None:
    stubborn = "trap '' TERM; [ -e ${{outputs.out}}/it ] && exit 0; touch ${{outputs.out}}/it; sleep 60"
    project.write("src/x", "")
    project.write("pipeline.yml", counting(stubborn))
    result = project.run(faults=Faults(preempt={"count": 0.3}), grace=0.2)
    result.check()
    assert result.nodes["count"].seconds < 30


def test_a_partial_file_is_deleted_when_a_preempted_node_starts_again(project: Project) -> None:
    command = "[ -e ../tried ] && cat ${{outputs.out}}; touch ../tried; echo half > ${{outputs.out}}; sleep 1; echo x"
    project.write("pipeline.yml", f"""
jobs:
  write: {{command: "{command} >> ${{{{outputs.out}}}}", outputs: {{out: {{type: uri_file}}}}}}
""")  # fmt: skip
    project.run(faults=Faults(preempt={"write": 0.5})).check()
    assert project.text("write") == "half\nx\n"
    assert "cat: " in (project.folder / "write" / "log.txt").read_text()  # there was none


def test_an_unknown_node_is_refused_before_anything_runs(counting_project: Project) -> None:
    with pytest.raises(InputError, match=r"--preempt 'counts': no such node; did you mean 'count'\?"):
        counting_project.run(faults=Faults(preempt={"counts": 1}))
    assert not counting_project.folder.exists()
