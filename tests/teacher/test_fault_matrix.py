"""The fault matrix: run the teacher step over real HTTP with each fault of faults.py, and compare every column.

docs/faults.md shows the table.
"""

import contextlib
import io
import itertools
import json
import os
import signal
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from azdistill.contracts.curate import CurateConfig
from azdistill.contracts.errors import EndpointError
from azdistill.contracts.files import read_json, read_rows
from azdistill.contracts.requests import Prompting, Teacher
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, prompt_id
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import STEP, TeacherConfig
from azdistill.data.curate import curate
from azdistill.simulate.teacher import SimulatedTeacher
from azdistill.simulate.wire import HttpReply
from azdistill.steps.runner import run_step
from azdistill.steps.teacher import body
from azdistill.teacher.preflight import PREFLIGHT_MESSAGES as PREFLIGHT
from azdistill.teacher.store.summary import summarize
from tests.teacher import test_outage
from tests.teacher.conftest import Echo, StepFolders, serving
from tests.teacher.faults import (
    ANSWERED,
    ANSWERED_NEXT_RUN,
    CALL,
    ENDPOINT,
    IN_FLIGHT,
    JOB,
    MODEL,
    NEXT_RUN_RANGES,
    NOT_SENT,
    PAID_RANGES,
    ROW,
    ROWS,
    SECTIONS,
    STORED,
    TIMEOUT_S,
    TRIES,
    TRIES_RANGES,
    DelayedReply,
    Fault,
    dropped,
    rejected,
)
from tests.teacher.simulated_azure import simulated_azure
from tests.teacher.test_client import refused
from tests.teacher.test_preflight import self_signed

# The reply to a row at a try, counted from 1. None: the normal reply of the simulated teacher.
ReplyFunction = Callable[[str, int], DelayedReply | None]


