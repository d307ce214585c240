"""Parallel nodes: an entry script on one mini-batch after the other, in real worker processes."""

import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from azdistill.engine.local.attempts import CODE, NodeAttempt
from azdistill.engine.local.options import NO_FAULTS, Faults, RunOptions
from azdistill.engine.local.parallel.batches import MiniBatch, with_duplicates
from azdistill.engine.local.parallel.nodes import max_workers, run_parallel
from azdistill.engine.local.processes import Processes, node_variables
from azdistill.engine.local.records import ReuseKey
from azdistill.engine.local.resolve import ResolvedNode
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Parallel
from tests.engine.local.conftest import Workshop, alive, until

DOCUMENTED = """
$schema: https://azuremlschemas.azureedge.net/latest/pipelineJob.schema.json
type: pipeline
settings: {default_compute: "azureml:cpu-cluster"}
inputs:
  notes: {type: uri_folder, path: ./notes, mode: ro_mount}
  weights: {type: uri_file, path: ./weights.json}
jobs:
  count:
    type: parallel
    mini_batch_size: "2"
    mini_batch_error_threshold: 0
    error_threshold: 0
    logging_level: DEBUG
    max_concurrency_per_instance: 2
    resources: {instance_count: 1}
    retry_settings: {max_retries: 1, timeout: 60}
    environment_variables: {GREETING: hello}
    input_data: ${{inputs.notes}}
    inputs:
      notes: ${{parent.inputs.notes}}
      weights: ${{parent.inputs.weights}}
    outputs:
      counts: {type: uri_file, mode: rw_mount}
    task:
      type: run_function
      code: ./src
      entry_script: count.py
      environment: azureml:sklearn-1.5:3
      program_arguments: --weights ${{inputs.weights}} --label "a b" --error_threshold 0
      append_row_to: ${{outputs.counts}}
  score:
    type: parallel
    component: ./score.yml
    mini_batch_size: 10kb
    inputs: {flowers: {type: mltable, path: ./flowers, mode: direct}}
    outputs: {scores: {type: uri_file}}
"""

COUNT = """
import argparse, json, os
from pathlib import Path
from azureml_user.parallel_run import EntryScript

def init():
    global options, factor
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights")
    parser.add_argument("--label")
    options, _ = parser.parse_known_args()
    factor = json.loads(Path(options.weights).read_text())["factor"]
    EntryScript().logger.debug("ready: %s", os.environ["GREETING"])

def run(mini_batch):
    return [f"{Path(path).name} {len(Path(path).read_text()) * factor} {options.label}" for path in mini_batch]

def shutdown():
    print("good bye")
"""

SCORE_COMPONENT = """
type: parallel
name: score
inputs: {flowers: {type: mltable}}
outputs: {scores: {type: uri_file}}
input_data: ${{inputs.flowers}}
mini_batch_size: 1mb
max_concurrency_per_instance: 1
task:
  type: run_function
  code: ./src
  entry_script: score.py
  environment: azureml:sklearn-1.5:3
  append_row_to: ${{outputs.scores}}
"""

SCORE = """
import pandas as pd

def init():
    pass

def run(mini_batch):
    return pd.DataFrame({"length": mini_batch["length"], "kind": mini_batch["kind"].str.upper(), "n": len(mini_batch)})
"""

MLTABLE = """
paths:
  - file: ./flowers.csv
transformations:
  - read_delimited: {delimiter: ";", encoding: utf8, header: all_files_same_headers}
"""


def batch_job(more: str = "", size: str = "1", retries: int = 1, timeout: int = 60) -> str:
    """A pipeline of one parallel node, `batch`, over the files of a folder."""
    return f"""
inputs: {{files: {{type: uri_folder, path: ./files}}}}
jobs:
  batch:
    type: parallel
    mini_batch_size: "{size}"
    max_concurrency_per_instance: 1
    retry_settings: {{max_retries: {retries}, timeout: {timeout}}}
    input_data: ${{{{inputs.files}}}}
    inputs: {{files: "${{{{parent.inputs.files}}}}"}}
    outputs: {{out: {{type: uri_file}}}}
    task:
      type: run_function
      code: ./src
      entry_script: work.py
      environment: azureml:any:1
      append_row_to: ${{{{outputs.out}}}}
{more}
"""


