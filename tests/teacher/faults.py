"""The fault matrix as data: faults of a call, a row, the endpoint, the store and the job, with the expected effects.

test_fault_matrix.py injects each fault and compares every column. `fault_page()` generates docs/faults.md.
"""

import asyncio
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from textwrap import fill
from time import time
from typing import Any, NamedTuple

from azdistill.simulate import wire
from azdistill.simulate.wire import HttpReply

MODEL = "deepseek-v3"
RESOURCE_SCOPE, PROJECT_SCOPE = "https://cognitiveservices.azure.com/.default", "https://ai.azure.com/.default"
TRIES, TIMEOUT_S = 3, 2.0
ROWS, IN_FLIGHT = 40, 10
LATE_S = TIMEOUT_S + 0.2
KEY = {"key_variable": "TEACHER_KEY"}
NOWHERE = "http://127.0.0.1:9"
# Longer than a host name may be, so no name server is asked.
UNKNOWN_HOST = ".".join(["no-such-host" * 5] * 5)

# Cells of the table, and the counts that each of them allows.
TRIES_RANGES = {
    "0": range(1),
    "1": range(1, 2),
    "2": range(2, 3),
    str(TRIES): range(TRIES, TRIES + 1),
    "1 or more": range(1, 100),
    "2 or more": range(2, 100),
}
NEXT_RUN_RANGES = {
    "": range(1_000_000),
    "0": range(1),
    "1": range(1, 2),
    str(TRIES): range(TRIES, TRIES + 1),
}
PAID_RANGES = {
    "no": range(1),
    "the lost answer": range(1, 2),
    "requests in flight": range(IN_FLIGHT + 1),
    "requests in flight and answers not yet synced": range(3 * IN_FLIGHT + 1),
    "requests of both runs": range(1, ROWS + 1),
}

# Exit codes of the teacher step, as the table shows them.
EXIT_CODES = {
    0: "continues (0)",
    1: "fails (1)",
    2: "does not start (2)",
    130: "is interrupted (130)",
    -9: "is killed (137)",
}
ANSWERED, NOT_SENT, STORED = "answered", "not sent", "received answers are stored"
ANSWERED_NEXT_RUN = "answered by the next run"


def rejected(reason: str) -> str:
    return f"rejected, `{reason}`"


def dropped(reason: str) -> str:
    return f"stored, but dropped by curate, `{reason}`"


@dataclass(frozen=True)
class DelayedReply:
    """A reply, sent after `after_s` seconds. `retry_at_s` adds a Retry-After date that many seconds in the future."""

    reply: HttpReply
    after_s: float = 0.0
    retry_at_s: float = 0.0

    async def wait_and_reply(self) -> HttpReply:
        await asyncio.sleep(self.after_s)
        date = {"Retry-After": formatdate(time() + self.retry_at_s, usegmt=True)} if self.retry_at_s else {}
        return replace(self.reply, headers={**self.reply.headers, **date})


@dataclass(frozen=True)
class Fault:
    """One row of the table: its columns, then how to inject the fault.

    `first_replies` answer the first tries of a row and `later_reply` all others; None is the normal reply of the
    simulated teacher. `later_reply` starts after `after_answers` answers and is sent for `duration_s` seconds.
    `address` is the endpoint of the teacher; {url}, {host} and {untrusted} in it are replaced by servers of the test.
    `scenario` names a function of the test, for faults that need more than a reply.
    """

    name: str
    tries: str
    row: str
    job: int
    message: str
    next_run: str = ""
    paid_twice: str = "no"
    min_gap_s: float = 0.0
    first_replies: Sequence[DelayedReply] = ()
    later_reply: DelayedReply | None = None
    after_answers: int = 0
    duration_s: float = 600.0
    address: str = "{url}"
    key: str | None = None
    simulation: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    scenario: str = ""

    def cells(self) -> Sequence[str]:
        gap = f", at least {self.min_gap_s:g} s apart" if self.min_gap_s else ""
        message = f"`{self.message}`" if self.message else "none"
        tries = f"{self.tries}{gap}"
        return self.name, tries, self.next_run or "-", self.row, EXIT_CODES[self.job], message, self.paid_twice


class FaultSection(NamedTuple):
    title: str
    introduction: str
    faults: Sequence[Fault]