class Endpoint(SimulatedTeacher):
    """A simulated teacher with injected replies. Records when each row was sent, and how many answers a real endpoint
    would have billed."""

    def __init__(self, reply_to_try: ReplyFunction, key: str | None = None, **simulation: Any) -> None:
        super().__init__(Simulation(**{"latency_ms": 1, "wrong_rate": 0.0, **simulation}), Echo(), key)
        self.reply_to_try, self.billed = reply_to_try, Counter[str]()
        self.times: dict[str, list[float]] = defaultdict(list)

    async def respond(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        row = next(turn["content"] for turn in json.loads(body)["messages"] if turn["role"] == "user")
        self.times[row].append(time.monotonic())
        injected = self.reply_to_try(row, len(self.times[row]))
        reply = await injected.wait_and_reply() if injected else await super().respond(headers, body)
        is_answer = b"choices" in reply.body or "Content-Encoding" in reply.headers
        self.billed[row] += reply.status == 200 and is_answer
        return reply

    def tries_by_row(self) -> Counter[str]:
        """Number of tries of each row, without the preflight."""
        return Counter({row: len(times) for row, times in self.times.items() if row != PREFLIGHT[0]["content"]})

    def answers_by_row(self) -> Counter[str]:
        return Counter({row: count for row, count in self.billed.items() if count and row != PREFLIGHT[0]["content"]})

    def paid_again(self) -> int:
        return sum(count - 1 for count in self.answers_by_row().values())


@dataclass(frozen=True)
class Observed:
    """Observed effects of a fault, in the columns of the table."""

    tries: int
    row: str
    job: int
    message: str
    paid_twice: int
    next_run: int = 0


def check(fault: Fault, observed: Observed) -> None:
    assert fault.message in observed.message
    assert (observed.row, observed.job) == (fault.row, fault.job), observed.message
    assert observed.tries in TRIES_RANGES[fault.tries]
    assert observed.next_run in NEXT_RUN_RANGES[fault.next_run]
    assert observed.paid_twice in PAID_RANGES[fault.paid_twice]


def config_for(url: str | None, teacher: Mapping[str, Any] = {}, **fields: Any) -> TeacherConfig:
    settings = Teacher(**{"model": MODEL, "endpoint": url or None, "max_in_flight": IN_FLIGHT, **teacher})
    return TeacherConfig(teachers=(settings,), **{"max_attempts": TRIES, **fields})


def one_prompt(text: str, *more: Message) -> Prompt:
    messages = (Message(role="user", content=text), *more)
    return Prompt(id=prompt_id(messages), split="train", messages=messages, source=text)


def many_prompts(count: int = ROWS) -> list[Prompt]:
    return [one_prompt(f"row {number}") for number in range(count)]


def row_outcomes(completions: list[Completion], rejects: list[Reject]) -> dict[str, str]:
    """Outcome of each row that the step wrote. Answers that curate would drop count as dropped."""
    drops = {drop.source: dropped(drop.reason) for drop in curate(completions, CurateConfig()).drops}
    return {
        **{row.source: drops.get(row.source, ANSWERED) for row in completions},
        **{reject.source: rejected(reject.reason) for reject in rejects},
    }


class InProcessStep(StepFolders):
    """Run the step in this process unless it has limits, because a new process spends most of a second on imports."""

    def run(self, config: TeacherConfig, address: str | None = None, **environ: str) -> tuple[int, str, str]:
        if self.limits:
            return super().run(config, address, **environ)
        with pytest.MonkeyPatch.context() as patched:
            for name, value in environ.items():
                patched.setenv(name, value)
            with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
                return run_step(STEP, body, self.argv(config)), out.getvalue(), err.getvalue()

    def argv(self, config: TeacherConfig) -> list[str]:
        teachers, prompting = self.root / "teachers.json", self.root / "prompting.json"
        teachers.write_text(json.dumps([teacher.model_dump() for teacher in config.teachers]))
        prompting.write_text(config.prompting.model_dump_json())
        folders = {name: getattr(self, name) for name in ("prompts", "completions", "store")}
        nested = {"teachers": teachers, "prompting": prompting}
        options = {**config.model_dump(exclude=set(nested), exclude_none=True), **nested, **folders}
        flags = [(f"--{name.replace('_', '-')}", str(value)) for name, value in options.items()]
        return [argument for flag in flags for argument in flag]


class Harness:
    """A teacher step and the endpoint that it sends its rows to."""

    def __init__(self, folder: Path, endpoint: Endpoint, url: str) -> None:
        self.step, self.endpoint, self.url = InProcessStep(folder), endpoint, url
        self.code, self.output = 0, ""

    def run(self, config: TeacherConfig, **environ: str) -> Counter[str]:
        """Run the step. Returns the tries of each row."""
        before = self.endpoint.tries_by_row()
        self.code, out, err = self.step.run(config, **environ)
        assert err.count("\n") == (self.code != 0), err
        self.output = out + err
        return self.endpoint.tries_by_row() - before

    def row_outcomes(self) -> dict[str, str]:
        folder = self.step.completions
        completions = read_rows(folder / "completions.jsonl", Completion) if self.is_complete() else ()
        rejects = folder / "rejects.jsonl"
        return row_outcomes(list(completions), list(read_rows(rejects, Reject)) if rejects.exists() else [])

    def is_complete(self) -> bool:
        return (self.step.completions / "manifest.json").exists()

    def outcome_of_rows(self, lost: range) -> str:
        """The outcome of all rows. `lost` is the number of received answers that may be missing from the store."""
        outcomes, answers = self.row_outcomes(), self.endpoint.answers_by_row().total()
        if outcomes:
            assert len(outcomes) == ROWS or not self.is_complete(), "a row is lost"
            return " and ".join(sorted(set(outcomes.values())))
        if not answers:
            return NOT_SENT
        stored = summarize(self.step.store).keys
        return STORED if stored and answers - stored in lost else f"{stored} of {answers} are stored"


def max_tries(tries: Counter[str]) -> int:
    return max(tries.values(), default=0)


@contextlib.contextmanager
def start_harness(
    folder: Path, reply_to_try: ReplyFunction, rows: list[Prompt], key: str | None = None, **simulation: Any
) -> Iterator[Harness]:
    endpoint = Endpoint(reply_to_try, key, **simulation)
    with serving(endpoint) as url:
        harness = Harness(folder, endpoint, url)
        harness.step.write_prompts(rows)
        yield harness


def no_fault(row: str, tries: int) -> None:
    return None


# Faults of one call or one row: all in one run, one row each.

COMBINED = {fault.name: fault for fault in (*CALL.faults, *ROW.faults) if not fault.scenario}


def reply_to(row: str, tries: int) -> DelayedReply | None:
    fault = COMBINED.get(row)
    return fault and (fault.first_replies[tries - 1] if tries <= len(fault.first_replies) else fault.later_reply)


@dataclass(frozen=True)
class CombinedRun:
    """Results of one run with all faults of calls and rows, and the outcomes of the next run."""

    observed: Mapping[str, Observed]
    gaps_s: Mapping[str, float]
    usage: Mapping[str, Any]
    next_outcomes: Mapping[str, str]


@pytest.fixture(scope="module")
def combined(tmp_path_factory: pytest.TempPathFactory) -> CombinedRun:
    rows = [prompt_of(fault) for fault in COMBINED.values()]
    with start_harness(tmp_path_factory.mktemp("combined"), reply_to, rows) as harness:
        config = config_for(harness.url, {"max_in_flight": 64}, timeout_s=TIMEOUT_S, turns="all", max_reject_ratio=1.0)
        tries, code = harness.run(config), harness.code
        usage, outcomes = read_json(harness.step.completions / "usage.json"), harness.row_outcomes()
        details = {row.source: row.detail for row in read_rows(harness.step.completions / "rejects.jsonl", Reject)}
        next_tries = harness.run(config)
        assert harness.code == 0, harness.output
        counted = " ".join([*usage["retries"], *usage["finish_reasons"]])
        billed = harness.endpoint.billed
        observed = {
            row: Observed(
                tries[row], outcomes.get(row, "lost"), code, details.get(row, counted), billed[row] - 1, next_tries[row]
            )
            for row in COMBINED
        }
        gaps = {row: times[1] - times[0] for row, times in harness.endpoint.times.items() if len(times) > 1}
        return CombinedRun(observed, gaps, usage, harness.row_outcomes())


def prompt_of(fault: Fault) -> Prompt:
    """A prompt of two turns if the fault is one of an earlier turn."""
    more = [Message(role="assistant", content="so"), Message(role="user", content="and then?")]
    return one_prompt(fault.name, *(more if "turns: all" in fault.name else ()))


@pytest.mark.parametrize("fault", COMBINED.values(), ids=lambda fault: fault.name)
def test_faults_of_calls_and_rows(combined: CombinedRun, fault: Fault) -> None:
    observed = combined.observed[fault.name]
    check(fault, replace(observed, paid_twice=max(observed.paid_twice, 0)))
    assert combined.gaps_s.get(fault.name, 0.0) >= 0.95 * fault.min_gap_s


def test_usage_counts_every_try_and_answer_and_the_next_run_has_the_same_outcomes(combined: CombinedRun) -> None:
    retried = Counter(fault.message for fault in CALL.faults if fault.message)
    assert combined.usage["retries"] == retried + Counter(http_503=TRIES)
    unusable = Counter(fault.message for fault in COMBINED.values() if fault.row == dropped(fault.message))
    blank = 1
    assert combined.usage["finish_reasons"] == unusable + Counter(stop=len(CALL.faults) + blank)
    assert combined.next_outcomes == {row: observed.row for row, observed in combined.observed.items()}


# Faults of the endpoint or the job: one run each.


def replies_of(fault: Fault) -> ReplyFunction:
    """Reply normally until the fault starts, then with its `later_reply`."""
    answers, started_at = 0, 0.0

    def reply_to_try(row: str, tries: int) -> DelayedReply | None:
        nonlocal answers, started_at
        if fault.later_reply is None or answers < fault.after_answers:
            answers += 1
            return None
        started_at = started_at or time.monotonic()
        return fault.later_reply if time.monotonic() - started_at < fault.duration_s else None

    return reply_to_try


@contextlib.contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """Host and port of a server with an untrusted certificate."""
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        server.socket = self_signed(folder).wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def fill_addresses(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """A function that replaces {url}, {host} and {untrusted} in a text by addresses of servers of the test."""
    with contextlib.ExitStack() as stack:

        def fill(text: str, url: str) -> str:
            if "{untrusted}" in text:
                text = text.replace("{untrusted}", stack.enter_context(untrusted(tmp_path)))
            return text.replace("{url}", url).replace("{host}", url.removeprefix("http://"))

        yield fill


@pytest.fixture
def identity() -> Iterator[dict[str, str]]:
    with simulated_azure() as azure:
        yield {**azure.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}


@pytest.mark.parametrize(
    "fault", [fault for fault in (*ENDPOINT.faults, *JOB.faults) if not fault.scenario], ids=lambda fault: fault.name
)
def test_faults_of_the_endpoint_and_the_job(
    tmp_path: Path, fill_addresses: Callable[[str, str], str], identity: dict[str, str], fault: Fault
) -> None:
    with start_harness(tmp_path, replies_of(fault), many_prompts(), fault.key, **fault.simulation) as harness:
        config = config_for(fill_addresses(fault.address, harness.url), fault.teacher, **fault.config)
        environ = {name: fill_addresses(value, harness.url) for name, value in fault.environ.items()}
        secrets = {"TEACHER_KEY": "wrong-s3cret", **identity}
        tries = harness.run(config, **secrets, **environ)
        code, output, row = harness.code, harness.output, harness.outcome_of_rows(PAID_RANGES[fault.paid_twice])
        harness.endpoint.reply_to_try = no_fault  # the cause is fixed
        next_tries = harness.run(config, **secrets) if fault.next_run else Counter()
        check(
            fault, Observed(max_tries(tries), row, code, output, harness.endpoint.paid_again(), max_tries(next_tries))
        )
        assert "s3cret" not in output
        assert not fault.next_run or set(harness.row_outcomes().values()) == {ANSWERED}, (
            "the next run asks the missing rows"
        )


# Scenarios: faults of the store, signals, and others that need more than injected replies.


def without_reasoning(harness: Harness) -> Observed:
    config = config_for(harness.url, max_reject_ratio=1.0, prompting=Prompting(chain_of_thought=True))
    tries, code, row = harness.run(config), harness.code, harness.outcome_of_rows(PAID_RANGES["no"])
    (output,) = {reject.detail for reject in read_rows(harness.step.completions / "rejects.jsonl", Reject)}
    return Observed(max_tries(tries), row, code, output, harness.endpoint.paid_again(), max_tries(harness.run(config)))


def disk_full(harness: Harness) -> Observed:
    harness.step.limits = "ulimit -f 8;"
    tries, code, output = harness.run(config_for(harness.url)), harness.code, harness.output
    row, harness.step.limits = harness.outcome_of_rows(range(3 * IN_FLIGHT + 1)), ""
    next_tries = harness.run(config_for(harness.url))
    assert set(harness.row_outcomes().values()) == {ANSWERED}
    return Observed(max_tries(tries), row, code, output, harness.endpoint.paid_again(), max_tries(next_tries))


def store_not_writable(harness: Harness) -> Observed:
    harness.step.store.mkdir(mode=0o555)
    harness.step.limits = 'exec setpriv --bounding-set=-dac_override "$0" "$@";' if os.geteuid() == 0 else ""
    return one_run(harness)


def store_is_a_file(harness: Harness) -> Observed:
    harness.step.store.write_text("in the way")
    return one_run(harness)


def newer_version(harness: Harness) -> Observed:
    harness.step.store.mkdir()
    (harness.step.store / "newer.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    return one_run(harness)


def one_run(harness: Harness) -> Observed:
    tries = harness.run(config_for(harness.url))
    return Observed(
        max_tries(tries),
        harness.outcome_of_rows(PAID_RANGES["no"]),
        harness.code,
        harness.output,
        harness.endpoint.paid_again(),
    )


def torn_tail(harness: Harness) -> Observed:
    return damaged(harness, lambda segment: segment[:-20])


def corrupt_line(harness: Harness) -> Observed:
    """Corrupt an answer so that it is still valid JSON, with another text."""
    return damaged(harness, lambda segment: segment.replace(b"You said: row 20", b"You said: row 99"))


def damaged(harness: Harness, damage: Callable[[bytes], bytes]) -> Observed:
    """Run, damage the segment, and run again."""
    tries = harness.run(config_for(harness.url))
    (segment,) = harness.step.store.glob("*.jsonl")
    intact = segment.read_bytes()
    segment.write_bytes(damage(intact))
    assert segment.read_bytes() != intact
    next_tries = harness.run(config_for(harness.url))
    return Observed(
        max_tries(tries),
        harness.outcome_of_rows(PAID_RANGES["no"]),
        harness.code,
        harness.output,
        harness.endpoint.paid_again(),
        max_tries(next_tries),
    )


def concurrent_runs(harness: Harness) -> Observed:
    config, other = config_for(harness.url), StepFolders(harness.step.root / "other")
    other.root.mkdir()
    other.prompts, other.store = harness.step.prompts, harness.step.store
    both = [step.start(config) for step in (harness.step, other)]
    output = "".join(process.communicate(timeout=60)[1] for process in both)
    assert output == ""
    files = [step.completions / "completions.jsonl" for step in (harness.step, other)]
    assert files[0].read_bytes() == files[1].read_bytes(), "both have the same answers"
    tries, paid = max_tries(harness.endpoint.tries_by_row()), harness.endpoint.paid_again()
    next_tries = harness.run(config)
    return Observed(
        tries,
        harness.outcome_of_rows(PAID_RANGES["no"]),
        max(process.returncode for process in both),
        output,
        paid,
        max_tries(next_tries),
    )


def killed(harness: Harness) -> Observed:
    return stopped(harness, signal.SIGKILL)


def terminated(harness: Harness) -> Observed:
    return stopped(harness, signal.SIGTERM)


def stopped(harness: Harness, sign: signal.Signals) -> Observed:
    """Send a signal to a run that is half done, and continue with a second run."""
    process = harness.step.start(config_for(harness.url))
    while harness.endpoint.answers_by_row().total() < ROWS // 2 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sign)
    out, err = process.communicate(timeout=20)
    assert not harness.is_complete()
    tries = harness.endpoint.tries_by_row()
    harness.run(config_for(harness.url))
    assert harness.code == 0, harness.output
    assert harness.endpoint.paid_again() < ROWS // 2, "stored answers are not asked again"
    row = ANSWERED_NEXT_RUN if harness.outcome_of_rows(PAID_RANGES["no"]) == ANSWERED else "lost"
    return Observed(max_tries(tries), row, process.returncode, out + err, harness.endpoint.paid_again())


SCENARIOS = (
    without_reasoning,
    disk_full,
    store_not_writable,
    store_is_a_file,
    newer_version,
    torn_tail,
    corrupt_line,
    concurrent_runs,
    killed,
    terminated,
)
FAULTS_BY_SCENARIO = {fault.scenario: fault for section in SECTIONS for fault in section.faults if fault.scenario}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_scenarios(tmp_path: Path, scenario: Callable[[Harness], Observed]) -> None:
    fault = FAULTS_BY_SCENARIO[scenario.__name__]
    with start_harness(tmp_path, replies_of(fault), many_prompts(), **fault.simulation) as harness:
        check(fault, scenario(harness))


def test_down_for_good(tmp_path, prompts, configure) -> None:
    """Runs in this process, where the longest outage can be set to two seconds."""
    tries, answers = Counter[str](), itertools.count()

    def reply(row: str, number: int) -> web.Response | float:
        tries[row] += 1
        return 0.0 if next(answers) < ROWS else refused(502)

    with pytest.raises(EndpointError) as raised:
        test_outage.ask(tmp_path, prompts, configure, reply, longest_outage_s=2.0)
    lines = b"".join(path.read_bytes() for path in (tmp_path / "store").glob("*.jsonl"))
    row = STORED if lines.count(b'"answer":') == ROWS else "lost"
    # The failures that detect the outage, the requests in flight at that time, and a few probes.
    assert tries.total() - ROWS <= 3 * IN_FLIGHT
    observed = Observed(max_tries(tries), row, raised.value.exit_code, str(raised.value), 0)
    check(FAULTS_BY_SCENARIO["down_for_good"], observed)


def test_every_scenario_of_the_table_is_run() -> None:
    assert {scenario.__name__ for scenario in SCENARIOS} | {"down_for_good"} == set(FAULTS_BY_SCENARIO)
    names = [fault.name for section in SECTIONS for fault in section.faults]
    assert len(names) == len(set(names))
