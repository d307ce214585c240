"""Parallel nodes: an entry script runs on mini-batches in worker processes."""

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
from azdistill.engine.local.processes import Processes
from azdistill.engine.local.records import ReuseKey
from azdistill.engine.local.resolve import ResolvedNode
from azdistill.engine.local.variables import inherited_variables
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Parallel
from tests.engine.local.conftest import Project, alive, until

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
def batch(project: Project) -> Callable[..., Project]:
    """Four files, a to d, and a node that runs a script on them, one at a time."""

    def write(run: str, init: str = "pass", **options: object) -> Project:
        project.write("pipeline.yml", batch_job(**options))  # type: ignore[arg-type]
        project.write("src/work.py", script(run, init))
        for name in "abcd":
            project.write(f"files/{name}", name)
        return project

    return write


def log(project: Project, name: str = "log.txt", node: str = "batch") -> str:
    return (project.folder / node / name).read_text()


Batch = Callable[..., Project]


def test_the_documented_pipeline_runs(project: Project) -> None:
    project.write("pipeline.yml", DOCUMENTED)
    project.write("score.yml", SCORE_COMPONENT)
    project.write("src/count.py", COUNT)
    project.write("src/score.py", SCORE)
    project.write("weights.json", '{"factor": 2}')
    for number in range(5):
        project.write(f"notes/{number}.txt", "x" * number)
    project.write("flowers/MLTable", MLTABLE)
    project.write("flowers/flowers.csv", "length;kind\n" + "".join(f"{n};iris {n % 3}\n" for n in range(2000)))
    project.run().check()

    counts = project.text("count", "counts").splitlines()
    assert counts == [f"{number}.txt {number * 2} a b" for number in range(5)]
    logs = [path.read_text() for path in (project.folder / "count").glob("log.*.txt")]
    assert any("DEBUG:entry_script:ready: hello\n" in text and text.endswith("good bye\n") for text in logs)
    assert log(project, node="count").endswith("azdistill: 3 of 3 mini-batches done, none failed\n")

    scores = [line.split(" ") for line in project.text("score", "scores").splitlines()]
    assert [int(line[0]) for line in scores] == list(range(2000))
    assert scores[4][1:3] == ['"IRIS', '1"']
    size = (project.root / "flowers/flowers.csv").stat().st_size
    rows = {int(line[-1]) for line in scores}
    assert max(rows) == 10 * 1024 * 2001 // size
    assert {path.name for path in (project.folder / "score").iterdir()} == {
        ".code", ".environment", "log.txt", "log.1.txt", "node.json", "scores",
    }  # fmt: skip


def test_as_many_workers_run_concurrently_as_an_instance_has(batch: Batch) -> None:
    """Each mini-batch waits for another one, so they finish only if they run concurrently."""
    project = batch("""
(root / f"here.{names[0]}").touch()
while len(list(root.glob("here.*"))) < 2: time.sleep(0.01)
return [str(os.getpid())]
""")  # fmt: skip
    text = project.pipeline.read_text().replace("max_concurrency_per_instance: 1", "max_concurrency_per_instance: 2")
    project.write("pipeline.yml", text)
    project.run(jobs=1).check()
    assert len(set(project.text("batch").split())) == 2


def test_arguments_come_after_those_of_azure(batch: Batch) -> None:
    project = batch("return [repr(sys.argv)]", more="      program_arguments: --name 'x y' ${{inputs.files}}", size="4")
    project.run().check()
    arguments = eval(project.text("batch"))
    assert arguments[0] == "work.py"
    assert arguments[-3:] == ["--name", "x y", str(project.root / "files")]
    assert arguments[arguments.index("--mini_batch_size") + 1] == "4"


def test_a_script_that_rejects_unknown_arguments_fails_as_on_azure(batch: Batch) -> None:
    project = batch("return names", init="import argparse; argparse.ArgumentParser().parse_args()")
    assert project.states() == {"batch": "failed"}
    assert "azdistill: before init() was done its worker exited with 2; see log.1.txt\n" in log(project)
    assert "unrecognized arguments: --scoring_module_name work.py" in log(project, "log.1.txt")


def test_a_failed_mini_batch_is_retried(batch: Batch) -> None:
    project = batch("""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    raise ValueError("not yet")
return names
""")  # fmt: skip
    project.run().check()
    assert project.text("batch") == "a\nb\nc\nd\n"
    assert "azdistill: mini-batch 1 (b), try 1 of 2: ValueError: not yet; see log.1.txt\n" in log(project)
    assert "Traceback" in log(project, "log.1.txt")


