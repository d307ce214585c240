"""Benchmarks of data: steps prepare and curate on many rows, near duplicates, shapes that are read, and validate.

`make bench-data` prints a table, then one line of JSON; `python -m benchmarks.data --only prepare` runs some of the
figures. The first run installs datasets, datasketch and rensa from PyPI below .bench/, each in its own virtual
environment. All steps run as processes, as in a pipeline.

prepare   `prepare_rows_s`: rows per second of step prepare on 1,000,000 chat rows of about 1 KB with 10,000 test rows,
          leakage check included; `prepare_rss_mb`: peak memory of all its processes together
datasets  `vs_datasets`: seconds of map and filter of Hugging Face's datasets for the same work on 100,000 rows, divided
          by ours on the same rows
curate    `curate_rows_s`: rows per second of step curate on 1,000,000 answers, without near duplicates
near      near duplicates of 50,000 conversations, of which a tenth are near copies of others and a tenth have the form
          of others: `near_dup_50k_s`, `near_dup_recall`, `near_dup_precision`; `vs_datasketch` and `vs_rensa` are
          their seconds divided by ours, and `recall_*` and `precision_*` are theirs
shapes    `shapes_read` of `shapes_total`: files in tests/data/shapes.py that are read completely
validate  `validate_10mb_s`: seconds of `azdistill validate` for a job with a data file of 10 MB, the Python process
          included
"""

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azdistill.contracts.layout import COMPLETIONS_FILE
from azdistill.contracts.manifest import close_folder, open_folder
from azdistill.data.cases import read_cases
from azdistill.data.near_duplicates import near_duplicates
from azdistill.tasks.registry import TASKS
from benchmarks.conversations import conversations
from benchmarks.figures import Figures, print_figures
from benchmarks.peers.venvs import HERE, Peer, python_of
from tests.data.shapes import SHAPES
from tests.small_job import AZDISTILL

ROOT = Path(__file__).parents[1]
CACHE = ROOT / ".bench" / "data"
ROWS, TEST_ROWS, PEER_ROWS = 1_000_000, 10_000, 100_000

# Rows of about 1 KB: words of a prompt and of its answer.
PROMPT_WORDS, ANSWER_WORDS = 110, 40
VOCABULARY = 20_000

# Fractions of the training rows that repeat another one, and that contain the prompt of a test row.
REPEATED, LEAKED = 0.01, 0.001

NEAR_ROWS, THRESHOLD = 50_000, 0.8
SAMPLE_S = 0.05
INSTALL_S = 300

DATASETS = Peer("datasets", "datasets==4.4.1", HERE / "datasets_prepare.py")
NEAR_PEERS = tuple(Peer(name, name, HERE / "near_duplicates.py") for name in ("datasketch", "rensa"))


def chat_rows(count: int, seed: int, test_prompts: Sequence[str] = ()) -> Iterator[dict[str, Any]]:
    """Rows with a question and an answer of random words. Some repeat another row, or contain a test prompt."""
    rng = random.Random(seed)
    letters = "abcdefghijklmnoprstuvz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(VOCABULARY)]
    prompts: list[str] = []
    for _ in range(count):
        prompt = " ".join(rng.choices(words, k=PROMPT_WORDS))
        if prompts and rng.random() < REPEATED:
            prompt = rng.choice(prompts)
        elif test_prompts and rng.random() < LEAKED:
            prompt = f"Hello! {rng.choice(test_prompts)}"
        elif len(prompts) < 1_000:
            prompts.append(prompt)
        answer = " ".join(rng.choices(words, k=ANSWER_WORDS))
        yield {"messages": [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]}


def data_files(rows: int) -> tuple[Path, Path]:
    """Training and test file, written once."""
    train, test = CACHE / f"train-{rows}.jsonl", CACHE / "test.jsonl"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not test.exists():
        _write(test, chat_rows(TEST_ROWS, seed=1))
    if not train.exists():
        prompts = [json.loads(line)["messages"][0]["content"] for line in test.read_text().splitlines()]
        _write(train, chat_rows(rows, 2, prompts))
    return train, test


