"""The fault matrix: each row of faults.py happens for real, to the step against real HTTP, and every
column is compared with what was seen. The table is read best in docs/faults.md.
"""

import contextlib
import io
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
from azdistill.contracts.rows import Completion, Message, Prompt, Reject, prompt_id
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import STEP, Prompting, Teacher, TeacherConfig
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
    AGAIN,
    ANSWERED,
    ASKED,
    CALL,
    ENDPOINT,
    IN_FLIGHT,
    IN_THE_END,
    JOB,
    MODEL,
    PAID,
    ROW,
    ROWS,
    SECTIONS,
    STORED,
    TIMEOUT_S,
    TRIES,
    UNASKED,
    Fault,
    Sent,
    no_label,
    set_aside,
)
from tests.teacher.simulated_azure import simulated_azure
from tests.teacher.test_client import refused
from tests.teacher.test_preflight import self_signed

Sends = Callable[[str, int], Sent | None]
"""The reply to a row at a try; None leaves it to the simulated teacher."""


class Endpoint(SimulatedTeacher):
    """The simulated teacher, but for the replies of a fault. It knows when each row was asked, and how often it gave an
    answer that a real one would bill."""

    def __init__(self, sends: Sends, key: str | None = None, **simulation: Any) -> None:
        super().__init__(Simulation(**{"latency_ms": 1, "wrong_rate": 0.0, **simulation}), Echo(), key)
        self.sends, self.billed = sends, Counter[str]()
        self.times: dict[str, list[float]] = defaultdict(list)

    async def respond(self, headers: Mapping[str, str], body: bytes) -> HttpReply:
        row = next(turn["content"] for turn in json.loads(body)["messages"] if turn["role"] == "user")
        self.times[row].append(time.monotonic())
        sent = self.sends(row, len(self.times[row]))
        reply = await sent.reply_now() if sent else await super().respond(headers, body)
        self.billed[row] += reply.status == 200 and b"choices" in reply.body
        return reply

    def asked(self) -> Counter[str]:
        """How often each row was asked; the preflight is none."""
        return Counter({row: len(times) for row, times in self.times.items() if row != PREFLIGHT[0]["content"]})

    def answered(self) -> Counter[str]:
        return Counter({row: count for row, count in self.billed.items() if count and row != PREFLIGHT[0]["content"]})

    def paid_again(self) -> int:
        return sum(count - 1 for count in self.answered().values())


@dataclass(frozen=True)
class Seen:
    """What came of a fault, in the columns of the table; `again` counts the tries of the next run."""

    asked: int
    row: str
    job: int
    words: str
    paid: int
    again: int = 0


def check(fault: Fault, seen: Seen) -> None:
    assert fault.told in seen.words
    assert (seen.row, seen.job) == (fault.row, fault.job), seen.words
    assert seen.asked in ASKED[fault.asked]
    assert seen.again in AGAIN[fault.again]
    assert seen.paid in PAID[fault.paid]


def config_for(url: str | None, teacher: Mapping[str, Any] = {}, **fields: Any) -> TeacherConfig:
    one = Teacher(**{"model": MODEL, "endpoint": url or None, "max_in_flight": IN_FLIGHT, **teacher})
    return TeacherConfig(teachers=(one,), **{"max_attempts": TRIES, **fields})


def one_prompt(text: str, *more: Message) -> Prompt:
    talk = (Message(role="user", content=text), *more)
    return Prompt(id=prompt_id(talk), split="train", messages=talk, source=text)


def many_prompts(count: int = ROWS) -> list[Prompt]:
    return [one_prompt(f"row {number}") for number in range(count)]


def became(completions: list[Completion], rejects: list[Reject]) -> dict[str, str]:
    """What became of each row that the step wrote, curate's verdict on its answer included."""
    drops = {drop.source: no_label(drop.reason) for drop in curate(completions, CurateConfig()).drops}
    return {
        **{row.source: drops.get(row.source, ANSWERED) for row in completions},
        **{reject.source: set_aside(reject.reason) for reject in rejects},
    }


class StepHere(StepFolders):
    """The step by its own main, in this process where it has no limits: a new one imports for most of a second."""

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
        given = {**config.model_dump(exclude=set(nested), exclude_none=True), **nested, **folders}
        return [part for name, value in given.items() for part in (f"--{name.replace('_', '-')}", str(value))]


