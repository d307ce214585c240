"""Several processes of one node, with the variables that Azure ML gives them, and the time that a node has."""

import json

import pytest

from azdistill.engine.local.commands import rank_variables
from azdistill.engine.pipeline.run_settings import ProcessLayout
from tests.engine.local.conftest import Workshop

TELL = """\
import json, os, pathlib, sys
names = sys.argv[2:]
place = pathlib.Path(sys.argv[1], f"{os.getpid()}.json")
place.write_text(json.dumps({name: os.environ.get(name) for name in names}))
print("I am", os.environ.get("RANK"))
"""


def many(command: str, distribution: str, more: str = "") -> str:
    return f"""
jobs:
  train:
    command: {command}
    code: ./src
    outputs: {{out: {{type: uri_folder}}}}
    resources: {{instance_count: 2}}
    distribution: {{{distribution}}}
    {more}
"""


def test_each_process_of_pytorch_is_told_its_ranks_and_where_to_meet(shop: Workshop) -> None:
    shop.write("src/tell.py", TELL)
    names = "MASTER_ADDR MASTER_PORT NODE_RANK RANK LOCAL_RANK WORLD_SIZE"
    command = f"python tell.py ${{{{outputs.out}}}} {names}"
    shop.write("pipeline.yml", many(command, "type: pytorch, process_count_per_instance: 2"))
    shop.run().check()
    told = [json.loads(path.read_text()) for path in (shop.folder / "train" / "out").iterdir()]
    told.sort(key=lambda one: int(one["RANK"]))
    ranks = [(one["NODE_RANK"], one["LOCAL_RANK"], one["RANK"], one["WORLD_SIZE"]) for one in told]
    assert ranks == [("0", "0", "0", "4"), ("0", "1", "1", "4"), ("1", "0", "2", "4"), ("1", "1", "3", "4")]
    assert len({(one["MASTER_ADDR"], one["MASTER_PORT"]) for one in told}) == 1
    assert (shop.folder / "train" / "log.txt").read_text() == "I am 0\n"
    assert (shop.folder / "train" / "log.3.txt").read_text() == "I am 3\n"


def test_mpi_has_variables_of_its_own() -> None:
    first, last = rank_variables(ProcessLayout("mpi", instances=1, per_instance=2), port=1)
    assert (first["OMPI_COMM_WORLD_RANK"], last["OMPI_COMM_WORLD_RANK"]) == ("0", "1")
    assert last["OMPI_COMM_WORLD_SIZE"] == last["OMPI_COMM_WORLD_LOCAL_SIZE"] == "2"


def test_one_process_that_fails_ends_the_others(shop: Workshop) -> None:
    command = "'[ $RANK = 1 ] && exit 7; sleep 60'"
    shop.write("pipeline.yml", many(command, "type: pytorch").replace("    code: ./src\n", ""))
    node = shop.run(grace=1).nodes["train"]
    assert (node.state, node.exit_code) == ("failed", 7)
    assert node.seconds < 30


def test_the_number_of_processes_counts_for_reuse(shop: Workshop) -> None:
    text = many("touch ${{outputs.out}}/$RANK", "type: pytorch").replace("    code: ./src\n", "")
    shop.write("pipeline.yml", text)
    shop.run().check()
    assert shop.explain()["train"].reused
    shop.write("pipeline.yml", text.replace("instance_count: 2", "instance_count: 3"))
    assert shop.explain()["train"].reasons == ("processes: 2 x 1 pytorch -> 3 x 1 pytorch",)


@pytest.mark.parametrize("distribution", ["", "    distribution: {type: pytorch, process_count_per_instance: 2}\n"])
def test_a_node_is_ended_when_its_time_is_over(shop: Workshop, distribution: str) -> None:
    shop.write("pipeline.yml", f"""
jobs:
  slow:
    command: sleep 60
    limits: {{timeout: 1}}
{distribution}
""")  # fmt: skip
    node = shop.run(grace=1).nodes["slow"]
    assert (node.state, node.exit_code) == ("failed", 124)
    assert node.log.read_text().endswith("azdistill: ended after limits.timeout=1 seconds\n")