def _write(path: Path, rows: Iterator[Mapping[str, Any]]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as stream:
        stream.writelines(json.dumps(row) + "\n" for row in rows)
    part.rename(path)


def prepare() -> Figures:
    train, test = data_files(ROWS)
    with tempfile.TemporaryDirectory(dir=CACHE) as out:
        seconds, memory = run_step("prepare", training_data=train, test_data=test, prompts=Path(out, "prompts"))
    return {"prepare_rows_s": (ROWS + TEST_ROWS) / seconds, "prepare_rss_mb": memory}


def datasets() -> Figures:
    train, test = data_files(PEER_ROWS)
    with tempfile.TemporaryDirectory(dir=CACHE) as out:
        seconds, _ = run_step("prepare", training_data=train, test_data=test, prompts=Path(out, "prompts"))
        theirs = peer(DATASETS, train, test, Path(out, "datasets.jsonl"))
    return {"vs_datasets": theirs["seconds"] / seconds}


def curate() -> Figures:
    with tempfile.TemporaryDirectory(dir=CACHE.parent) as folder:
        completions = open_folder(Path(folder, "completions"))
        _write(completions / COMPLETIONS_FILE, _answers(ROWS))
        close_folder(completions, "teacher", {})
        seconds, memory = run_step("curate", completions=completions, curated=Path(folder, "curated"))
    return {"curate_rows_s": ROWS / seconds, "curate_rss_mb": memory}


def _answers(count: int) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(chat_rows(count, seed=3)):
        question, answer = row["messages"]
        yield {
            "id": f"{number:016x}",
            "split": "validation" if number % 20 == 0 else "train",
            "messages": [question],
            "source": f"train.jsonl:{number + 1}",
            "completion": answer["content"],
            "finish_reason": "stop",
            "teacher": "DeepSeek-V3.2",
            "key": f"{number:032x}",
            "usage": {"prompt_tokens": 200, "completion_tokens": 80},
        }


def run_step(name: str, **ports: Path) -> tuple[float, float]:
    """Seconds of a step, and the peak memory of its processes in MB."""
    flags = [text for port, path in ports.items() for text in (f"--{port.replace('_', '-')}", str(path))]
    command = [sys.executable, "-m", f"azdistill.steps.{name}", *flags]
    started = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        peak = _Peak(process.pid)
        log = process.communicate()[1]
    seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(log)
    return seconds, peak.stop()


class _Peak:
    """Samples the memory of a process and its descendants: proportional set size, which counts shared pages once."""

    def __init__(self, pid: int) -> None:
        self._pid, self._kb, self._stopped = pid, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._stopped.set()
        self._thread.join()
        return self._kb / 1024

    def _watch(self) -> None:
        while not self._stopped.wait(SAMPLE_S):
            self._kb = max(self._kb, sum(map(_pss_kb, _processes(self._pid))))


def _processes(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [pid, *(process for child in children for process in _processes(int(child)))]


def _pss_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def near() -> Figures:
    chats = conversations(NEAR_ROWS)
    copies = {number for number, chat in enumerate(chats) if chat.copied is not None}
    rows = [(chat.prompt, chat.answer) for chat in chats]
    started = time.perf_counter()
    repeats = near_duplicates(rows, THRESHOLD)
    seconds = time.perf_counter() - started
    hits = sum(chats[number].copied == first for number, first in repeats.items())
    figures = {
        "near_dup_50k_s": seconds,
        "near_dup_recall": hits / len(copies),
        "near_dup_precision": hits / len(repeats),
    }
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / "near.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for library in NEAR_PEERS:
        result = peer(library, library.name, path)
        right = len(copies & set(result["repeats"]))
        figures |= {
            f"vs_{library.name}": result["seconds"] / seconds,
            f"recall_{library.name}": right / len(copies),
            f"precision_{library.name}": right / len(result["repeats"]),
        }
    return figures


def peer(program: Peer, *arguments: str | Path) -> Any:
    command = [str(python_of(program, INSTALL_S)), str(program.script), *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])


def shapes() -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        read = 0
        for number, shape in enumerate(SHAPES):
            path = Path(folder, str(number), shape.file)
            path.parent.mkdir()
            path.write_bytes(shape.content)
            cases, rejects = read_cases(path, TASKS[shape.task])
            read += len(cases) == 2 and not rejects and all(case.case.gold == shape.gold for case in cases)
    return {"shapes_read": read, "shapes_total": len(SHAPES)}


def validate() -> Figures:
    """The median of five."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write(folder / "rows.jsonl", chat_rows(8_800, seed=4))
        assert 9_000_000 < (folder / "rows.jsonl").stat().st_size <= 10_000_000
        (folder / "job.yaml").write_text(
            "name: large\ntask: conversation\nteacher: {teachers: [{model: DeepSeek-V3.2, connection: deepseek}]}\n"
            "student: {model: phi-4-mini}\ndata: {training_data: ./rows.jsonl}\n"
        )
        command = [*AZDISTILL, "validate", str(folder / "job.yaml")]
        times = []
        for _ in range(5):
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
            times.append(time.perf_counter() - started)
    return {"validate_10mb_s": sorted(times)[2]}


if __name__ == "__main__":
    print_figures(
        __doc__,
        {
            "prepare": prepare,
            "datasets": datasets,
            "curate": curate,
            "near": near,
            "shapes": shapes,
            "validate": validate,
        },
    )
