"""The teacher step compared with a bare client and other libraries, at rate limits, and through faults and kills.

`make bench-teacher` prints tables, then one line of JSON; `python -m benchmarks.teacher --only c64 told` runs some of
the figures. Each run has a new endpoint on loopback (benchmarks/endpoint.py: the simulated teacher behind a lean
server) that answers in 200 ms, lognormal with sigma .35, and records when each answer was sent: all clients are
measured by these records. Ours is `python -m azdistill.steps.teacher` with its store on disk.

A rate is that of the steady window: from a tenth of the answers to nine tenths, without start and end.

c64, c256      10,000 rows with 64 or 256 requests in flight; `ratio_*` is our rate by the bare client's, medians of
               alternating runs. `vs_openai_c256` is ours by AsyncOpenAI's; `cpu_s_per_1k` of our process at 64, with
               its start
start          `first_request_s`: from the start of the process to its first request, median of 5
told, learned  a limit of 100 requests/s that sends 429 and Retry-After, and no headers that state it.
               `*_goodput`: answers in the steady window by the limit; `*_refused`: of all calls of the run
short          2,000 rows by `azdistill run job.yaml --until teacher`, from the first request to the last answer, with
               start and end. `short_c256`: the ideal (rows x latency / 256) by this time, median of 3;
               `short_learned_goodput`: rows a second by a limit of 100/s with bursts of 10, not in headers;
               `short_learned_refused`: of all calls
faults         3% answered by a 5xx once and 2% reset once: `faults_span_ratio` is first request to last answer, by
               that of a run without faults; `lost` and `duplicated` rows
kills          SIGKILL at 20 random moments of a run: `lost` and `duplicated` rows against an undisturbed run, which
               writes the same bytes; `paid_twice_over_inflight`: answers billed twice by kill and request in flight, in
               the worst round
store          `resume_scan_s_1m` and `rss_mb_1m`, see benchmarks/teacher_store.py
"""

import contextlib
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azdistill.contracts.files import write_json, write_rows
from azdistill.contracts.manifest import close_folder
from azdistill.contracts.rows import Message, Prompt, prompt_id
from azdistill.contracts.simulation import SimulatedLimits, Simulation
from benchmarks.figures import Figures, print_figures
from benchmarks.peers.venvs import PEERS, Peer, python_of

ROOT = Path(__file__).parent.parent
LATENCY_S, SIGMA = 0.2, 0.35
ROWS = 10_000
REPEATS = {64: 1, 256: 3}  # a run at 64 takes as long as four at 256
STARTS = 5
LIMIT, LIMITED_ROWS = 100, 3000
SHORT_ROWS, SHORT_REPEATS, SHORT_BURST_S = 2000, 3, 0.1
FAULTY_ROWS, FAULTY_IN_FLIGHT = 4000, 64
SEED, KILLS, KILLED_ROWS, KILLED_IN_FLIGHT = 7, 20, 1000, 64

SLOW = Simulation(latency_ms=LATENCY_S * 1000, latency_sigma=SIGMA, wrong_rate=0)
LIMITED = SLOW.model_copy(update={"limits": SimulatedLimits(requests_per_minute=LIMIT * 60, headers="absent")})
BURSTS_REFUSED = SLOW.model_copy(
    update={"limits": SimulatedLimits(requests_per_minute=LIMIT * 60, headers="absent", burst_s=SHORT_BURST_S)}
)
FAULTY = SLOW.model_copy(update={"error_rate": 0.03, "reset_rate": 0.02})


@dataclass(frozen=True)
class Endpoint:
    """A running endpoint, and its records so far."""

    url: str

    def records(self) -> dict[str, Any]:
        with urllib.request.urlopen(self.url, timeout=30) as reply:
            return dict(json.load(reply))


