"""Damaged files of state, and the code that continues from them.

`python -m benchmarks.robust_damage` makes a small run once and damages copies of its files: checkpoints and tokenized
rows of an interrupted training, answers of an interrupted prediction, outputs of steps, records and caches of the
engine, the response store, and MLflow's database. It prints `damaged_states`, `damaged_tracebacks` (states that are a
traceback instead of a line for the user) and `damaged_silent` (states after which the work ended as if nothing was
wrong, with another result than from the undamaged files).
"""

import contextlib
import filecmp
import hashlib
import io
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from azdistill.contracts import evaluate, predict, register, report, train
from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.step import Step, flag
from azdistill.engine.local.engine import explain
from azdistill.generation import unfinished
from azdistill.steps import evaluate as evaluate_step
from azdistill.steps import predict as predict_step
from azdistill.steps import register as register_step
from azdistill.steps import report as report_step
from azdistill.steps import train as train_step
from azdistill.steps.runner import run_step
from azdistill.teacher.store import StoreIndex
from azdistill.training.checkpoints import is_complete
from tests.damaged import CONTENTS
from tests.small_job import AZDISTILL, small_job, variables

SEED = 7
ROWS = {"training_data.jsonl": 100, "test_data.jsonl": 16}
TRAINING = {
    "weights": "random",
    "seed": 5,
    "learning_rate": 2e-3,
    "batch_size": 8,
    "num_epochs": 2,
    "max_length": 256,
    "checkpoint_steps": 3,
}
PREDICTION = {"max_new_tokens": 12, "latency_rows": 0, "batch_size": 4}
# Words of the messages that report a damage without ending the work.
REPORTED = ("damaged", "missing")
# The result of a scenario in which nothing wrong was used, and of one in which something was.
RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True)
class Outcome:
    """Outcome of a step on damaged files: a digest of its results, its output, and whether that is a traceback."""

    result: str
    text: str
    is_traceback: bool


@dataclass
class Scenario:
    """Files in `folder`, and the code that continues from them and returns a digest of its results.

    `states` of the files that match `patterns` are damaged, one at a time. `kept` is a copy of the folder.
    """

    name: str
    folder: Path
    patterns: tuple[str, ...]
    states: int
    proceed: Callable[[], str]
    kept: Path = field(init=False)

    def __post_init__(self) -> None:
        if not self.files():
            sys.exit(f"{self.name}: there are no files to damage")
        self.kept = self.folder.with_name(f"{self.folder.name}.kept")
        shutil.copytree(self.folder, self.kept, symlinks=True)

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder, symlinks=True)

    def outcome(self) -> Outcome:
        printed, result, is_traceback = io.StringIO(), "", False
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                result = self.proceed()
            except AzdistillError as error:
                print(f"error: {error}")
            except Exception as error:  # what a user would see as a traceback
                print(f"{type(error).__name__}: {error}")
                is_traceback = True
        return Outcome(result, printed.getvalue(), is_traceback or "Traceback" in printed.getvalue())

    def files(self) -> list[Path]:
        return sorted({path for pattern in self.patterns for path in self.folder.glob(pattern) if path.is_file()})


DAMAGES: Mapping[str, Callable[[Path, random.Random], object]] = {
    "missing": lambda path, rng: path.unlink(),
    "cut": lambda path, rng: path.write_bytes(path.read_bytes()[: rng.randrange(max(path.stat().st_size, 1))]),
    "a byte": lambda path, rng: path.write_bytes(flipped(path.read_bytes(), rng)),
    "zeros": lambda path, rng: path.write_bytes(bytes(path.stat().st_size)),
    "another content": lambda path, rng: path.write_bytes(rng.choice(list(CONTENTS.values()))),
    "a folder": lambda path, rng: (path.unlink(), path.mkdir()),
}