def script(run: str, init: str = "pass") -> str:
    """An entry script; `run` has `names`, the names of the files, and `root`, the folder of the test."""
    lines = "\n".join(f"    {line}" for line in run.strip().splitlines())
    return f"""
import os, sys, time
from pathlib import Path
root = Path(__file__).resolve().parents[3]

def init():
    {init}

def run(mini_batch):
    names = [Path(path).name for path in mini_batch]
{lines}
"""


@pytest.fixture
def batch(shop: Workshop) -> Callable[..., Workshop]:
    """Four files, a to d, and a node that runs a script on them, one at a time."""

    def write(run: str, init: str = "pass", **options: object) -> Workshop:
        shop.write("pipeline.yml", batch_job(**options))  # type: ignore[arg-type]
        shop.write("src/work.py", script(run, init))
        for name in "abcd":
            shop.write(f"files/{name}", name)
        return shop

    return write


def log(shop: Workshop, name: str = "log.txt", node: str = "batch") -> str:
    return (shop.folder / node / name).read_text()


Batch = Callable[..., Workshop]


def test_a_pipeline_in_the_documented_form_runs(shop: Workshop) -> None:
    shop.write("pipeline.yml", DOCUMENTED)
    shop.write("score.yml", SCORE_COMPONENT)
    shop.write("src/count.py", COUNT)
    shop.write("src/score.py", SCORE)
    shop.write("weights.json", '{"factor": 2}')
    for number in range(5):
        shop.write(f"notes/{number}.txt", "x" * number)
    shop.write("flowers/MLTable", MLTABLE)
    shop.write("flowers/flowers.csv", "length;kind\n" + "".join(f"{n};iris {n % 3}\n" for n in range(2000)))
    shop.run().check()

    counts = shop.text("count", "counts").splitlines()
    assert counts == [f"{number}.txt {number * 2} a b" for number in range(5)]
    logs = [path.read_text() for path in (shop.folder / "count").glob("log.*.txt")]
    assert any("DEBUG:entry_script:ready: hello\n" in text and text.endswith("good bye\n") for text in logs)
    assert log(shop, node="count").endswith("azdistill: 3 of 3 mini-batches done, none failed\n")

    scores = [line.split(" ") for line in shop.text("score", "scores").splitlines()]
    assert [int(line[0]) for line in scores] == list(range(2000))
    assert scores[4][1:3] == ['"IRIS', '1"']
    size = (shop.root / "flowers/flowers.csv").stat().st_size
    rows = {int(line[-1]) for line in scores}
    assert max(rows) == 10 * 1024 * 2001 // size
    assert {path.name for path in (shop.folder / "score").iterdir()} == {
        ".code", "log.txt", "log.1.txt", "node.json", "scores",
    }  # fmt: skip


def test_workers_run_side_by_side_as_many_as_an_instance_has(batch: Batch) -> None:
    """Each mini-batch waits for another one: one after the other they would wait until the timeout."""
    shop = batch("""
(root / f"here.{names[0]}").touch()
while len(list(root.glob("here.*"))) < 2: time.sleep(0.01)
return [str(os.getpid())]
""")  # fmt: skip
    text = shop.pipeline.read_text().replace("max_concurrency_per_instance: 1", "max_concurrency_per_instance: 2")
    shop.write("pipeline.yml", text)
    shop.run(jobs=1).check()
    assert len(set(shop.text("batch").split())) == 2


def test_arguments_stand_after_those_of_azure(batch: Batch) -> None:
    shop = batch("return [repr(sys.argv)]", more="      program_arguments: --name 'x y' ${{inputs.files}}", size="4")
    shop.run().check()
    arguments = eval(shop.text("batch"))
    assert arguments[0] == "work.py"
    assert arguments[-3:] == ["--name", "x y", str(shop.root / "files")]
    assert arguments[arguments.index("--mini_batch_size") + 1] == "4"


