"""Simulated teachers of a run: started for the nodes that call them, and stopped with the run."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Command, Writer, command

ASK = """{ echo $AZDISTILL_SIMULATED_TEACHER; python - <<'END'
import os, urllib.request
for url in os.environ["AZDISTILL_SIMULATED_TEACHER"].split():
    print(urllib.request.urlopen(url).read().decode())
END
} > ${{outputs.answer}}/answer.txt"""
TEACHERS = [{"model": "DeepSeek-V3.2", "connection": "deepseek"}]
SETTINGS = [{"latency_ms": 0}]


@pytest.fixture
def calling(pipeline: Writer, folder: Path) -> Path:
    """A pipeline with one node that calls the teacher."""
    (folder / "teachers.json").write_text(json.dumps(TEACHERS))
    (folder / "simulation.json").write_text(json.dumps(SETTINGS))
    files = {name: {"type": "uri_file", "path": f"./{name}.json"} for name in ("teachers", "simulation")}
    inputs = {"teacher_route": "simulated", **files}
    route: dict[str, Any] = {"route": "${{parent.inputs.teacher_route}}"}
    ask = command(f": ${{{{inputs.route}}}}\n{ASK}", inputs=route, outputs={"answer": {"type": "uri_folder"}})
    return pipeline({"ask": ask}, inputs=inputs)


def test_a_teacher_answers_during_the_run_and_is_stopped_afterwards(
    azdistill: Command, calling: Path, simulators: Callable[[], set[str]]
) -> None:
    done = azdistill("run", calling, "-o", "r")
    assert done.code == 0, done.err
    assert done.err.splitlines()[0] == "DeepSeek-V3.2 is simulated: a program on loopback answers, not a language model"
    address, answer, *_ = Path("r/ask/answer/answer.txt").read_text().splitlines()
    assert address.startswith("http://127.0.0.1:")
    assert "simulated teacher" in answer
    assert simulators() == set()


def test_each_teacher_is_simulated_by_a_process_in_the_same_order(
    azdistill: Command, calling: Path, folder: Path, simulators: Callable[[], set[str]]
) -> None:
    experts = {"DeepSeek-V3.2": "nli", "cheap": "qa"}
    teachers = [{"model": "gpt", "name": name} for name in experts]
    (folder / "teachers.json").write_text(json.dumps(teachers))
    (folder / "simulation.json").write_text(json.dumps([{"expert": expert} for expert in experts.values()]))
    done = azdistill("run", calling, "-o", "r")
    assert done.code == 0, done.err
    assert done.err.splitlines()[0] == (
        "DeepSeek-V3.2, cheap are simulated: programs on loopback answer, not language models"
    )
    addresses, *answers = Path("r/ask/answer/answer.txt").read_text().splitlines()
    assert len(set(addresses.split())) == 2
    assert [line for line in answers if line.startswith("expert")] == ["expert: nli", "expert: qa"]
    assert simulators() == set()


@pytest.fixture
def simulators() -> Callable[[], set[str]]:
    """Processes of simulated teachers that were started since the test began."""
    before = children()
    return lambda: children() - before


def children() -> set[str]:
    """Process IDs of the simulated teachers that this process runs."""
    process_ids = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {child for child in process_ids if "azdistill.simulate" in Path(f"/proc/{child}/cmdline").read_text()}


def test_none_is_started_for_reused_nodes_or_to_explain(azdistill: Command, calling: Path) -> None:
    assert "simulated" not in azdistill("run", calling, "-o", "r", "--explain").err
    azdistill("run", calling, "-o", "r")
    done = azdistill("run", calling, "-o", "r")
    assert (done.code, done.err) == (0, "ask: reused; --from ask runs it again\n")


def test_none_is_started_if_no_selected_node_calls_it(azdistill: Command, calling: Path) -> None:
    document = json.loads(calling.read_text())
    document["jobs"]["other"] = command("echo other")
    calling.write_text(json.dumps(document))
    done = azdistill("run", calling, "-o", "r", "--until", "other")
    assert done.code == 0
    assert "simulated" not in done.err


def test_none_is_started_on_the_route_to_the_real_endpoint(azdistill: Command, calling: Path) -> None:
    done = azdistill("run", calling, "-o", "r", "--set", "inputs.teacher_route=endpoint")
    assert done.code == 1
    assert "simulated" not in done.err


def test_it_is_stopped_after_a_failed_run(
    azdistill: Command, calling: Path, simulators: Callable[[], set[str]]
) -> None:
    calling.write_text(calling.read_text().replace("print(", "1/0; print("))
    assert azdistill("run", calling, "-o", "r").code == 1
    assert simulators() == set()


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("teachers", "[]", "teachers"),
        ("teachers", "{}", "teachers"),
        ("teachers", "[", "teachers.json: not JSON"),
        ("teachers", '[{"model": "m", "latency": 1}]', "teachers.0.latency"),
        ("simulation", '[{"latency": 1}]', "0.latency"),
        ("simulation", "{}", "inputs.simulation="),
    ],
)
def test_a_wrong_file_of_teachers_or_their_settings_is_one_line(
    azdistill: Command, calling: Path, folder: Path, file: str, content: str, message: str
) -> None:
    (folder / f"{file}.json").write_text(content)
    done = azdistill("run", calling, "-o", "r")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert done.err.count("\n") == 1


def test_a_teachers_file_that_is_not_there_is_one_line(azdistill: Command, calling: Path, folder: Path) -> None:
    (folder / "teachers.json").unlink()
    done = azdistill("run", calling, "-o", "r")
    assert (done.code, done.out) == (2, "")
    assert "inputs.teachers" in done.err
    assert done.err.count("\n") == 1


def test_a_judge_is_simulated_by_its_own_route(azdistill: Command, calling: Path, folder: Path) -> None:
    """The teacher of this run is real, so only the judge is simulated."""
    (folder / "judge_model.json").write_text(json.dumps({"model": "gpt-5.1", "connection": "boss"}))
    (folder / "judge_simulation.json").write_text(json.dumps([{"expert": "judge"}]))
    document = json.loads(calling.read_text().replace("TEACHER", "JUDGE").replace("teacher_route", "judge_route"))
    files = {name: {"type": "uri_file", "path": f"./{name}.json"} for name in ("judge_model", "judge_simulation")}
    document["inputs"] |= {"teacher_route": "endpoint", **files}
    calling.write_text(json.dumps(document))
    done = azdistill("run", calling, "-o", "r")
    assert done.code == 0, done.err
    assert done.err.splitlines()[0] == "gpt-5.1 is simulated: a program on loopback answers, not a language model"
    assert "expert: judge" in Path("r/ask/answer/answer.txt").read_text()
