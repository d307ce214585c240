"""Study part of `make bench-signals`: what each signal adds to the text of the teacher's answers.

The jobs of pipelines/signals are trained with SEEDS, by the steps of a run, at shares of their updates, and answer the
same held-out rows. Writes docs/signals.md.

`topk_updates_ratio`      updates with which text + top_k is as accurate as text alone with all of its updates, divided
                          by these: the smallest share in TOP_K_SHARES. No figure if none is enough
`on_policy_gain`          accuracy of on-policy distillation after text, minus that of text alone with the same updates;
`on_policy_gain_low`      the lower end of its paired 95% interval
`aligned_share_cross_tokenizer`  share of the target tokens that have log probabilities of the teacher, of a student
                          with another tokenizer
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import Figures
from benchmarks.signals_page import SIGNALS, TEXT, Study, Trainings, page

ROOT = Path(__file__).parent.parent
JOBS, PAGE = ROOT / "pipelines" / "signals", ROOT / "docs" / "signals.md"
DATA = JOBS / "data"

AZDISTILL = [sys.executable, "-c", "from azdistill.cli.main import main; main()"]

# Seeds of weights, batches and rollouts.
SEEDS = (1, 2, 3)
# Shares of the updates of a job, and more of them for the signal whose updates are compared: 7 to 10 of 16 epochs.
SHARES, TOP_K_SHARES = (0.5, 1.0), (0.4375, 0.5, 0.5625, 0.625, 1.0)
# Trainings at the same time, each with one thread.
PROCESSES = 2
# Port of the teacher in the job files. A sampled answer depends on the address, as a request's id does.
PORT = 8765
# Rows answered together, and the longest answer in tokens of either tokenizer.
BATCH, MAX_NEW_TOKENS = 100, 64


@dataclass(frozen=True)
class Trained:
    """Result of one training: `correct` for each held-out row, and the processor time in seconds."""

    updates: int
    seconds: float
    aligned_share: float | None
    correct: Sequence[bool]


def study() -> Figures:
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
    with tempfile.TemporaryDirectory() as temporary:
        results = _run(Path(temporary))
    PAGE.write_text(page(results), encoding="utf-8")
    print(f"  {PAGE.relative_to(ROOT)} is written", flush=True)
    on_policy, enough = results.gain("on_policy").interval, results.top_k_updates
    figures = {
        "topk_updates_ratio": enough and enough / results.final(TEXT).updates,
        "on_policy_gain": on_policy.value,
        "on_policy_gain_low": on_policy.low,
        "aligned_share_cross_tokenizer": results.aligned_share,
    }
    return {name: value for name, value in figures.items() if value is not None}


def _run(folder: Path) -> Study:
    """Make rows and models, let the teacher answer, and train all students."""
    _make_data()
    with ExitStack() as stack:
        stack.enter_context(_teacher())
        run = _let_teacher_answer(folder)
        context = multiprocessing.get_context("spawn")
        pool = stack.enter_context(ProcessPoolExecutor(PROCESSES, mp_context=context))
        trainings = {
            signal: {share: _start(pool, run, signal, share) for share in _shares(signal)} for signal in SIGNALS
        }
        other = {signal: _start(pool, run, signal, 1.0, "other_student") for signal in (TEXT, "top_k")}
        return Study(
            {
                signal: {share: _finish(f"{signal} {share}", futures) for share, futures in by_share.items()}
                for signal, by_share in trainings.items()
            },
            {signal: _finish(f"{signal}, other tokenizer", futures) for signal, futures in other.items()},
            other["top_k"][0].result().aligned_share or 0.0,
            _facts(run),
        )


def _make_data() -> None:
    started = time.perf_counter()
    for script, option in (("generate.py", "--out"), ("make_models.py", "--data")):
        _call([sys.executable, str(JOBS / script), option, str(DATA)])
    print(f"  rows and models are made: {time.perf_counter() - started:.0f} s", flush=True)


@contextmanager
def _teacher() -> Iterator[None]:
    """Serve the teacher until the end of the block, or of this process."""
    options = ["--with-parent", "--model", str(DATA / "teacher"), "--port", str(PORT)]
    command = [sys.executable, "-m", "azdistill.simulate", "--simulation", '{"latency_ms": 0}', *options]
    server = subprocess.Popen(
        command, env=_environ(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    assert server.stdout
    if not server.stdout.readline():
        sys.exit(f"the teacher ended with {server.wait()}; is port {PORT} in use?")
    try:
        yield
    finally:
        server.terminate()
        server.communicate()


def _let_teacher_answer(folder: Path) -> Path:
    """Run a job until its rows are curated. Returns the folder of the run."""
    run = folder / "run"
    job = str(JOBS / TEXT / "job.yaml")
    _call([*AZDISTILL, "run", job, "-o", str(run), "--until", "curate"], AZDISTILL_HOME=str(folder / "home"))
    return run


def _call(command: Sequence[str], **variables: str) -> None:
    done = subprocess.run(command, env=_environ(**variables), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")


def _environ(**variables: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **variables}


def _shares(signal: str) -> Sequence[float]:
    return TOP_K_SHARES if signal == "top_k" else SHARES


def _start(
    pool: ProcessPoolExecutor, run: Path, signal: str, share: float, student: str = "student"
) -> list[Future[Trained]]:
    return [pool.submit(train, run, signal, share, seed, student) for seed in SEEDS]


def _finish(name: str, futures: Sequence[Future[Trained]]) -> Trainings:
    results = [future.result() for future in futures]
    correct = np.array([result.correct for result in results], dtype=float)
    seconds = sum(result.seconds for result in results) / len(results)
    trainings = Trainings(results[0].updates, correct, seconds)
    print(
        f"  {name:<26} {trainings.updates:5} updates {trainings.accuracy:6.1%} {seconds:5.1f} CPU-seconds", flush=True
    )
    return trainings


def train(run: Path, signal: str, share: float, seed: int, student: str) -> Trained:
    """Train a student with the steps of a run, at a share of a job's updates, and let it answer the held-out rows."""
    from azdistill.contracts.files import read_json
    from azdistill.contracts.step import Arguments
    from azdistill.job.loading import load_job
    from azdistill.job.plan import step_configs
    from azdistill.students.loading import load_student

    job = load_job(JOBS / signal / "job.yaml")
    config: Any = step_configs(job)["train"]
    config = config.model_copy(update={"seed": seed, "num_epochs": config.num_epochs * share})
    inputs = {
        "curated": run / "curate" / "curated",
        "student": DATA / student,
        **({"completions": run / "teacher" / "completions"} if config.loss_weights.top_k else {}),
        **{f"white_box_{number}": Path(teacher.model) for number, teacher in enumerate(job.white_box, 1)},
    }
    with tempfile.TemporaryDirectory() as temporary:
        outputs = {name: Path(temporary, name) for name in ("model", "metrics", "checkpoints", "store")}
        started = time.process_time()
        _step(config)(Arguments(config, inputs, outputs))
        seconds = time.process_time() - started
        metrics = read_json(outputs["metrics"] / "metrics.json")
        correct = _answer(load_student(outputs["model"]), run)
        return Trained(metrics["steps"], seconds, metrics["aligned_share"], correct)