def test_a_worker_that_hangs_is_replaced_and_its_mini_batch_retried(batch: Batch) -> None:
    project = batch("""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)
return names
""", timeout=1)  # fmt: skip
    project.run().check()
    assert project.text("batch") == "a\nb\nc\nd\n"
    assert "mini-batch 1 (b), try 1 of 2: not done after retry_settings.timeout=1 seconds; see log.1.txt" in log(
        project
    )
    assert not alive(str(project.root))


@pytest.mark.parametrize(
    ("end", "how"),
    [
        ("os._exit(3)", "exited with 3"),
        ("sys.exit()", "exited with 0"),
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
    ],
)
def test_a_worker_that_dies_is_replaced_and_its_mini_batch_retried(batch: Batch, end: str, how: str) -> None:
    project = batch(f"""
if names == ["b"] and not (root / "tried").exists():
    (root / "tried").touch()
    {end}
return names
""")  # fmt: skip
    project.run().check()
    assert project.text("batch") == "a\nb\nc\nd\n"
    assert f"mini-batch 1 (b), try 1 of 2: its worker {how}; see log.1.txt" in log(project)


FAILING = """
if names == ["b"]: raise ValueError("bad")
return names
"""


def test_failures_are_ignored_by_default(batch: Batch) -> None:
    project = batch(FAILING, retries=0)
    project.run().check()
    assert project.text("batch") == "a\nc\nd\n"
    assert log(project).endswith("azdistill: 4 of 4 mini-batches done, 1 failed with 1 of 4 items\n")


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
    project = batch(FAILING, retries=0, more=more)
    assert project.states() == {"batch": "failed"}
    assert log(project).endswith(f"azdistill: aborted: {reason}\n")
    assert not (project.folder / "batch" / "out").exists()


@pytest.mark.parametrize("more", ["    error_threshold: 1", "    mini_batch_error_threshold: 1"])
def test_as_many_failures_as_allowed_do_not_fail_the_node(batch: Batch, more: str) -> None:
    batch(FAILING, retries=0, more=more).run().check()


def test_a_mini_batch_with_too_few_rows_has_failed_and_its_rows_are_kept(batch: Batch) -> None:
    project = batch("return tuple(names[:-1])", size="4", retries=1)
    project.run().check()
    assert project.text("batch") == "a\nb\nc\n"
    assert "mini-batch 0 (a and 3 more), try 2 of 2: run() returned 3 rows for 4 items" in log(project)
    assert log(project).endswith("1 of 1 mini-batches done, 1 failed with 1 of 4 items\n")


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        ("return 'text'", "TypeError: run() returned str; it must return a list, a tuple or a DataFrame"),
        ("return None", "TypeError: run() returned NoneType; it must return a list, a tuple or a DataFrame"),
    ],
)
def test_an_unsupported_return_type_of_run_is_reported(batch: Batch, run: str, problem: str) -> None:
    project = batch(run, size="4", retries=0, more="    error_threshold: 0")
    assert project.states() == {"batch": "failed"}
    assert problem in log(project)


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("raise ValueError('no model')", "init() failed: ValueError: no model; see log.1.txt"),
        ("import nowhere", "init() failed: ModuleNotFoundError: No module named 'nowhere'; see log.1.txt"),
    ],
)
def test_an_init_that_fails_fails_the_node(batch: Batch, init: str, reason: str) -> None:
    project = batch("return names", init=init)
    assert project.states() == {"batch": "failed"}
    assert log(project).endswith(f"azdistill: {reason}\n")


def test_an_init_that_hangs_fails_the_node(batch: Batch) -> None:
    more = "      program_arguments: --first_task_creation_timeout 1"
    project = batch("return names", init="time.sleep(60)", more=more)
    assert project.states() == {"batch": "failed"}
    assert log(project).endswith("azdistill: init() is not done after 1 seconds; see log.1.txt\n")
    assert not alive(str(project.root))


def test_a_failed_shutdown_does_not_fail_the_node(batch: Batch) -> None:
    project = batch("return names")
    project.write("src/work.py", script("return names") + "\ndef shutdown():\n    raise ValueError('late')\n")
    project.run().check()
    assert "shutdown() of worker 1 ended with exit code 1; see log.1.txt" in log(project)


def test_an_empty_folder_fails_the_node(batch: Batch) -> None:
    project = batch("return names")
    for name in "abcd":
        (project.root / "files" / name).unlink()
    assert project.states() == {"batch": "failed"}
    assert "input 'files': " in log(project)
    assert "contains no file" in log(project)