def test_a_script_that_refuses_arguments_it_does_not_know_fails_as_on_azure(batch: Batch) -> None:
    shop = batch("return names", init="import argparse; argparse.ArgumentParser().parse_args()")
    assert shop.states() == {"batch": "failed"}
    assert "azdistill: before init() was done its worker exited with 2; see log.1.txt\n" in log(shop)
    assert "unrecognized arguments: --scoring_module_name work.py" in log(shop, "log.1.txt")


def test_a_failed_mini_batch_is_tried_again(batch: Batch) -> None:
    shop = batch("""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    raise ValueError("not yet")
return names
""")  # fmt: skip
    shop.run().check()
    assert shop.text("batch") == "a\nb\nc\nd\n"
    assert "azdistill: mini-batch 1 (b), try 1 of 2: ValueError: not yet; see log.1.txt\n" in log(shop)
    assert "Traceback" in log(shop, "log.1.txt")


def test_a_worker_that_hangs_is_replaced_and_its_mini_batch_tried_again(batch: Batch) -> None:
    shop = batch("""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)
return names
""", timeout=1)  # fmt: skip
    shop.run().check()
    assert shop.text("batch") == "a\nb\nc\nd\n"
    assert "mini-batch 1 (b), try 1 of 2: not done after retry_settings.timeout=1 seconds; see log.1.txt" in log(shop)
    assert not alive(str(shop.root))


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("os._exit(3)", "exited with 3"),
        ("sys.exit()", "exited with 0"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
    ],
)
def test_a_worker_that_dies_is_replaced_and_its_mini_batch_tried_again(batch: Batch, end: str, how: str) -> None:
    shop = batch(f"""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    {end}
return names
""")  # fmt: skip
    shop.run().check()
    assert shop.text("batch") == "a\nb\nc\nd\n"
    assert f"mini-batch 1 (b), try 1 of 2: its worker {how}; see log.1.txt" in log(shop)


FAILING = """
if names == ["b"]: raise ValueError("bad")
return names
"""


def test_by_default_all_that_fails_is_ignored(batch: Batch) -> None:
    shop = batch(FAILING, retries=0)
    shop.run().check()
    assert shop.text("batch") == "a\nc\nd\n"
    assert log(shop).endswith("azdistill: 4 of 4 mini-batches done, 1 failed with 1 of 4 items\n")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("    error_threshold: 0", "1 items failed, more than error_threshold=0"),
        ("      program_arguments: --error_threshold 0", "1 items failed, more than error_threshold=0"),
        ("    mini_batch_error_threshold: 0", "1 mini-batches failed, more than mini_batch_error_threshold=0"),
        ("      program_arguments: --allowed_failed_percent 20",
         "1 of 4 mini-batches failed, more than allowed_failed_percent=20"),
    ],
)  # fmt: skip
def test_more_failures_than_allowed_fail_the_node_at_once(batch: Batch, more: str, reason: str) -> None:
    shop = batch(FAILING, retries=0, more=more)
    assert shop.states() == {"batch": "failed"}
    assert log(shop).endswith(f"azdistill: aborted: {reason}\n")
    assert not (shop.folder / "batch" / "out").exists()


@pytest.mark.parametrize("more", ["    error_threshold: 1", "    mini_batch_error_threshold: 1"])
def test_as_many_failures_as_allowed_do_not_fail_the_node(batch: Batch, more: str) -> None:
    batch(FAILING, retries=0, more=more).run().check()