class Stage:
    """One step, and one endpoint that it asks."""

    def __init__(self, folder: Path, endpoint: Endpoint, url: str) -> None:
        self.step, self.endpoint, self.url = StepHere(folder), endpoint, url
        self.code, self.words = 0, ""

    def run(self, config: TeacherConfig, **environ: str) -> Counter[str]:
        """Returns how often the run asked each row."""
        before = self.endpoint.asked()
        self.code, out, err = self.step.run(config, **environ)
        assert err.count("\n") == (self.code != 0), err
        self.words = out + err
        return self.endpoint.asked() - before

    def became(self) -> dict[str, str]:
        folder = self.step.completions
        completions = read_rows(folder / "completions.jsonl", Completion) if self.is_complete() else ()
        rejects = folder / "rejects.jsonl"
        return became(list(completions), list(read_rows(rejects, Reject)) if rejects.exists() else [])

    def is_complete(self) -> bool:
        return (self.step.completions / "manifest.json").exists()

    def fate(self, lost: range) -> str:
        """What all rows have in common; of answers that were given, so many may not have come to the store."""
        found, given = self.became(), self.endpoint.answered().total()
        if found:
            assert len(found) == ROWS or not self.is_complete(), "a row is lost"
            return " and ".join(sorted(set(found.values())))
        if not given:
            return UNASKED
        stored = summarize(self.step.store).keys
        return STORED if stored and given - stored in lost else f"{stored} of {given} are stored"


def most(asked: Counter[str]) -> int:
    return max(asked.values(), default=0)


@contextlib.contextmanager
def staged(
    folder: Path, sends: Sends, rows: list[Prompt], key: str | None = None, **simulation: Any
) -> Iterator[Stage]:
    endpoint = Endpoint(sends, key, **simulation)
    with serving(endpoint) as url:
        stage = Stage(folder, endpoint, url)
        stage.step.write_prompts(rows)
        yield stage


def as_usual(row: str, tries: int) -> None:
    return None


# Of a call and of a row: all in one run, a row each.

TOGETHER = {fault.what: fault for fault in (*CALL.faults, *ROW.faults) if not fault.scene}


def reply_to(row: str, tries: int) -> Sent | None:
    fault = TOGETHER.get(row)
    return fault and (fault.first[tries - 1] if tries <= len(fault.first) else fault.then)


@dataclass(frozen=True)
class Together:
    """The run of all rows, and the next one."""

    seen: Mapping[str, Seen]
    gaps_s: Mapping[str, float]
    usage: Mapping[str, Any]
    next_became: Mapping[str, str]


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Together:
    rows = [prompt_of(fault) for fault in TOGETHER.values()]
    with staged(tmp_path_factory.mktemp("together"), reply_to, rows) as stage:
        config = config_for(stage.url, {"max_in_flight": 64}, timeout_s=TIMEOUT_S, turns="all", max_reject_ratio=1.0)
        asked, code = stage.run(config), stage.code
        usage, found = read_json(stage.step.completions / "usage.json"), stage.became()
        details = {row.source: row.detail for row in read_rows(stage.step.completions / "rejects.jsonl", Reject)}
        again = stage.run(config)
        assert stage.code == 0, stage.words
        counted = " ".join([*usage["retries"], *usage["finish_reasons"]])
        billed = stage.endpoint.billed
        seen = {
            row: Seen(asked[row], found.get(row, "lost"), code, details.get(row, counted), billed[row] - 1, again[row])
            for row in TOGETHER
        }
        gaps = {row: times[1] - times[0] for row, times in stage.endpoint.times.items() if len(times) > 1}
        return Together(seen, gaps, usage, stage.became())


def prompt_of(fault: Fault) -> Prompt:
    """Of two turns where the fault is that of a turn before the last."""
    more = [Message(role="assistant", content="so"), Message(role="user", content="and then?")]
    return one_prompt(fault.what, *(more if "turns: all" in fault.what else ()))


@pytest.mark.parametrize("fault", TOGETHER.values(), ids=lambda fault: fault.what)
def test_of_a_call_and_of_a_row(together: Together, fault: Fault) -> None:
    seen = together.seen[fault.what]
    check(fault, replace(seen, paid=max(seen.paid, 0)))
    assert together.gaps_s.get(fault.what, 0.0) >= 0.95 * fault.apart_s