def test_what_was_finished_before_a_kill_is_not_run_again(
    batch: Batch, engines: Callable[..., subprocess.Popen[str]]
) -> None:
    project = batch("""
with open(root / "ran", "a") as stream: stream.write(names[0])
if names == ["c"] and not (root / "tried").exists():
    (root / "tried").touch()
    time.sleep(60)
return names
""")  # fmt: skip
    engine = engines(project)
    until((project.root / "tried").exists)
    engine.kill()
    engine.wait()
    assert not (project.folder / "batch" / "out").exists()
    project.run().check()
    assert (project.root / "ran").read_text() == "abccd"
    assert project.text("batch") == "a\nb\nc\nd\n"
    assert "azdistill: 2 of 4 mini-batches done, none failed; 1 concurrently" in log(project)


def test_an_interrupted_node_leaves_no_worker_and_continues(
    batch: Batch, engines: Callable[..., subprocess.Popen[str]]
) -> None:
    project = batch("""
if names == ["c"] and not (root / "tried").exists():
    (root / "tried").touch()
    time.sleep(60)
return names
""")  # fmt: skip
    engine = engines(project)
    until((project.root / "tried").exists)
    engine.send_signal(signal.SIGTERM)
    engine.communicate(timeout=20)
    assert engine.returncode == 130
    assert [pid for pid in alive(str(project.root)) if pid not in alive(str(project.pipeline))] == []
    assert project.explain()["batch"].reasons == ("its last attempt was interrupted",)
    project.run().check()
    assert project.text("batch") == "a\nb\nc\nd\n"


def test_only_failed_mini_batches_of_a_failed_node_run_again(batch: Batch) -> None:
    project = batch("""
with open(root / "ran", "a") as stream: stream.write(names[0])
if names == ["b"] and not (root / "fixed").exists(): raise ValueError("bad")
return names
""", retries=0, more="    error_threshold: 0")  # fmt: skip
    assert project.states() == {"batch": "failed"}
    project.write("fixed", "")
    project.run().check()
    assert sorted((project.root / "ran").read_text()) == ["a", "b", "b", "c", "d"]


def test_settings_of_a_parallel_node_count_for_reuse(batch: Batch) -> None:
    project = batch("return names", more="    error_threshold: 0")
    project.run().check()
    assert project.states() == {"batch": "reused"}
    text = project.pipeline.read_text()
    project.write("pipeline.yml", text.replace("max_concurrency_per_instance: 1", "max_concurrency_per_instance: 3"))
    assert project.explain()["batch"].reused
    changed = text.replace('mini_batch_size: "1"', 'mini_batch_size: "2"').replace(
        "error_threshold: 0", "error_threshold: 1"
    )
    project.write("pipeline.yml", changed)
    assert project.explain()["batch"].reasons == ("setting mini_batch_size: 1 -> 2", "setting error_threshold: 0 -> 1")
    project.write("pipeline.yml", text)
    project.write("src/work.py", script("return  names"))
    assert project.explain()["batch"].reasons == ("code changed: work.py",)


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


def test_a_table_is_split_by_partition_keys_and_the_output_has_a_header(project: Project) -> None:
    text = table("mltable", "").replace('mini_batch_size: "2"', "partition_keys: [store]")
    project.write("pipeline.yml", text + "      program_arguments: --append_row_dataframe_header True\n")
    project.write("rows/MLTable", "paths: [{pattern: ./*.csv}]\ntransformations: [read_delimited]\n")
    project.write("rows/a.csv", "store,n\nx,1\ny,2\n")
    project.write("rows/b.csv", "store,n\nx,3\n")
    project.write("src/work.py", """
def init(): pass
def run(frame, mini_batch_context):
    return frame.assign(key=mini_batch_context.partition_key_value["store"], rows=len(frame))
""")  # fmt: skip
    project.run().check()
    assert project.text("batch") == "store n key rows\nx 1 x 2\nx 3 x 2\ny 2 y 1\n"


def test_a_table_that_cannot_be_split_fails_the_node_with_the_reason(project: Project) -> None:
    text = table("uri_file", ".csv").replace('mini_batch_size: "2"', "partition_keys: [stor]")
    project.write("pipeline.yml", text)
    project.write("rows.csv", "store,n\nx,1\n")
    project.write("src/work.py", "def init(): pass\ndef run(frame): return frame\n")
    assert project.states() == {"batch": "failed"}
    assert "partition_keys=['stor']: no such column; the table has store, n\n" in log(project)