def test_a_mini_batch_that_returns_too_little_has_failed_and_its_rows_are_kept(batch: Batch) -> None:
    shop = batch("return tuple(names[:-1])", size="4", retries=1)
    shop.run().check()
    assert shop.text("batch") == "a\nb\nc\n"
    assert "mini-batch 0 (a and 3 more), try 2 of 2: run() returned 3 rows for 4 items" in log(shop)
    assert log(shop).endswith("1 of 1 mini-batches done, 1 failed with 1 of 4 items\n")


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ("return 'text'", "TypeError: run() returned str; it must return a list, a tuple or a DataFrame"),
        ("return None", "TypeError: run() returned NoneType; it must return a list, a tuple or a DataFrame"),
    ],
)
def test_what_run_may_not_return_is_told(batch: Batch, run: str, problem: str) -> None:
    shop = batch(run, size="4", retries=0, more="    error_threshold: 0")
    assert shop.states() == {"batch": "failed"}
    assert problem in log(shop)


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("raise ValueError('no model')", "init() failed: ValueError: no model; see log.1.txt"),
        ("import nowhere", "init() failed: ModuleNotFoundError: No module named 'nowhere'; see log.1.txt"),
    ],
)
def test_an_init_that_fails_fails_the_node(batch: Batch, init: str, reason: str) -> None:
    shop = batch("return names", init=init)
    assert shop.states() == {"batch": "failed"}
    assert log(shop).endswith(f"azdistill: {reason}\n")


def test_an_init_that_hangs_fails_the_node(batch: Batch) -> None:
    more = "      program_arguments: --first_task_creation_timeout 1"
    shop = batch("return names", init="time.sleep(60)", more=more)
    assert shop.states() == {"batch": "failed"}
    assert log(shop).endswith("azdistill: init() is not done after 1 seconds; see log.1.txt\n")
    assert not alive(str(shop.root))


def test_a_shutdown_that_fails_spoils_nothing(batch: Batch) -> None:
    shop = batch("return names")
    shop.write("src/work.py", script("return names") + "\ndef shutdown():\n    raise ValueError('late')\n")
    shop.run().check()
    assert "shutdown() of worker 1 ended with exit code 1; see log.1.txt" in log(shop)


def test_an_empty_folder_fails_the_node(batch: Batch) -> None:
    shop = batch("return names")
    for name in "abcd":
        (shop.root / "files" / name).unlink()
    assert shop.states() == {"batch": "failed"}
    assert "input 'files': " in log(shop)
    assert "contains no file" in log(shop)


def test_what_was_finished_before_a_kill_is_not_run_again(
    batch: Batch, engines: Callable[..., subprocess.Popen[str]]
) -> None:
    shop = batch("""
with open(root / "ran", "a") as stream: stream.write(names[0])
if names == ["c"] and not (root / "tried").exists():
    (root / "tried").touch()
    time.sleep(60)
return names
""")  # fmt: skip
    engine = engines(shop)
    until((shop.root / "tried").exists)
    engine.kill()
    engine.wait()
    assert not (shop.folder / "batch" / "out").exists()
    shop.run().check()
    assert (shop.root / "ran").read_text() == "abccd"
    assert shop.text("batch") == "a\nb\nc\nd\n"
    assert "azdistill: 2 of 4 mini-batches done, none failed; 1 concurrently" in log(shop)


def test_an_interrupted_node_leaves_no_worker_and_goes_on(
    batch: Batch, engines: Callable[..., subprocess.Popen[str]]
) -> None:
    shop = batch("""
if names == ["c"] and not (root / "tried").exists():
    (root / "tried").touch()
    time.sleep(60)
return names
""")  # fmt: skip
    engine = engines(shop)
    until((shop.root / "tried").exists)
    engine.send_signal(signal.SIGTERM)
    engine.communicate(timeout=20)
    assert engine.returncode == 130
    assert [pid for pid in alive(str(shop.root)) if pid not in alive(str(shop.pipeline))] == []
    assert shop.explain()["batch"].reasons == ("its last attempt was interrupted",)
    shop.run().check()
    assert shop.text("batch") == "a\nb\nc\nd\n"