def refusal(status: int, message: str = "no", **more: str) -> DelayedReply:
    """An error reply in OpenAI's format."""
    return DelayedReply(wire.reply(status, {"error": {"message": message, **more}}))


def html_page(status: int) -> DelayedReply:
    return DelayedReply(wire.page(status, "upstream failed"))


def with_header(name: str, value: str, status: int) -> DelayedReply:
    return DelayedReply(wire.reply(status, {"error": {"message": "no"}}, {name: value}))


def answer(text: str, finish_reason: str = "stop", status: int = 200) -> DelayedReply:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return DelayedReply(wire.reply(status, {"choices": [choice], "usage": usage}))


COMPLETE = answer("a complete answer").reply


def with_usage(count: str) -> DelayedReply:
    """An answer whose count of prompt tokens is the JSON value `count`."""
    return DelayedReply(
        HttpReply(200, COMPLETE.body.replace(b'"prompt_tokens":10', f'"prompt_tokens":{count}'.encode()))
    )


def transient(name: str, message: str, *replies: DelayedReply, **columns: Any) -> Fault:
    """A fault of one call: the row is sent again, immediately or after a wait, and answered."""
    defaults = {"tries": "2", "row": ANSWERED, "job": 0, "next_run": "0"}
    return Fault(name, message=message, first_replies=replies, **{**defaults, **columns})


def row_fault(
    name: str, row: str, message: str, reply: DelayedReply, next_run: str, tries: str = "1", **more: Any
) -> Fault:
    """A fault of one row: it is rejected permanently, or its answer is unusable."""
    return Fault(name, tries, row, 0, message, next_run, later_reply=reply, **more)


def fails_at_start(name: str, message: str, job: int = 1, **more: Any) -> Fault:
    """A fault of the endpoint or the store: the job ends before it sends a row, because no row would succeed."""
    return Fault(name, "0", NOT_SENT, job, message, **more)