def batches(count: int) -> list[MiniBatch]:
    return [MiniBatch(index, str(index), 1, {}) for index in range(count)]


def test_a_fraction_of_mini_batches_is_delivered_twice_depending_on_the_seed() -> None:
    originals = batches(100)
    delivered = with_duplicates(originals, Faults(duplicates=0.1, seed=3))
    assert delivered[:100] == originals
    assert len(delivered) == 110
    assert {batch.copy for batch in delivered[100:]} == {1}
    assert len({batch.key for batch in delivered}) == 110
    assert with_duplicates(originals, Faults(duplicates=0.1, seed=3)) == delivered
    assert with_duplicates(originals, Faults(duplicates=0.1, seed=4)) != delivered
    assert len(with_duplicates(batches(3), Faults(duplicates=0.01))) == 4
    assert with_duplicates(originals, Faults()) == originals


def task_of(project: Project, jobs: int = 1, faults: Faults = NO_FAULTS) -> NodeAttempt:
    """An attempt of the node `batch`, as the engine makes it."""
    node = load_pipeline(project.pipeline).nodes["batch"]
    folder = project.folder / "batch"
    shutil.copytree(project.root / "src", folder / CODE)
    ports = {"inputs.files": project.root / "files", "outputs.out": folder / "out"}
    resolved = ResolvedNode(ports, ReuseKey({}), {"out": folder / "out"}, {}, {})
    variables, options = inherited_variables(project.home), RunOptions(jobs=jobs, faults=faults)
    return NodeAttempt(node, resolved, folder, Processes(), variables, options, lambda _: variables)


def test_a_duplicate_is_appended_twice_and_counted_once(batch: Batch) -> None:
    project = batch(FAILING, retries=0, more="    error_threshold: 1")
    attempt = task_of(project, faults=Faults(duplicates=1.0))
    assert run_parallel(attempt) == 0
    attempt.processes.close()
    assert project.text("batch") == "a\nc\nd\n" * 2
    assert "azdistill: 0 of 4 mini-batches done, none failed, 4 delivered twice; 1 concurrently" in log(project)
    assert "azdistill: mini-batch 1 (b, second delivery), try 1 of 1: ValueError: bad; see log.1.txt" in log(project)
    assert log(project).endswith("azdistill: 4 of 4 mini-batches done, 1 failed with 1 of 4 items\n")


ALONE = """
type: parallel
name: lengths
inputs: {files: {type: uri_folder}}
outputs: {out: {type: uri_file}}
input_data: ${{inputs.files}}
task: {type: run_function, code: ./src, entry_script: it.py, append_row_to: "${{outputs.out}}"}
"""


def test_a_parallel_component_runs_alone(project: Project) -> None:
    project.write("src/it.py", "def init(): pass\ndef run(mini_batch): return [path[-5:] for path in mini_batch]\n")
    project.write("files/a.txt", "")
    project.write("pipeline.yml", ALONE)
    project.run(inputs={"files": str(project.root / "files")}).check()
    assert project.text("lengths") == "a.txt\n"


def test_the_run_folder_may_be_relative_to_the_current_one(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    project = batch("return names")
    monkeypatch.chdir(project.root)
    project.run(folder=Path("here")).check()
    assert Path("here/batch/out").read_text() == "a\nb\nc\nd\n"


def test_duplicates_count_for_reuse(batch: Batch) -> None:
    project = batch("return names")
    project.run(faults=Faults(duplicates=0.5)).check()
    rows = project.text("batch").split()
    assert (len(rows), set(rows)) == (6, {"a", "b", "c", "d"})
    assert project.explain()["batch"].reasons == ("setting duplicates removed",)


def test_a_result_that_cannot_be_written_fails_the_node(batch: Batch) -> None:
    project = batch("return names", init="import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20))")
    assert project.states() == {"batch": "failed"}
    assert "a result could not be written: [Errno 27] File too large; free disk space and run again\n" in log(project)


@pytest.mark.parametrize(
    ("concurrency", "instances", "jobs", "expected"),
    [(None, 1, 4, 4), (None, 8, 4, 4), (2, 1, 8, 2), (2, 3, 8, 6), (2, 8, 8, 8), (4, 2, 2, 4)],
)
def test_the_number_of_workers_is_that_of_one_instance_and_more_if_jobs_allows(
    batch: Batch, concurrency: int | None, instances: int, jobs: int, expected: int
) -> None:
    task = task_of(batch("return names", more=f"    resources: {{instance_count: {instances}}}"), jobs)
    assert max_workers(task, Parallel(concurrency=concurrency)) == expected
