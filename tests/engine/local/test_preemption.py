"""Preemption to order: nodes that are taken away, and begin again in the folder that they left."""

import pytest

from azdistill.contracts.errors import InputError
from azdistill.engine.local import Faults
from tests.engine.local.conftest import Workshop

COUNTS = """\
import pathlib, sys, time
place = pathlib.Path(sys.argv[1])
for number in range(8):
    mark = place / f"{number}.txt"
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
def shop_of_counts(shop: Workshop) -> Workshop:
    shop.write("src/count.py", COUNTS)
    shop.write("pipeline.yml", counting("python count.py ${{outputs.out}}"))
    return shop


def test_a_preempted_node_goes_on_from_what_it_had_written(shop_of_counts: Workshop) -> None:
    shop_of_counts.run(faults=Faults(preempt={"count": 0.5})).check()
    log = (shop_of_counts.folder / "count" / "log.txt").read_text()
    before, _, after = log.partition("azdistill: preempted after 0.5 seconds; it starts again in the same folder")
    assert before.count("made") > 0
    assert after.count("made") > 0
    assert [line for line in log.splitlines() if line.startswith("made")] == [f"made {number}" for number in range(8)]


def test_a_node_that_is_done_before_is_left_alone(shop_of_counts: Workshop) -> None:
    shop_of_counts.run(faults=Faults(preempt={"count": 60})).check()
    assert "preempted" not in (shop_of_counts.folder / "count" / "log.txt").read_text()


def test_a_preempted_run_is_reused_as_any_other(shop_of_counts: Workshop) -> None:
    shop_of_counts.run(faults=Faults(preempt={"count": 0.3})).check()
    assert set(shop_of_counts.states().values()) == {"reused"}


def test_a_node_that_ignores_the_signal_is_ended_and_begins_again(shop: Workshop) -> None:
    stubborn = "trap '' TERM; [ -e ${{outputs.out}}/it ] && exit 0; touch ${{outputs.out}}/it; sleep 60"
    shop.write("src/x", "")
    shop.write("pipeline.yml", counting(stubborn))
    result = shop.run(faults=Faults(preempt={"count": 0.3}), grace=0.2)
    result.check()
    assert result.nodes["count"].seconds < 30


def test_half_a_file_is_gone_when_it_begins_again(shop: Workshop) -> None:
    command = "[ -e ../tried ] && cat ${{outputs.out}}; touch ../tried; echo half > ${{outputs.out}}; sleep 1; echo x"
    shop.write("pipeline.yml", f"""
jobs:
  write: {{command: "{command} >> ${{{{outputs.out}}}}", outputs: {{out: {{type: uri_file}}}}}}
""")  # fmt: skip
    shop.run(faults=Faults(preempt={"write": 0.5})).check()
    assert shop.text("write") == "half\nx\n"
    assert "cat: " in (shop.folder / "write" / "log.txt").read_text()  # there was none


def test_a_node_that_there_is_not_is_told_before_anything_runs(shop_of_counts: Workshop) -> None:
    with pytest.raises(InputError, match=r"--preempt 'counts': no such node; did you mean 'count'\?"):
        shop_of_counts.run(faults=Faults(preempt={"counts": 1}))
    assert not shop_of_counts.folder.exists()