def flipped(content: bytes, rng: random.Random) -> bytes:
    if not content:
        return b"\0"
    changed = bytearray(content)
    changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def digest(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


def arguments(step: Step[Any], **values: Any) -> list[str]:
    return [word for name, value in values.items() for word in (flag(name), str(value))]


def run(step: Step[Any], body: Callable[[Any], None], **values: Any) -> None:
    """Run a step in this process. Raises AzdistillError when it fails."""
    if code := run_step(step, body, arguments(step, **values)):
        raise AzdistillError(f"exit code {code}")


def make_run(folder: Path) -> Path:
    """A small run to its end, which is a refusal: the student of so few rows fails its gates."""
    job = small_job(folder / "job", ROWS)
    command = [*AZDISTILL, "run", str(job), "-o", str(folder / "run")]
    done = subprocess.run(command, env=variables(folder / "home"), capture_output=True, text=True, check=False)
    if done.returncode != 3:
        sys.exit(f"the run ended with {done.returncode}:\n{done.stderr}")
    return folder / "run"


def interrupted_training(folder: Path, run_folder: Path, student: Path) -> Scenario:
    """A training that got SIGTERM in its second epoch. It has two checkpoints, the best weights and tokenized rows."""
    outputs = {name: folder / name for name in train.STEP.outputs}
    values = {"curated": run_folder / "curate/curated", "student": student, **outputs, **TRAINING}

    def proceed() -> str:
        tempfile.tempdir = str(folder / "tmp")  # of the tokenized rows
        try:
            run(train.STEP, train_step.body, **values)
        finally:
            tempfile.tempdir = None
        return digest(folder / "model/model.safetensors")

    (folder / "tmp").mkdir(parents=True)
    stopper = threading.Thread(target=_interrupt_after, args=(folder / "checkpoints", 15))
    stopper.start()
    with contextlib.suppress(AzdistillError):
        proceed()
    stopper.join()
    return Scenario("training", folder, ("checkpoints/*/*/checkpoint-*/*", "tmp/*/*"), 42, proceed)


def _interrupt_after(checkpoints: Path, step: int) -> None:
    """Send SIGTERM to this process once the checkpoint of a step is complete."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(is_complete(path) for path in checkpoints.glob(f"*/*/checkpoint-{step}")):
            os.kill(os.getpid(), signal.SIGTERM)
            return
        time.sleep(0.001)


def interrupted_prediction(folder: Path, run_folder: Path) -> Scenario:
    values = {
        "model": run_folder / "train/model",
        "prompts": run_folder / "prepare/prompts",
        "predictions": folder / "predictions",
        **PREDICTION,
    }

    def proceed() -> str:
        run(predict.STEP, predict_step.body, **values)
        return digest(folder / "predictions/predictions.jsonl")

    class Interrupted(unfinished.UnfinishedAnswers):
        def write(self) -> None:
            super().write()
            if self._files == 5:
                raise KeyboardInterrupt

    before = unfinished.EVERY, unfinished.UnfinishedAnswers
    unfinished.EVERY, unfinished.UnfinishedAnswers = 0.0, Interrupted
    with contextlib.suppress(AzdistillError):
        proceed()
    unfinished.EVERY, unfinished.UnfinishedAnswers = before
    return Scenario("prediction", folder, ("predictions/unfinished/*",), 12, proceed)


def outputs_of_steps(folder: Path, run_folder: Path) -> Scenario:
    """Outputs of all steps, which steps evaluate and report read."""
    shutil.copytree(run_folder, folder, symlinks=True)
    shared = {"prompts": folder / "prepare/prompts", "completions": folder / "teacher/completions"}
    models = {role: folder / f"predict_{role}/predictions" for role in ("student", "baseline")}

    def proceed() -> str:
        evaluation, rendered = folder / "new/evaluation", folder / "new/report"
        run(evaluate.STEP, evaluate_step.body, **shared, **models, evaluation=evaluation, resamples=200)
        curated = {"curated": folder / "curate/curated", "training": folder / "train/metrics"}
        run(report.STEP, report_step.body, **shared, **models, **curated, evaluation=evaluation, report=rendered)
        return digest(evaluation / "metrics.json", evaluation / "gate.json")

    patterns = ("prepare", "teacher", "curate", "train/metrics", "predict_student", "predict_baseline")
    return Scenario("outputs", folder, tuple(f"{name}/**/*.json*" for name in patterns), 16, proceed)


def records_of_the_engine(folder: Path, run_folder: Path, home: Path) -> Scenario:
    """A run folder, of which the engine says what it would reuse: a changed output must not be among that."""
    shutil.copytree(run_folder, folder, symlinks=True)

    def proceed() -> str:
        for verb in (["runs", str(folder.parent)], ["report", str(folder)], ["logs", str(folder), "evaluate"]):
            _verb(*verb)
        explained = explain(folder / "bundle/pipeline.yml", folder, home=home)
        runs_again = [f"{node.node} runs: {'; '.join(node.reasons)}" for node in explained if not node.reused]
        print(*runs_again, sep="\n")
        reused = [path for node in explained if node.reused for path in (run_folder / node.node).glob("*/*.*")]
        same = [filecmp.cmp(path, folder / path.relative_to(run_folder), shallow=False) for path in reused]
        return RIGHT if all(same) else WRONG

    patterns = ("*/node.json", ".hashes.json", ".pipeline", "*/*/*.json*")
    return Scenario("engine", folder, patterns, 16, proceed)


def _verb(*words: str) -> None:
    """Run a verb of the command line in this process. Raises what is not an error for the user."""
    from azdistill.cli.main import app

    with contextlib.suppress(AzdistillError):
        app(words, standalone_mode=False)


def response_store(folder: Path, home: Path) -> Scenario:
    """The answers of the teacher. One that is not read is asked again; none may be read as another."""
    store = next(home.glob("datastores/*/azdistill/store"))
    shutil.copytree(store, folder)
    index = StoreIndex(folder)
    keys = [key for line in _lines(folder) if (key := json.loads(line)["key"])]
    answers = {key: repr(index.get(key)) for key in keys}

    def proceed() -> str:
        index = StoreIndex(folder)
        read = {key: repr(record) for key in keys if (record := index.get(key))}
        print(f"{len(keys) - len(read)} answers are missing, {index.unreadable} lines are not readable")
        return RIGHT if all(answers[key] == text for key, text in read.items()) else WRONG

    return Scenario("store", folder, ("*.jsonl",), 8, proceed)


def _lines(folder: Path) -> Iterator[bytes]:
    for path in sorted(folder.glob("*.jsonl")):
        yield from path.read_bytes().splitlines()


def mlflow_database(folder: Path, run_folder: Path) -> Scenario:
    """MLflow's database, in which step register registers a student whose gates are not enforced."""
    shared = {"prompts": run_folder / "prepare/prompts", "completions": run_folder / "teacher/completions"}
    models = {role: run_folder / f"predict_{role}/predictions" for role in ("student", "baseline")}
    evaluation = folder.with_name("evaluation")
    settings = {"enforce_gates": False, "resamples": 200}
    run(evaluate.STEP, evaluate_step.body, **shared, **models, evaluation=evaluation, **settings)
    model = {"model": run_folder / "train/model", "model_address": run_folder / "train/model"}
    more = {"curated": run_folder / "curate/curated", "training": run_folder / "train/metrics"}
    outputs = {name: folder / name for name in register.STEP.outputs}
    numbers = itertools.count()

    def proceed() -> str:
        # MLflow keeps connections to a database as long as its process lives: each state gets another name.
        database = folder.with_name(f"mlflow-{next(numbers)}.db")
        if (folder / "mlflow.db").is_file():
            shutil.copy(folder / "mlflow.db", database)
        elif (folder / "mlflow.db").is_dir():
            database.mkdir()
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{database}"
        try:
            values = {**model, **shared, **more, "evaluation": evaluation, **outputs, "registered_model": "student"}
            run(register.STEP, register_step.body, **values)
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]
        return str(json.loads((folder / "registration/lineage.json").read_bytes())["model_digest"])

    folder.mkdir()
    (folder / "mlflow.db").touch()
    proceed()
    shutil.move(folder.with_name("mlflow-0.db"), folder / "mlflow.db")
    return Scenario("mlflow", folder, ("mlflow.db",), 6, proceed)