def _step(config: Any) -> Any:
    from azdistill.steps import train as plain
    from azdistill.steps import train_scored as scored

    return scored.body if config.has_scorer else plain.body


def _answer(student: Any, run: Path) -> list[bool]:
    """For each held-out row, true if the student's answer is the reference."""
    from azdistill.contracts.files import read_rows
    from azdistill.contracts.rows import Prompt
    from azdistill.generation.generate import generate
    from azdistill.students.template import tokenize_prompts
    from azdistill.tasks import conversation

    prompts = [row for row in read_rows(run / "prepare" / "prompts" / "prompts.jsonl", Prompt) if row.split == "test"]
    tokens = tokenize_prompts(student.tokenizer, [prompt.messages for prompt in prompts])
    answers = generate(student, tokens, MAX_NEW_TOKENS, BATCH)
    texts = [student.tokenizer.decode(answer.token_ids, skip_special_tokens=True) for answer in answers]
    return [conversation.answer(text) == prompt.gold for text, prompt in zip(texts, prompts, strict=True)]


def _facts(run: Path) -> Mapping[str, int]:
    from azdistill.students.loading import load_student, load_tokenizer
    from azdistill.students.usage import num_parameters

    return {
        "teacher_rows": _lines(DATA / "teacher.jsonl"),
        "train_rows": _lines(run / "curate" / "curated" / "train.jsonl"),
        "student_parameters": num_parameters(load_student(DATA / "student", weights="random").model),
        "teacher_parameters": num_parameters(load_student(DATA / "teacher").model),
        "vocabulary": len(load_tokenizer(DATA / "student")),
        "other_vocabulary": len(load_tokenizer(DATA / "other_student")),
    }


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())