def test_every_try_and_answer_is_counted_and_the_next_run_says_the_same(together: Together) -> None:
    retried = Counter(fault.told for fault in CALL.faults if fault.told)
    assert together.usage["retries"] == retried + Counter(http_503=TRIES)
    kept = Counter(fault.told for fault in TOGETHER.values() if fault.row == no_label(fault.told))
    blank = 1
    assert together.usage["finish_reasons"] == kept + Counter(stop=len(CALL.faults) + blank)
    assert together.next_became == {row: seen.row for row, seen in together.seen.items()}


# Of the endpoint and of the job: a run each.


def when_it_happens(fault: Fault) -> Sends:
    given, began = Counter[str](), list[float]()

    def sends(row: str, tries: int) -> Sent | None:
        if fault.then is None or given["answers"] < fault.after:
            given["answers"] += 1
            return None
        began.append(time.monotonic())
        return fault.then if began[-1] - began[0] < fault.for_s else None

    return sends


@contextlib.contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """The host and port of a server whose certificate nobody vouches for."""
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
def places(tmp_path: Path) -> Iterator[Callable[[str, str], str]]:
    """Fill the addresses of servers into a text; one without TLS of its own is there already."""
    with contextlib.ExitStack() as stack:

        def fill(text: str, url: str) -> str:
            if "{untrusted}" in text:
                text = text.replace("{untrusted}", stack.enter_context(untrusted(tmp_path)))
            return text.replace("{url}", url).replace("{host}", url.removeprefix("http://"))

        yield fill


@pytest.fixture
def identity() -> Iterator[dict[str, str]]:
    with simulated_azure() as here:
        yield {**here.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}


@pytest.mark.parametrize(
    "fault", [fault for fault in (*ENDPOINT.faults, *JOB.faults) if not fault.scene], ids=lambda fault: fault.what
)
def test_of_the_endpoint_and_of_the_job(
    tmp_path: Path, places: Callable[[str, str], str], identity: dict[str, str], fault: Fault
) -> None:
    with staged(tmp_path, when_it_happens(fault), many_prompts(), fault.key, **fault.simulation) as stage:
        config = config_for(places(fault.at, stage.url), fault.teacher, **fault.config)
        environ = {name: places(value, stage.url) for name, value in fault.environ.items()}
        secrets = {"TEACHER_KEY": "wrong-s3cret", **identity}
        asked = stage.run(config, **secrets, **environ)
        code, words, row = stage.code, stage.words, stage.fate(PAID[fault.paid])
        stage.endpoint.sends = as_usual  # it is mended
        again = stage.run(config, **secrets) if fault.again else Counter()
        check(fault, Seen(most(asked), row, code, words, stage.endpoint.paid_again(), most(again)))
        assert "s3cret" not in words
        assert not fault.again or set(stage.became().values()) == {ANSWERED}, "the next run brings what is missing"


# What takes more than one run of the step: of the store, and signals.


def without_a_trace(stage: Stage) -> Seen:
    config = config_for(stage.url, max_reject_ratio=1.0, prompting=Prompting(chain_of_thought=True))
    asked, code, row = stage.run(config), stage.code, stage.fate(PAID["no"])
    (words,) = {reject.detail for reject in read_rows(stage.step.completions / "rejects.jsonl", Reject)}
    return Seen(most(asked), row, code, words, stage.endpoint.paid_again(), most(stage.run(config)))


def disk_full(stage: Stage) -> Seen:
    stage.step.limits = "ulimit -f 8;"
    asked, code, words = stage.run(config_for(stage.url)), stage.code, stage.words
    row, stage.step.limits = stage.fate(range(3 * IN_FLIGHT + 1)), ""
    again = stage.run(config_for(stage.url))
    assert set(stage.became().values()) == {ANSWERED}
    return Seen(most(asked), row, code, words, stage.endpoint.paid_again(), most(again))


def forbidden(stage: Stage) -> Seen:
    stage.step.store.mkdir(mode=0o555)
    stage.step.limits = 'exec setpriv --bounding-set=-dac_override "$0" "$@";' if os.geteuid() == 0 else ""
    return one_run(stage)


def a_file(stage: Stage) -> Seen:
    stage.step.store.write_text("in the way")
    return one_run(stage)


def newer(stage: Stage) -> Seen:
    stage.step.store.mkdir()
    (stage.step.store / "newer.jsonl").write_bytes(b'{"v":3,"key":"a"}\n')
    return one_run(stage)