def test_a_failed_node_runs_only_what_failed_again(batch: Batch) -> None:
    shop = batch("""
with open(root / "ran", "a") as stream: stream.write(names[0])
if names == ["b"] and not (root / "mended").exists(): raise ValueError("bad")
return names
""", retries=0, more="    error_threshold: 0")  # fmt: skip
    assert shop.states() == {"batch": "failed"}
    shop.write("mended", "")
    shop.run().check()
    assert sorted((shop.root / "ran").read_text()) == ["a", "b", "b", "c", "d"]


def test_what_decides_about_reuse_can_be_read(batch: Batch) -> None:
    shop = batch("return names", more="    error_threshold: 0")
    shop.run().check()
    assert shop.states() == {"batch": "reused"}
    text = shop.pipeline.read_text()
    shop.write("pipeline.yml", text.replace("max_concurrency_per_instance: 1", "max_concurrency_per_instance: 3"))
    assert shop.explain()["batch"].reused
    changed = text.replace('mini_batch_size: "1"', 'mini_batch_size: "2"').replace(
        "error_threshold: 0", "error_threshold: 1"
    )
    shop.write("pipeline.yml", changed)
    assert shop.explain()["batch"].reasons == ("setting mini_batch_size: 1 -> 2", "setting error_threshold: 0 -> 1")
    shop.write("pipeline.yml", text)
    shop.write("src/work.py", script("return  names"))
    assert shop.explain()["batch"].reasons == ("code changed: work.py",)


TABLE = """
inputs: {rows: {type: @, path: ./rows.@}}
jobs:
  batch:
    type: parallel
    mini_batch_size: "2"
    max_concurrency_per_instance: 1
    input_data: ${{inputs.rows}}
    inputs: {rows: "${{parent.inputs.rows}}"}
    outputs: {out: {type: uri_file}}
    task:
      type: run_function
      code: ./src
      entry_script: work.py
      environment: azureml:any:1
      append_row_to: ${{outputs.out}}
"""


def table(kind: str, suffix: str) -> str:
    return TABLE.replace("type: @", f"type: {kind}").replace("rows.@", f"rows{suffix}")


def test_a_table_is_cut_by_the_values_of_its_keys_and_columns_get_a_header(shop: Workshop) -> None:
    text = table("mltable", "").replace('mini_batch_size: "2"', "partition_keys: [store]")
    shop.write("pipeline.yml", text + "      program_arguments: --append_row_dataframe_header True\n")
    shop.write("rows/MLTable", "paths: [{pattern: ./*.csv}]\ntransformations: [read_delimited]\n")
    shop.write("rows/a.csv", "store,n\nx,1\ny,2\n")
    shop.write("rows/b.csv", "store,n\nx,3\n")
    shop.write("src/work.py", """
def init(): pass
def run(frame, mini_batch_context):
    return frame.assign(key=mini_batch_context.partition_key_value["store"], rows=len(frame))
""")  # fmt: skip
    shop.run().check()
    assert shop.text("batch") == "store n key rows\nx 1 x 2\nx 3 x 2\ny 2 y 1\n"


def test_a_table_that_can_not_be_read_fails_the_node_with_the_reason(shop: Workshop) -> None:
    text = table("uri_file", ".csv").replace('mini_batch_size: "2"', "partition_keys: [stor]")
    shop.write("pipeline.yml", text)
    shop.write("rows.csv", "store,n\nx,1\n")
    shop.write("src/work.py", "def init(): pass\ndef run(frame): return frame\n")
    assert shop.states() == {"batch": "failed"}
    assert "partition_keys=['stor']: no such column; the table has store, n\n" in log(shop)


def batches(count: int) -> list[MiniBatch]:
    return [MiniBatch(index, str(index), 1, {}) for index in range(count)]


def test_a_share_of_mini_batches_is_delivered_twice_the_same_ones_for_a_seed() -> None:
    once = batches(100)
    twice = with_duplicates(once, Faults(duplicates=0.1, seed=3))
    assert twice[:100] == once
    assert len(twice) == 110
    assert {one.copy for one in twice[100:]} == {1}
    assert len({one.key for one in twice}) == 110
    assert with_duplicates(once, Faults(duplicates=0.1, seed=3)) == twice
    assert with_duplicates(once, Faults(duplicates=0.1, seed=4)) != twice
    assert len(with_duplicates(batches(3), Faults(duplicates=0.01))) == 4
    assert with_duplicates(once, Faults()) == once


