"""The fault matrix as data: what can happen to a call, a row, an endpoint, a store and a job, and what comes of it.

test_fault_matrix.py makes each of them happen and compares every column; docs/faults.md is `fault_page()`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from textwrap import fill
from time import time
from typing import Any, NamedTuple

from azdistill.simulate import wire
from azdistill.simulate.wire import HttpReply
from azdistill.teacher.endpoint import PROJECT_SCOPE, RESOURCE_SCOPE

MODEL = "deepseek-v3"
TRIES, TIMEOUT_S = 3, 2.0
ROWS, IN_FLIGHT = 40, 10
LATE_S = TIMEOUT_S + 0.2
KEY = {"key_variable": "TEACHER_KEY"}
NOWHERE = "http://127.0.0.1:9"
UNKNOWN_HOST = ".".join(["no-such-host" * 5] * 5)
"""Too long for any name server to be asked."""

ASKED = {
    "not at all": range(1),
    "once": range(1, 2),
    "twice": range(2, 3),
    f"{TRIES} times": range(TRIES, TRIES + 1),
    "again and again": range(2, 100),
}
AGAIN = {
    "": range(1_000_000),
    "not again": range(1),
    "once more": range(1, 2),
    f"{TRIES} times more": range(TRIES, TRIES + 1),
}
PAID = {
    "no": range(1),
    "the answer that was lost": range(1, 2),
    "what was in flight": range(IN_FLIGHT + 1),
    "what was in flight or not yet on disk": range(3 * IN_FLIGHT + 1),
    "what both asked": range(1, ROWS + 1),
}
"""Words of the table, and the counts that they stand for."""

JOBS = {0: "goes on (0)", 1: "ends (1)", 2: "does not begin (2)", 130: "stops (130)", -9: "is gone (137)"}
ANSWERED, UNASKED, STORED = "answered", "stays to be asked", "what was answered is stored"
IN_THE_END = "answered by the next run"


def set_aside(reason: str) -> str:
    return f"set aside, `{reason}`"


def no_label(reason: str) -> str:
    return f"kept, never a label, `{reason}`"


@dataclass(frozen=True)
class Sent:
    """A reply, and when it comes; `retry_at_s` is a Retry-After as a date so many seconds ahead."""

    reply: HttpReply
    after_s: float = 0.0
    retry_at_s: float = 0.0

    async def reply_now(self) -> HttpReply:
        await asyncio.sleep(self.after_s)
        date = {"Retry-After": formatdate(time() + self.retry_at_s, usegmt=True)} if self.retry_at_s else {}
        return replace(self.reply, headers={**self.reply.headers, **date})


@dataclass(frozen=True)
class Fault:
    """One row: the columns of the page, then how to make it happen.

    `first` are the replies to its first tries and `then` to all others, None the simulated teacher's own. With
    `after` they come once so many answers were given, and for `for_s` seconds. `at` is the address; {url}, {host} and
    {untrusted} in it stand for those of servers of the test. `scene` names what takes more than that.
    """

    what: str
    asked: str
    row: str
    job: int
    told: str
    again: str = ""
    paid: str = "no"
    apart_s: float = 0.0
    first: Sequence[Sent] = ()
    then: Sent | None = None
    after: int = 0
    for_s: float = 600.0
    at: str = "{url}"
    key: str | None = None
    simulation: Mapping[str, Any] = field(default_factory=dict)
    teacher: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    scene: str = ""

    def cells(self) -> Sequence[str]:
        apart = f", {self.apart_s:g} s apart or more" if self.apart_s else ""
        again = f"; by the next run {self.again}" if self.again else ""
        told = f"`{self.told}`" if self.told else "nothing"
        return self.what, f"{self.asked}{apart}{again}", self.row, JOBS[self.job], told, self.paid


class Section(NamedTuple):
    title: str
    about: str
    faults: Sequence[Fault]


def says(status: int, message: str = "no", **more: str) -> Sent:
    """A refusal in OpenAI's shape."""
    return Sent(wire.reply(status, {"error": {"message": message, **more}}))


def page(status: int) -> Sent:
    return Sent(wire.page(status, "upstream failed"))


def with_header(name: str, value: str, status: int) -> Sent:
    return Sent(wire.reply(status, {"error": {"message": "no"}}, {name: value}))


def said(text: str, finish_reason: str = "stop", status: int = 200) -> Sent:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    return Sent(wire.reply(status, {"choices": [choice], "usage": usage}))


WHOLE = said("a whole answer").reply


def with_usage(count: str) -> Sent:
    """An answer whose token counts are any JSON value."""
    return Sent(HttpReply(200, WHOLE.body.replace(b'"prompt_tokens":10', f'"prompt_tokens":{count}'.encode())))