ONE_LOST_ANSWER = {"paid_twice": "the lost answer"}
CALL = FaultSection(
    "Faults of one call",
    "These faults are temporary. The row waits while other rows are sent, is sent again, and is answered. "
    "`retries` in usage.json counts each fault under the name in the column `message`.",
    [
        transient("408, the endpoint gave up waiting", "http_408", refusal(408)),
        transient("424, its model is not ready yet", "http_424", DelayedReply(wire.not_ready())),
        transient("429 with Retry-After: 1", "http_429", with_header("Retry-After", "1", 429), min_gap_s=1),
        transient(
            "429 with Retry-After as a date", "http_429", DelayedReply(refusal(429).reply, retry_at_s=2), min_gap_s=1
        ),
        transient(
            "429 with Retry-After in the year 99999",
            "http_429",
            with_header("Retry-After", "Fri, 31 Dec 99999 23:59:59 GMT", 429),
            min_gap_s=1,
        ),
        transient("429 without Retry-After", "http_429", refusal(429), min_gap_s=1),
        transient(
            "429 from a gateway, without an error object",
            "http_429",
            DelayedReply(wire.reply(429, wire.gateway(429, "Rate limit is exceeded."))),
            min_gap_s=1,
        ),
        transient("500", "http_500", refusal(500)),
        transient("502", "http_502", html_page(502)),
        transient("503", "http_503", DelayedReply(HttpReply(503))),
        transient("504 with a page of HTML", "http_504", DelayedReply(wire.gateway_timeout())),
        transient("the connection is reset", "connection", DelayedReply(HttpReply(0, ending="reset"))),
        transient(
            "the connection closes within the answer",
            "connection",
            DelayedReply(HttpReply(200, COMPLETE.body, ending="cut")),
            **ONE_LOST_ANSWER,
        ),
        transient(
            "200 with half the JSON",
            "cut_reply",
            DelayedReply(HttpReply(200, COMPLETE.body[: len(COMPLETE.body) // 2])),
            **ONE_LOST_ANSWER,
        ),
        transient(
            "200 with half of a gzip body",
            "cut_reply",
            DelayedReply(HttpReply(200, gzip.compress(COMPLETE.body)[:60], headers={"Content-Encoding": "gzip"})),
            **ONE_LOST_ANSWER,
        ),
        transient("no reply", "timeout", DelayedReply(HttpReply(0, ending="never")), min_gap_s=TIMEOUT_S),
        transient(
            "an answer after timeout_s",
            "timeout",
            DelayedReply(COMPLETE, LATE_S),
            min_gap_s=TIMEOUT_S,
            **ONE_LOST_ANSWER,
        ),
        transient(
            "an answer with an impossible usage (2**64 tokens)", "", with_usage("18446744073709551616"), tries="1"
        ),
        transient("an answer with an infinite usage (1e999 tokens)", "", with_usage("1e999"), tries="1"),
        transient("an answer with a negative usage", "", with_usage("-1"), tries="1"),
        transient("an answer whose usage is not a number", "", with_usage('"many"'), tries="1"),
        transient("a slow answer, within timeout_s", "", DelayedReply(COMPLETE, TIMEOUT_S / 2), tries="1"),
    ],
)

ROW = FaultSection(
    "Faults of one row",
    "The job continues without the row, up to max_reject_ratio. A rejected row is in rejects.jsonl with its reason. "
    "An unusable answer is in completions.jsonl and counted by its finish_reason in usage.json; curate drops it, so it "
    "never becomes a label. The next run sends a row again if the cause may have been fixed, but never a row with a "
    "stored answer.",
    [
        row_fault("400", rejected("http_400"), "HTTP 400: too many words", refusal(400, "too many words"), "1"),
        row_fault(
            "400 whose error code is a list",
            rejected("http_400"),
            "HTTP 400: no",
            DelayedReply(wire.reply(400, {"error": {"message": "no", "code": ["x"], "innererror": {"code": {}}}})),
            "1",
        ),
        row_fault(
            "413, the prompt is too long",
            rejected("http_413"),
            "HTTP 413: too large",
            refusal(413, "too large"),
            "1",
        ),
        row_fault("422", rejected("http_422"), "HTTP 422: not so", refusal(422, "not so"), "1"),
        row_fault(
            "the content filter refuses the prompt",
            rejected("content_filter"),
            "HTTP 400: The response was filtered",
            DelayedReply(wire.reply(400, wire.content_filter())),
            "0",
        ),
        row_fault(
            "the content filter refuses it in a completion with status 400",
            rejected("content_filter"),
            "HTTP 400",
            answer("", "content_filter", 400),
            "0",
        ),
        row_fault("the answer is cut at max_tokens", dropped("length"), "length", answer("hal", "length"), "0"),
        row_fault(
            "the content filter cuts the answer",
            dropped("content_filter"),
            "content_filter",
            answer("hal", "content_filter"),
            "0",
        ),
        row_fault("the answer is blank", dropped("empty"), "stop", answer("  "), "0"),
        row_fault(
            "200 without a chat completion",
            rejected("not_a_completion"),
            "HTTP 200 without a chat completion in it",
            DelayedReply(wire.reply(200, {"object": "list"})),
            "1",
        ),
        row_fault(
            "200 with more bytes than max_tokens justifies",
            rejected("reply_too_long"),
            "HTTP 200 with more than",
            DelayedReply(HttpReply(200, COMPLETE.body + b" " * 2**22)),
            "1",
            **ONE_LOST_ANSWER,
        ),
        row_fault(
            "503 at every try",
            rejected("http_503"),
            f"gave up after {TRIES} tries; the last: HTTP 503: no",
            with_header("Retry-After", "0", 503),
            str(TRIES),
            tries=str(TRIES),
        ),
        row_fault(
            "an earlier turn is cut (turns: all)",
            rejected("unusable_turn"),
            "turn 1 of 2: the answer is incomplete (finish_reason 'length')",
            answer("hal", "length"),
            "0",
        ),
        row_fault(
            "no reasoning, although chain_of_thought requires it",
            rejected("no_trace"),
            "no reasoning in <think> before the answer",
            answer("just so"),
            "0",
            scenario="without_reasoning",
        ),
    ],
)

TOKEN = {"entra_scope": RESOURCE_SCOPE}
SKEW_S = 2 * 3600
ENDPOINT = FaultSection(
    "Faults of the endpoint",
    "A preflight call before the first row detects faults that affect every row. The job then ends with a message of "
    "one line with the fix. A fault that starts later ends the job too; no received answer is lost.",
    [
        fails_at_start("the key is wrong", "check that the key belongs to this endpoint", key="right", teacher=KEY),
        fails_at_start(
            "the key's variable is not set", "variable UNSET is not set", 2, teacher={"key_variable": "UNSET"}
        ),
        fails_at_start(
            "a connection is set in a local run",
            "on this machine set endpoint and key_variable",
            2,
            teacher={"connection": "teacher-connection"},
            address="",
        ),
        fails_at_start(
            "the token is for another audience",
            f"set entra_scope to '{PROJECT_SCOPE}'",
            teacher=TOKEN,
            simulation={"entra_scope": PROJECT_SCOPE},
        ),
        fails_at_start(
            "the token has expired because this machine's clock is slow",
            "120 min behind the endpoint's",
            teacher=TOKEN,
            simulation={"entra_scope": RESOURCE_SCOPE, "clock_skew_s": SKEW_S},
        ),
        fails_at_start("403", "allow this machine in the network rules of the endpoint", later_reply=refusal(403)),
        fails_at_start("the path has no chat API", "endpoint has the form https://", address="{url}/elsewhere"),
        fails_at_start(
            "no deployment has that name",
            "set model to the name of the deployment",
            simulation={"deployments": ("gpt-4o",)},
        ),
        fails_at_start(
            "the model is retired", "deploy its successor", later_reply=refusal(404, code="ModelDeprecated")
        ),
        fails_at_start(
            "it rejects a parameter",
            "set reasoning to true",
            simulation={"refused_parameters": ("temperature",)},
        ),
        fails_at_start("200 with a page of HTML", "it returned a web page", simulation={"html": True}),
        fails_at_start(
            "it redirects to another address",
            "set endpoint to that address",
            later_reply=with_header("Location", f"{NOWHERE}/v1", 307),
        ),
        fails_at_start(
            "the proxy refuses",
            "the proxy refused the connection",
            address="https://teacher.invalid",
            environ={"https_proxy": "{url}", "no_proxy": ""},
        ),
        fails_at_start(
            "the proxy is unreachable",
            "correct HTTPS_PROXY, or add the host to NO_PROXY",
            address="https://teacher.invalid",
            environ={"https_proxy": NOWHERE, "no_proxy": ""},
        ),
        fails_at_start(
            "its certificate is not trusted",
            "set SSL_CERT_FILE to the certificate authority",
            address="https://{untrusted}",
        ),
        fails_at_start("it does not support TLS", "correct the port, or write http://", address="https://{host}"),
        fails_at_start(
            "its host is unknown",
            "its host name cannot be resolved; correct endpoint",
            address=f"https://{UNKNOWN_HOST}",
        ),
        fails_at_start("nothing listens on the port", "check that the endpoint is up, then run again", address=NOWHERE),
        Fault(
            "it answers 503 from the start",
            "1",
            NOT_SENT,
            1,
            f"no answer to the first {3 * IN_FLIGHT} calls; the last: HTTP 503",
            later_reply=refusal(503),
        ),
        Fault(
            "it goes down and comes back",
            "2 or more",
            ANSWERED,
            0,
            "down; one row at a time is sent to probe whether it is back",
            "0",
            later_reply=refusal(503),
            after_answers=15,
            duration_s=2.0,
        ),
        Fault(
            "it goes down permanently",
            "1 or more",
            STORED,
            1,
            "no row was charged, and all answers are stored",
            scenario="down_for_good",
        ),
        Fault(
            "it rejects the key during the job",
            "1",
            STORED,
            1,
            "the key was refused; check key_variable",
            "1",
            "requests in flight",
            later_reply=DelayedReply(refusal(401).reply, 0.2),
            after_answers=15,
        ),
        *(
            Fault(name, "1", ANSWERED, 0, message, "0", simulation=simulation, config={"top_logprobs": 5})
            for name, message, simulation in [
                ("it rejects logprobs", "it rejects the parameter", {"refused_parameters": ("logprobs",)}),
                (
                    "it ignores logprobs",
                    "it accepts the parameter and returns none",
                    {"ignored_parameters": ("logprobs", "top_logprobs")},
                ),
                ("its logprobs are 0 and -9999", "they are no probabilities of a model", {"degenerate_rate": 1.0}),
            ]
        ),
    ],
)

STORE = FaultSection(
    "Faults of the store",
    "An answer counts once it is on disk. See [the store](store.md).",
    [
        Fault(
            "the disk is full",
            "1",
            STORED,
            1,
            "cannot be written (File too large); free disk space or use another folder",
            "1",
            "requests in flight and answers not yet synced",
            scenario="disk_full",
            simulation={"latency_ms": 20},
        ),
        fails_at_start(
            "its folder is not writable",
            "cannot be written (Permission denied); free disk space or use another folder",
            scenario="store_not_writable",
        ),
        fails_at_start(
            "its path is a file", "fix that or use another folder, then run again", scenario="store_is_a_file"
        ),
        Fault(
            "the last line of a segment is incomplete",
            "1",
            ANSWERED,
            0,
            "1 unreadable line skipped",
            "1",
            "the lost answer",
            scenario="torn_tail",
        ),
        Fault(
            "an answer in the middle is corrupt",
            "1",
            ANSWERED,
            0,
            "1 unreadable line skipped",
            "1",
            "the lost answer",
            scenario="corrupt_line",
        ),
        fails_at_start(
            "a segment has a newer version", "update azdistill, or use another folder", scenario="newer_version"
        ),
        Fault(
            "two runs send the same requests concurrently",
            "2",
            ANSWERED,
            0,
            "",
            "0",
            "requests of both runs",
            scenario="concurrent_runs",
            simulation={"latency_ms": 500},
        ),
        Fault(
            "SIGKILL",
            "1",
            ANSWERED_NEXT_RUN,
            -9,
            "",
            paid_twice="requests in flight and answers not yet synced",
            scenario="killed",
            simulation={"latency_ms": 100},
        ),
    ],
)

PRICES = {"input_price": 1.0, "output_price": 1000.0}
JOB = FaultSection(
    "Faults of the job",
    "The job ends before it exceeds its limits, and the next run continues where it ended.",
    [
        Fault(
            "more rows are rejected than max_reject_ratio allows",
            "1",
            rejected("http_400"),
            1,
            "fix the cause or raise max_reject_ratio, then run again",
            later_reply=refusal(400),
            after_answers=1,
            config={"max_reject_ratio": 0.05},
        ),
        Fault(
            "the budget is reached",
            "1",
            STORED,
            1,
            "raise the budget and run again; stored answers are not paid for again",
            teacher=PRICES,
            config={"budget": 0.2, "max_tokens": 20},
        ),
        Fault(
            "SIGTERM",
            "1",
            ANSWERED_NEXT_RUN,
            130,
            "interrupted by SIGTERM; all answers that arrived are stored; run again to continue",
            paid_twice="requests in flight",
            scenario="terminated",
            simulation={"latency_ms": 50},
        ),
    ],
)

SECTIONS = (CALL, ROW, ENDPOINT, STORE, JOB)

INTRODUCTION = f"""\
# Faults of the teacher step and their effects

Generated by `make golden` from `tests/teacher/faults.py`. `tests/teacher/test_fault_matrix.py` injects each fault and
compares every column. The job has {TRIES} tries per row (`max_attempts`), a `timeout_s` of {TIMEOUT_S:g} s, and
{IN_FLIGHT} requests in flight.

- `tries` and `tries of the next run` count how often one row is sent; `-` is not compared.
- `job` has the exit code of the teacher step in brackets.
- `message` is a part of the message or of the reason in the step's files.
- `paid twice` lists the answers that the endpoint may bill a second time.

"""
COLUMNS = ("fault", "tries", "tries of the next run", "row", "job", "message", "paid twice")


def fault_page() -> str:
    """The text of docs/faults.md."""
    return INTRODUCTION + "\n".join(_section(section) for section in SECTIONS)


def _section(section: FaultSection) -> str:
    rows = [COLUMNS, ("---",) * len(COLUMNS), *(fault.cells() for fault in section.faults)]
    table = [f"| {' | '.join(cells)} |" for cells in rows]
    return "\n".join([f"## {section.title}\n", f"{fill(section.introduction, 120)}\n", *table, ""])