def damage_all(scenario: Scenario, rng: random.Random) -> dict[str, int]:
    """Damage the files of a scenario, in turn and in all ways; count what is wrong."""
    scenario.restore()
    undamaged = scenario.outcome()
    if undamaged.is_traceback or not undamaged.result:
        sys.exit(f"{scenario.name}: the undamaged files: {undamaged.text}")
    scenario.restore()
    files, counts = scenario.files(), {"damaged_states": 0, "damaged_tracebacks": 0, "damaged_silent": 0}
    rng.shuffle(files)
    kinds = list(DAMAGES)
    for number in range(scenario.states):
        scenario.restore()
        path, kind = files[number % len(files)], kinds[(number + number // len(files)) % len(kinds)]
        DAMAGES[kind](path, rng)
        outcome = scenario.outcome()
        counts["damaged_states"] += 1
        is_reported = any(word in outcome.text for word in REPORTED) and outcome.result != WRONG
        is_silent = outcome.result not in ("", undamaged.result) and not is_reported
        counts["damaged_tracebacks"] += outcome.is_traceback
        counts["damaged_silent"] += is_silent
        if outcome.is_traceback or is_silent:
            print(f"{scenario.name}: {path.relative_to(scenario.folder)}: {kind}: {outcome.text[-1500:]}", flush=True)
    return counts


def damaged_states() -> dict[str, int]:
    """Figures of all scenarios together."""
    torch.set_num_threads(1)  # sums in a fixed order: the same training gives the same bytes
    rng, total = random.Random(SEED), dict.fromkeys(("damaged_states", "damaged_tracebacks", "damaged_silent"), 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run_folder, home = make_run(folder), folder / "home"
        scenarios = (
            lambda: interrupted_training(folder / "training", run_folder, folder / "job/student"),
            lambda: interrupted_prediction(folder / "prediction", run_folder),
            lambda: outputs_of_steps(folder / "runs/outputs", run_folder),
            lambda: records_of_the_engine(folder / "runs/engine", run_folder, home),
            lambda: response_store(folder / "store", home),
            lambda: mlflow_database(folder / "mlflow", run_folder),
        )
        for make in scenarios:
            started, scenario = time.perf_counter(), make()
            counts = damage_all(scenario, rng)
            print(f"{scenario.name}: {counts}, {time.perf_counter() - started:.0f} s", flush=True)
            total = {figure: total[figure] + counts[figure] for figure in total}
    return total


def main() -> None:
    figures = damaged_states()
    for figure, value in figures.items():
        print(f"{figure:<22} {value}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