@contextlib.contextmanager
def endpoint(simulation: Simulation, port: int = 0) -> Iterator[Endpoint]:
    command = [sys.executable, "-m", "benchmarks.endpoint", simulation.model_dump_json(), str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield Endpoint(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


@dataclass(frozen=True)
class Ran:
    """One run of a client to its end."""

    records: dict[str, Any]
    started: float
    cpu_s: float

    @property
    def rate(self) -> float:
        """Answers a second in the steady window."""
        answered = self.records["answered"]
        first, last = len(answered) // 10, len(answered) * 9 // 10
        return float((last - first) / (answered[last] - answered[first]))

    @property
    def span_s(self) -> float:
        return float(self.records["answered"][-1] - self.records["first_request"])

    @property
    def cpu_s_per_1k(self) -> float:
        return self.cpu_s / len(self.records["answered"]) * 1000

    @property
    def refused(self) -> float:
        calls = self.records["calls"]
        return float(calls.get("limited", 0) / sum(calls.values()))


# Returns the command line of a client for the URL of an endpoint.
Client = Callable[[str], list[str]]


def run(client: Client, simulation: Simulation) -> Ran:
    with endpoint(simulation) as server:
        command, started = client(server.url), time.monotonic()
        with tempfile.TemporaryFile() as output:
            process = subprocess.Popen(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT)
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                output.seek(0)
                raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}:\n{output.read().decode()}")
        return Ran(server.records(), started, used.ru_utime + used.ru_stime)


class Step:
    """`python -m azdistill.steps.teacher` on `rows` prompts, in a new folder."""

    def __init__(self, folder: Path, rows: int, in_flight: int, **teacher: Any) -> None:
        self.folder, self._teacher = folder, {"model": "m", "max_in_flight": in_flight, **teacher}
        self.completions = folder / "completions"
        write_rows(folder / "prompts" / "prompts.jsonl", map(prompt, range(rows)))
        close_folder(folder / "prompts", "prepare", {})

    def __call__(self, url: str) -> list[str]:
        teachers = self.folder / "teachers.json"
        write_json(teachers, [{**self._teacher, "endpoint": url}])
        names = ("prompts", "completions", "store")
        folders = [argument for name in names for argument in (f"--{name}", str(self.folder / name))]
        return [sys.executable, "-m", "azdistill.steps.teacher", "--teachers", str(teachers), *folders]

    def rows(self) -> Counter[str]:
        lines = (self.completions / "completions.jsonl").read_text().splitlines()
        return Counter(json.loads(line)["id"] for line in lines)


def prompt(number: int) -> Prompt:
    text = f"Order {number}: one of {number % 17} items is broken. What may the customer do about it, and by when?"
    messages = (Message(role="user", content=text),)
    return Prompt(id=prompt_id(messages), split="train", messages=messages, source=f"orders:{number + 1}")


@contextlib.contextmanager
def step(rows: int, in_flight: int, **teacher: Any) -> Iterator[Step]:
    with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as folder:
        yield Step(Path(folder), rows, in_flight, **teacher)


def ours(rows: int, in_flight: int, simulation: Simulation, **teacher: Any) -> Ran:
    with step(rows, in_flight, **teacher) as client:
        ran = run(client, simulation)
        lost = rows - len(client.rows())
        if lost:
            raise RuntimeError(f"{lost} of {rows} rows have no answer")
        return ran


def other(python: Path, script: list[str], in_flight: int) -> Ran:
    with step(ROWS, in_flight) as client:
        prompts = str(client.folder / "prompts" / "prompts.jsonl")
        return run(lambda url: [str(python), *script, url, prompts, str(in_flight)], SLOW)


def side_by_side(in_flight: int) -> dict[str, list[Ran]]:
    """Runs by client. Ours and the bare one alternate, so that a busy machine slows both alike."""
    runs: dict[str, list[Ran]] = {"bare": [], "azdistill": []}
    for _ in range(REPEATS[in_flight]):
        runs["bare"].append(other(Path(sys.executable), ["-m", "benchmarks.bare"], in_flight))
        runs["azdistill"].append(ours(ROWS, in_flight, SLOW))
    for peer in PEERS:
        runs |= _peer(peer, in_flight)
    return runs


def _peer(peer: Peer, in_flight: int) -> dict[str, list[Ran]]:
    try:
        python = python_of(peer)
        return {peer.name: [other(python, [str(peer.script)], in_flight)]}
    except RuntimeError as error:
        print(f"{peer.name}: skipped: {str(error).splitlines()[-1]}")
        return {}


def compared(in_flight: int) -> tuple[Figures, float]:
    """Our rate by each other client's, and our CPU seconds; prints the table."""
    runs_by_client = side_by_side(in_flight)
    rates = {name: statistics.median(ran.rate for ran in runs) for name, runs in runs_by_client.items()}
    print(f"{in_flight} in flight     answers/s  of ideal  of bare  CPU-s per 1k   load {os.getloadavg()[0]:.1f}")
    for name, runs in runs_by_client.items():
        ideal, bare = rates[name] * LATENCY_S / in_flight, rates[name] / rates["bare"]
        cpu = statistics.median(ran.cpu_s_per_1k for ran in runs)
        print(f"{name:<16} {rates[name]:10.1f} {ideal:9.3f} {bare:8.3f} {cpu:13.2f}")
    pairs = zip(runs_by_client["azdistill"], runs_by_client["bare"], strict=True)
    ratios = {
        "bare": statistics.median(mine.rate / bare.rate for mine, bare in pairs),
        **{name: rates["azdistill"] / rate for name, rate in rates.items() if name not in ("bare", "azdistill")},
    }
    return ratios, statistics.median(ran.cpu_s_per_1k for ran in runs_by_client["azdistill"])


def c64() -> Figures:
    ratios, cpu = compared(64)
    return {"ratio_c64": ratios["bare"], "cpu_s_per_1k": cpu}


def c256() -> Figures:
    ratios, _ = compared(256)
    return {"ratio_c256": ratios["bare"], "vs_openai_c256": ratios.get("AsyncOpenAI", float("nan"))}


def start() -> Figures:
    runs = [ours(16, 16, SLOW) for _ in range(STARTS)]
    return {"first_request_s": statistics.median(ran.records["first_request"] - ran.started for ran in runs)}


def told() -> Figures:
    ran = ours(LIMITED_ROWS, 64, LIMITED, requests_per_minute=LIMIT * 60)
    return {"told_goodput": ran.rate / LIMIT, "told_refused": ran.refused}


def learned() -> Figures:
    ran = ours(LIMITED_ROWS, 64, LIMITED)
    return {"learned_goodput": ran.rate / LIMIT, "learned_refused": ran.refused}


def short() -> Figures:
    free = [short_run(SLOW, 256) for _ in range(SHORT_REPEATS)]
    limited = short_run(BURSTS_REFUSED, 64)
    return {
        "short_c256": SHORT_ROWS * LATENCY_S / 256 / statistics.median(ran.span_s for ran in free),
        "short_learned_goodput": SHORT_ROWS / limited.span_s / LIMIT,
        "short_learned_refused": limited.refused,
    }


def short_run(simulation: Simulation, in_flight: int) -> Ran:
    """The complete command on a job of 2,000 training rows and one test row."""
    with tempfile.TemporaryDirectory(dir=ROOT / ".bench") as name:
        folder = Path(name)
        gold = {"role": "assistant", "content": "Within 30 days."}
        for file, numbers in (("rows.jsonl", range(SHORT_ROWS)), ("test.jsonl", range(SHORT_ROWS, SHORT_ROWS + 1))):
            conversations = ([turn.model_dump() for turn in prompt(number).messages] for number in numbers)
            (folder / file).write_text(
                "".join(f"{json.dumps({'messages': [*messages, gold]})}\n" for messages in conversations)
            )

        def client(url: str) -> list[str]:
            job = {
                "name": "short",
                "task": "conversation",
                "data": {"training_data": "./rows.jsonl", "test_data": "./test.jsonl"},
                "teacher": {"teachers": [{"model": "m", "endpoint": f"{url}/v1", "max_in_flight": in_flight}]},
                "student": {"model": str(ROOT / "pipelines/quickstart/student"), "weights": "random"},
                "outputs": {"registered_model": "short"},
            }
            write_json(folder / "job.yaml", job)  # JSON is YAML
            azdistill = str(Path(sys.executable).parent / "azdistill")
            command = [azdistill, "run", str(folder / "job.yaml"), "-o", str(folder / "run"), "--until", "teacher"]
            return ["env", f"AZDISTILL_HOME={folder / 'home'}", *command]

        return run(client, simulation)


def faults() -> Figures:
    clean = ours(FAULTY_ROWS, FAULTY_IN_FLIGHT, SLOW)
    with step(FAULTY_ROWS, FAULTY_IN_FLIGHT) as client:
        faulty, rows = run(client, FAULTY), client.rows()
    return {"faults_span_ratio": faulty.span_s / clean.span_s, **_wrong(rows, FAULTY_ROWS)}


def _wrong(rows: Counter[str], expected: int) -> Figures:
    return {"lost": expected - len(rows), "duplicated": sum(rows.values()) - len(rows)}


def kills() -> Figures:
    """Rounds of one job each, which is killed and started again until it completes."""
    rng, hits, rounds = random.Random(SEED), 0, list[Figures]()
    port, undisturbed_s, expected = _undisturbed()
    while hits < KILLS:
        with step(KILLED_ROWS, KILLED_IN_FLIGHT) as client, endpoint(SLOW, port) as server:
            killed = _until_done(client, server, lambda: rng.uniform(0, undisturbed_s), KILLS - hits)
            hits += len(killed)
            records, killed_while_asking = server.records(), max(sum(killed), 1)
            if (client.completions / "completions.jsonl").read_bytes() != expected:
                raise RuntimeError("the completions of a run that was killed differ from those of an undisturbed run")
            paid_twice = (records["bought"] - records["distinct"]) / killed_while_asking / KILLED_IN_FLIGHT
            rounds.append({**_wrong(client.rows(), KILLED_ROWS), "paid_twice_over_inflight": paid_twice})
            print(f"kills: {len(killed)}, {sum(killed)} after the first request; paid twice: {paid_twice:.2f} per slot")
    return {
        **{name: sum(figures[name] for figures in rounds) for name in ("lost", "duplicated")},
        "paid_twice_over_inflight": max(figures["paid_twice_over_inflight"] for figures in rounds),
    }


def _undisturbed() -> tuple[int, float, bytes]:
    """The port of the endpoint, which is part of store keys, the seconds of a run, and its completions."""
    with step(KILLED_ROWS, KILLED_IN_FLIGHT) as client, endpoint(SLOW) as server:
        started = time.monotonic()
        subprocess.run(client(server.url), cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        port = urllib.parse.urlsplit(server.url).port
        assert port
        return port, time.monotonic() - started, (client.completions / "completions.jsonl").read_bytes()


def _until_done(client: Step, server: Endpoint, delay_s: Callable[[], float], max_kills: int) -> list[bool]:
    """Kill and restart the step until it completes. Returns for each kill whether a request had been sent."""
    killed: list[bool] = []
    while True:
        before = sum(server.records()["calls"].values())
        process = subprocess.Popen(client(server.url), cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            process.wait(delay_s() if len(killed) < max_kills else None)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(LATENCY_S * 5)  # the endpoint answers and bills the requests in flight
            killed.append(sum(server.records()["calls"].values()) > before)
            continue
        if process.returncode:
            raise RuntimeError(f"the step ended with {process.returncode}")
        return killed


def store() -> Figures:
    from benchmarks.teacher_store import resume_scan

    figures = resume_scan()
    return {name: figures[name] for name in ("rss_mb_1m", "resume_scan_s_1m")}


FIGURES: Mapping[str, Callable[[], Figures]] = {
    figure.__name__: figure for figure in (c64, c256, start, told, learned, short, faults, kills, store)
}


def main() -> None:
    (ROOT / ".bench").mkdir(exist_ok=True)
    print_figures(__doc__, FIGURES)


if __name__ == "__main__":
    main()
