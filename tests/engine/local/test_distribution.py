"""Distributed commands: several processes with the variables of Azure ML, and the timeout of a node."""

import json

import pytest

from azdistill.engine.local.variables import rank_variables
from azdistill.engine.pipeline.run_settings import ProcessLayout
from tests.engine.local.conftest import Project

TELL = """\
import json, os, pathlib, sys
names = sys.argv[2:]
file = pathlib.Path(sys.argv[1], f"{os.getpid()}.json")
file.write_text(json.dumps({name: os.environ.get(name) for name in names}))
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


def test_each_pytorch_process_gets_its_ranks_and_the_master_address(project: Project) -> None:
    project.write("src/tell.py", TELL)
    names = "MASTER_ADDR MASTER_PORT NODE_RANK RANK LOCAL_RANK WORLD_SIZE AZUREML_CR_NODE_RANK AZUREML_NODE_COUNT"
    command = f"python tell.py ${{{{outputs.out}}}} {names}"
    project.write("pipeline.yml", many(command, "type: pytorch, process_count_per_instance: 2"))
    project.run().check()
    processes = [json.loads(path.read_text()) for path in (project.folder / "train" / "out").iterdir()]
    processes.sort(key=lambda process: int(process["RANK"]))
    ranks = [
        (process["NODE_RANK"], process["LOCAL_RANK"], process["RANK"], process["WORLD_SIZE"]) for process in processes
    ]
    assert ranks == [("0", "0", "0", "4"), ("0", "1", "1", "4"), ("1", "0", "2", "4"), ("1", "1", "3", "4")]
    assert [process["AZUREML_CR_NODE_RANK"] for process in processes] == ["0", "0", "1", "1"]
    assert {process["AZUREML_NODE_COUNT"] for process in processes} == {"2"}
    assert len({(process["MASTER_ADDR"], process["MASTER_PORT"]) for process in processes}) == 1
    assert (project.folder / "train" / "log.txt").read_text() == "I am 0\n"
    assert (project.folder / "train" / "log.3.txt").read_text() == "I am 3\n"


def test_mpi_processes_get_their_own_variables() -> None:
    first, last = rank_variables(ProcessLayout("mpi", instances=1, per_instance=2), port=1)
    assert (first["OMPI_COMM_WORLD_RANK"], last["OMPI_COMM_WORLD_RANK"]) == ("0", "1")
    assert last["OMPI_COMM_WORLD_SIZE"] == last["OMPI_COMM_WORLD_LOCAL_SIZE"] == "2"


def test_one_process_that_fails_ends_the_others(project: Project) -> None:
    command = "'[ $RANK = 1 ] && exit 7; sleep 60'"
    project.write("pipeline.yml", many(command, "type: pytorch").replace("    code: ./src\n", ""))
    node = project.run(grace=1).nodes["train"]
    assert (node.state, node.exit_code) == ("failed", 7)
    assert node.seconds < 30


def test_the_number_of_processes_counts_for_reuse(project: Project) -> None:
    text = many("touch ${{outputs.out}}/$RANK", "type: pytorch").replace("    code: ./src\n", "")
    project.write("pipeline.yml", text)
    project.run().check()
    assert project.explain()["train"].reused
    project.write("pipeline.yml", text.replace("instance_count: 2", "instance_count: 3"))
    assert project.explain()["train"].reasons == ("processes: 2 x 1 pytorch -> 3 x 1 pytorch",)


@pytest.mark.parametrize("distribution", ["", "    distribution: {type: pytorch, process_count_per_instance: 2}\n"])
def test_a_node_ends_at_its_timeout(project: Project, distribution: str) -> None:
    project.write("pipeline.yml", f"""
jobs:
  slow:
    command: sleep 60
    limits: {{timeout: 1}}
{distribution}
""")  # fmt: skip
    node = project.run(grace=1).nodes["slow"]
    assert (node.state, node.exit_code) == ("failed", 124)
    assert node.log.read_text().endswith("azdistill: ended after limits.timeout=1 seconds\n")