def passes(what: str, told: str, *first: Sent, **more: Any) -> Fault:
    """Of a call: the row is asked again at once or after a wait, and answered."""
    columns = {"asked": "twice", "row": ANSWERED, "job": 0, "again": "not again", **more}
    return Fault(what, told=told, first=first, **columns)


def of_row(what: str, row: str, told: str, then: Sent, again: str, asked: str = "once", **more: Any) -> Fault:
    """Of a row: it is refused for good, or its answer is of no use."""
    return Fault(what, asked, row, 0, told, again, then=then, **more)


def stops(what: str, told: str, job: int = 1, **more: Any) -> Fault:
    """Of the endpoint and of the store: it is told before a row is asked that none would be answered or kept."""
    return Fault(what, "not at all", UNASKED, job, told, **more)


LOST = {"paid": "the answer that was lost"}
CALL = Section(
    "Of a call",
    "It passes by itself: the row gives its place to the next one, comes back after a wait and is answered. "
    "`retries` in usage.json counts it under the word in the fifth column.",
    [
        passes("408, the endpoint gave up waiting", "http_408", says(408)),
        passes("424, its model is not ready yet", "http_424", Sent(wire.not_ready())),
        passes("429 with Retry-After: 1", "http_429", with_header("Retry-After", "1", 429), apart_s=1),
        passes("429 with Retry-After as a date", "http_429", Sent(says(429).reply, retry_at_s=2), apart_s=1),
        passes(
            "429 with Retry-After in the year 99999",
            "http_429",
            with_header("Retry-After", "Fri, 31 Dec 99999 23:59:59 GMT", 429),
            apart_s=1,
        ),
        passes("429 without Retry-After", "http_429", says(429), apart_s=1),
        passes(
            "429 from a gateway, without an error object",
            "http_429",
            Sent(wire.reply(429, wire.gateway(429, "Rate limit is exceeded."))),
            apart_s=1,
        ),
        passes("500", "http_500", says(500)),
        passes("502", "http_502", page(502)),
        passes("503", "http_503", Sent(HttpReply(503))),
        passes("504 with a page of HTML", "http_504", Sent(wire.gateway_timeout())),
        passes("the connection is reset", "connection", Sent(HttpReply(0, ending="reset"))),
        passes(
            "the connection closes within the answer",
            "connection",
            Sent(HttpReply(200, WHOLE.body, ending="cut")),
            **LOST,
        ),
        passes("200 with half the JSON", "cut_reply", Sent(HttpReply(200, WHOLE.body[: len(WHOLE.body) // 2])), **LOST),
        passes("no reply, ever", "timeout", Sent(HttpReply(0, ending="never")), apart_s=TIMEOUT_S),
        passes("an answer after timeout_s", "timeout", Sent(WHOLE, LATE_S), apart_s=TIMEOUT_S, **LOST),
        passes(
            "an answer with an impossible usage (2**64 tokens)", "", with_usage("18446744073709551616"), asked="once"
        ),
        passes("an answer with a negative usage", "", with_usage("-1"), asked="once"),
        passes("an answer whose usage is no number", "", with_usage('"many"'), asked="once"),
        passes("a slow answer, within timeout_s", "", Sent(WHOLE, TIMEOUT_S / 2), asked="once"),
    ],
)

ROW = Section(
    "Of a row",
    "The job goes on without it, up to max_reject_ratio. A row that is set aside is in rejects.jsonl with its reason; "
    "an answer that is kept is in completions.jsonl, counted by its finish_reason in usage.json, and curate makes no "
    "label of it. What may have been mended is asked again by the next run; what is stored is not.",
    [
        of_row("400", set_aside("http_400"), "HTTP 400: too many words", says(400, "too many words"), "once more"),
        of_row(
            "400 whose error code is a list",
            set_aside("http_400"),
            "HTTP 400: no",
            Sent(wire.reply(400, {"error": {"message": "no", "code": ["x"], "innererror": {"code": {}}}})),
            "once more",
        ),
        of_row(
            "413, the prompt is too long",
            set_aside("http_413"),
            "HTTP 413: too large",
            says(413, "too large"),
            "once more",
        ),
        of_row("422", set_aside("http_422"), "HTTP 422: not so", says(422, "not so"), "once more"),
        of_row(
            "the content filter refuses the prompt",
            set_aside("content_filter"),
            "HTTP 400: The response was filtered",
            Sent(wire.reply(400, wire.content_filter())),
            "not again",
        ),
        of_row(
            "the content filter refuses it as a completion with status 400",
            set_aside("content_filter"),
            "HTTP 400",
            said("", "content_filter", 400),
            "not again",
        ),
        of_row("the answer is cut at max_tokens", no_label("length"), "length", said("hal", "length"), "not again"),
        of_row(
            "the content filter cuts the answer",
            no_label("content_filter"),
            "content_filter",
            said("hal", "content_filter"),
            "not again",
        ),
        of_row("the answer is blank", no_label("empty"), "stop", said("  "), "not again"),
        of_row(
            "200 without a chat completion",
            set_aside("not_a_completion"),
            "HTTP 200 without a chat completion in it",
            Sent(wire.reply(200, {"object": "list"})),
            "once more",
        ),
        of_row(
            "503 at each of its tries",
            set_aside("http_503"),
            f"gave up after {TRIES} tries; the last: HTTP 503: no",
            with_header("Retry-After", "0", 503),
            f"{TRIES} times more",
            asked=f"{TRIES} times",
        ),
        of_row(
            "a turn before the last is cut (turns: all)",
            set_aside("unusable_turn"),
            "turn 1 of 2: the answer is incomplete (finish_reason 'length')",
            said("hal", "length"),
            "not again",
        ),
        of_row(
            "no reasoning where chain_of_thought asks for it",
            set_aside("no_trace"),
            "no reasoning in <think> before the answer",
            said("just so"),
            "not again",
            scene="without_a_trace",
        ),
    ],
)

TOKEN = {"entra_scope": RESOURCE_SCOPE}
SKEW_S = 2 * 3600
ENDPOINT = Section(
    "Of the endpoint",
    "What would refuse every row is found by one call before the first of them, and ends the job in one line that says "
    "what to do. What comes later ends it too, and loses no answer.",
    [
        stops("the key is wrong", "check that the key belongs to this endpoint", key="right", teacher=KEY),
        stops("the key's variable is not set", "variable UNSET is not set", 2, teacher={"key_variable": "UNSET"}),
        stops(
            "a connection is named on a machine of your own",
            "on this machine set endpoint and key_variable",
            2,
            teacher={"connection": "teacher-connection"},
            at="",
        ),
        stops(
            "the token is for another audience",
            f"set entra_scope to '{PROJECT_SCOPE}'",
            teacher=TOKEN,
            simulation={"entra_scope": PROJECT_SCOPE},
        ),
        stops(
            "the token has expired, as this machine's clock is behind",
            "120 min behind the endpoint's",
            teacher=TOKEN,
            simulation={"entra_scope": RESOURCE_SCOPE, "clock_skew_s": SKEW_S},
        ),
        stops("403", "allow this machine in the network rules of the endpoint", then=says(403)),
        stops(
            "the address is no URL", "is not an http(s) URL; copy the address of the endpoint", 2, at="http://[::1/v1"
        ),
        stops("nothing answers chat requests at the path", "endpoint has the form https://", at="{url}/elsewhere"),
        stops(
            "there is no deployment of that name",
            "set model to the name of the deployment",
            simulation={"deployments": ("gpt-4o",)},
        ),
        stops("the model is retired", "deploy its successor", then=says(404, code="ModelDeprecated")),
        stops(
            "it does not take a parameter",
            "set reasoning to true",
            simulation={"refused_parameters": ("temperature",)},
        ),
        stops("200 with a page of HTML", "it returned a web page", simulation={"html": True}),
        stops(
            "it redirects to another address",
            "set endpoint to that address",
            then=with_header("Location", f"{NOWHERE}/v1", 307),
        ),
        stops(
            "the proxy refuses",
            "the proxy refused the connection",
            at="https://teacher.invalid",
            environ={"https_proxy": "{url}", "no_proxy": ""},
        ),
        stops(
            "the proxy can't be reached",
            "correct HTTPS_PROXY, or add the host to NO_PROXY",
            at="https://teacher.invalid",
            environ={"https_proxy": NOWHERE, "no_proxy": ""},
        ),
        stops(
            "its certificate is not trusted", "set SSL_CERT_FILE to the certificate authority", at="https://{untrusted}"
        ),
        stops("it speaks no TLS", "correct the port, or write http://", at="https://{host}"),
        stops(
            "its host is unknown", "its host name cannot be resolved; correct endpoint", at=f"https://{UNKNOWN_HOST}"
        ),
        stops("nobody listens", "check that the endpoint is up, then run again", at=NOWHERE),
        Fault(
            "it answers 503 from the start",
            "once",
            UNASKED,
            1,
            f"no answer to the first {3 * IN_FLIGHT} calls; the last: HTTP 503",
            then=says(503),
        ),
        Fault(
            "it goes down and comes back",
            "again and again",
            ANSWERED,
            0,
            "down; one row at a time is sent to probe whether it is back",
            "not again",
            then=says(503),
            after=15,
            for_s=2.0,
        ),
        Fault(
            "it goes down for good",
            "again and again",
            STORED,
            1,
            "no row was charged, and all answers are stored",
            scene="down_for_good",
        ),
        Fault(
            "it refuses the key in the middle of the job",
            "once",
            STORED,
            1,
            "the key was refused; check key_variable",
            "once more",
            "what was in flight",
            then=Sent(says(401).reply, 0.2),
            after=15,
        ),
        *(
            Fault(what, "once", ANSWERED, 0, told, "not again", simulation=simulation, config={"top_logprobs": 5})
            for what, told, simulation in [
                ("it refuses logprobs", "it rejects the parameter", {"refused_parameters": ("logprobs",)}),
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

STORE = Section(
    "Of the store",
    "An answer counts once it is on disk. See [the store](store.md).",
    [
        Fault(
            "the disk is full",
            "once",
            STORED,
            1,
            "cannot be written (File too large); make room or use another folder",
            "once more",
            "what was in flight or not yet on disk",
            scene="disk_full",
            simulation={"latency_ms": 20},
        ),
        stops(
            "its folder may not be written",
            "cannot be written (Permission denied); make room or use another folder",
            scene="forbidden",
        ),
        stops("a file is in its place", "fix that or use another folder, then run again", scene="a_file"),
        Fault(
            "the last line of a segment is torn",
            "once",
            ANSWERED,
            0,
            "1 unreadable line skipped",
            "once more",
            "the answer that was lost",
            scene="torn_tail",
        ),
        Fault(
            "an answer in the middle is corrupt",
            "once",
            ANSWERED,
            0,
            "1 unreadable line skipped",
            "once more",
            "the answer that was lost",
            scene="corrupt_line",
        ),
        stops("a segment is of a newer version", "update azdistill, or use another folder", scene="newer"),
        Fault(
            "two runs ask the same at once",
            "twice",
            ANSWERED,
            0,
            "",
            "not again",
            "what both asked",
            scene="two_at_once",
            simulation={"latency_ms": 500},
        ),
        Fault(
            "SIGKILL",
            "once",
            IN_THE_END,
            -9,
            "",
            paid="what was in flight or not yet on disk",
            scene="killed",
            simulation={"latency_ms": 100},
        ),
    ],
)

PRICES = {"input_price": 1.0, "output_price": 1000.0}
JOB = Section(
    "Of the job",
    "It ends before it costs more than it was allowed to, and a next run goes on where it ended.",
    [
        Fault(
            "more rows are refused than max_reject_ratio allows",
            "once",
            set_aside("http_400"),
            1,
            "fix the cause or raise max_reject_ratio, then run again",
            then=says(400),
            after=1,
            config={"max_reject_ratio": 0.05},
        ),
        Fault(
            "the budget is reached",
            "once",
            STORED,
            1,
            "raise the budget and run again; stored answers are not bought again",
            teacher=PRICES,
            config={"budget": 0.2, "max_tokens": 20},
        ),
        Fault(
            "SIGTERM",
            "once",
            IN_THE_END,
            130,
            "interrupted by SIGTERM; all answers that arrived are stored; run again to continue",
            paid="what was in flight",
            scene="told_to_stop",
            simulation={"latency_ms": 50},
        ),
    ],
)

SECTIONS = (CALL, ROW, ENDPOINT, STORE, JOB)

INTRODUCTION = f"""\
# What can go wrong, and what becomes of it

Generated by `make golden` from `tests/teacher/faults.py`; `tests/teacher/test_fault_matrix.py` makes each of these
happen and compares every column. "Asked" counts the tries of a row, in brackets stands the exit code of the teacher
step, what you are told contains the words given, and "paid twice" is about answers that the endpoint bills. The job
has {TRIES} tries a row (`max_attempts`), a `timeout_s` of {TIMEOUT_S:g} s, and {IN_FLIGHT} requests in flight.

"""
HEAD = "| what happens | a row is asked | the row | the job | you are told | paid twice |\n|---|---|---|---|---|---|"


def fault_page() -> str:
    """docs/faults.md."""
    return INTRODUCTION + "\n".join(_section(section) for section in SECTIONS)


def _section(section: Section) -> str:
    lines = [f"| {' | '.join(fault.cells())} |" for fault in section.faults]
    return "\n".join([f"## {section.title}\n", f"{fill(section.about, 120)}\n", HEAD, *lines, ""])