def task_of(shop: Workshop, jobs: int = 1, faults: Faults = NO_FAULTS) -> NodeAttempt:
    """The node as the engine hands it over."""
    node = load_pipeline(shop.pipeline).nodes["batch"]
    folder = shop.folder / "batch"
    shutil.copytree(shop.root / "src", folder / CODE)
    ports = {"inputs.files": shop.root / "files", "outputs.out": folder / "out"}
    resolved = ResolvedNode(ports, ReuseKey({}), {"out": folder / "out"}, {}, {})
    return NodeAttempt(
        node, resolved, folder, Processes(), node_variables(shop.home), RunOptions(jobs=jobs, faults=faults)
    )


def test_what_is_delivered_twice_is_appended_twice_and_counts_once(batch: Batch) -> None:
    shop = batch(FAILING, retries=0, more="    error_threshold: 1")
    assert run_parallel(task_of(shop, faults=Faults(duplicates=1.0))) == 0
    assert shop.text("batch") == "a\nc\nd\n" * 2
    assert "azdistill: 0 of 4 mini-batches done, none failed, 4 delivered twice; 1 concurrently" in log(shop)
    assert "azdistill: mini-batch 1 (b, second delivery), try 1 of 1: ValueError: bad; see log.1.txt" in log(shop)
    assert log(shop).endswith("azdistill: 4 of 4 mini-batches done, 1 failed with 1 of 4 items\n")


ALONE = """
type: parallel
name: lengths
inputs: {files: {type: uri_folder}}
outputs: {out: {type: uri_file}}
input_data: ${{inputs.files}}
task: {type: run_function, code: ./src, entry_script: it.py, append_row_to: "${{outputs.out}}"}
"""


def test_a_parallel_component_runs_by_itself(shop: Workshop) -> None:
    shop.write("src/it.py", "def init(): pass\ndef run(mini_batch): return [path[-5:] for path in mini_batch]\n")
    shop.write("files/a.txt", "")
    shop.write("pipeline.yml", ALONE)
    shop.run(inputs={"files": str(shop.root / "files")}).check()
    assert shop.text("lengths") == "a.txt\n"


def test_the_run_folder_may_be_relative_to_the_current_one(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = batch("return names")
    monkeypatch.chdir(shop.root)
    shop.run(folder=Path("here")).check()
    assert Path("here/batch/out").read_text() == "a\nb\nc\nd\n"


def test_a_run_with_duplicates_is_not_taken_for_one_without(batch: Batch) -> None:
    shop = batch("return names")
    shop.run(faults=Faults(duplicates=0.5)).check()
    rows = shop.text("batch").split()
    assert (len(rows), set(rows)) == (6, {"a", "b", "c", "d"})
    assert shop.explain()["batch"].reasons == ("setting duplicates removed",)


def test_a_result_that_there_is_no_room_for_fails_the_node_whatever_may_fail(batch: Batch) -> None:
    shop = batch("return names", init="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))")
    assert shop.states() == {"batch": "failed"}
    assert "a result could not be written: [Errno 27] File too large; make room and run again\n" in log(shop)


@pytest.mark.parametrize(
    ("concurrency", "instances", "jobs", "expected"),
    [(None, 1, 4, 4), (None, 8, 4, 4), (2, 1, 8, 2), (2, 3, 8, 6), (2, 8, 8, 8), (4, 2, 2, 4)],
)
def test_one_instance_is_matched_and_more_as_far_as_jobs_allows(
    batch: Batch, concurrency: int | None, instances: int, jobs: int, expected: int
) -> None:
    task = task_of(batch("return names", more=f"    resources: {{instance_count: {instances}}}"), jobs)
    assert max_workers(task, Parallel(concurrency=concurrency)) == expected