def one_run(stage: Stage) -> Seen:
    asked = stage.run(config_for(stage.url))
    return Seen(most(asked), stage.fate(PAID["no"]), stage.code, stage.words, stage.endpoint.paid_again())


def torn_tail(stage: Stage) -> Seen:
    return damaged(stage, lambda segment: segment[:-20])


def corrupt_line(stage: Stage) -> Seen:
    """An answer that would read as another one."""
    return damaged(stage, lambda segment: segment.replace(b"You said: row 20", b"You said: row 99"))


def damaged(stage: Stage, damage: Callable[[bytes], bytes]) -> Seen:
    """A run, the damage, and the run that meets it."""
    asked = stage.run(config_for(stage.url))
    (segment,) = stage.step.store.glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(damage(whole))
    assert segment.read_bytes() != whole
    again = stage.run(config_for(stage.url))
    return Seen(most(asked), stage.fate(PAID["no"]), stage.code, stage.words, stage.endpoint.paid_again(), most(again))


def two_at_once(stage: Stage) -> Seen:
    config, other = config_for(stage.url), StepFolders(stage.step.root / "other")
    other.root.mkdir()
    other.prompts, other.store = stage.step.prompts, stage.step.store
    both = [step.start(config) for step in (stage.step, other)]
    words = "".join(process.communicate(timeout=60)[1] for process in both)
    assert words == ""
    files = [step.completions / "completions.jsonl" for step in (stage.step, other)]
    assert files[0].read_bytes() == files[1].read_bytes(), "both have the same answers"
    asked, paid = most(stage.endpoint.asked()), stage.endpoint.paid_again()
    again = stage.run(config)
    return Seen(asked, stage.fate(PAID["no"]), max(process.returncode for process in both), words, paid, most(again))


def killed(stage: Stage) -> Seen:
    return stopped(stage, signal.SIGKILL)


def told_to_stop(stage: Stage) -> Seen:
    return stopped(stage, signal.SIGTERM)


def stopped(stage: Stage, sign: signal.Signals) -> Seen:
    """A run that gets a signal halfway, and the one that goes on."""
    process = stage.step.start(config_for(stage.url))
    while stage.endpoint.answered().total() < ROWS // 2 and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sign)
    out, err = process.communicate(timeout=20)
    assert not stage.is_complete()
    asked = stage.endpoint.asked()
    stage.run(config_for(stage.url))
    assert stage.code == 0, stage.words
    assert stage.endpoint.paid_again() < ROWS // 2, "what was answered is found"
    row = IN_THE_END if stage.fate(PAID["no"]) == ANSWERED else "lost"
    return Seen(most(asked), row, process.returncode, out + err, stage.endpoint.paid_again())


SCENES = (
    without_a_trace,
    disk_full,
    forbidden,
    a_file,
    newer,
    torn_tail,
    corrupt_line,
    two_at_once,
    killed,
    told_to_stop,
)
FAULTS_BY_SCENE = {fault.scene: fault for section in SECTIONS for fault in section.faults if fault.scene}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_what_takes_more_than_a_reply(tmp_path: Path, scene: Callable[[Stage], Seen]) -> None:
    fault = FAULTS_BY_SCENE[scene.__name__]
    with staged(tmp_path, when_it_happens(fault), many_prompts(), **fault.simulation) as stage:
        check(fault, scene(stage))


def test_down_for_good(tmp_path, prompts, configure) -> None:
    """In this process, where an outage may be too long after two seconds."""
    asked, answers = Counter[str](), iter(range(1000))

    def reply(row: str, tries: int) -> web.Response | float:
        asked[row] += 1
        return 0.0 if next(answers) < ROWS else refused(502)

    with pytest.raises(EndpointError) as stopped:
        test_outage.ask(tmp_path, prompts, configure, reply, longest_outage_s=2.0)
    lines = b"".join(path.read_bytes() for path in (tmp_path / "store").glob("*.jsonl"))
    row = STORED if lines.count(b'"answer":') == ROWS else "lost"
    seen = Seen(most(asked), row, stopped.value.exit_code, str(stopped.value), 0)
    check(FAULTS_BY_SCENE["down_for_good"], seen)


def test_each_row_of_the_table_is_run() -> None:
    assert {scene.__name__ for scene in SCENES} | {"down_for_good"} == set(FAULTS_BY_SCENE)
    names = [fault.what for section in SECTIONS for fault in section.faults]
    assert len(names) == len(set(names))
