"""One call before the run: what would refuse every row is found now, with what to do about it in one sentence.

What passes by itself (429, 5xx, a timeout, a reset) is left to the run, which asks again.
"""

import email.utils
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from azdistill.contracts.errors import EndpointError
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.auth import Access, EntraToken
from azdistill.teacher.endpoint import Endpoint, usual_scope
from azdistill.teacher.replies import Answer, message, read_reply
from azdistill.teacher.requests import Request, keyed_request, sampling_parameters
from azdistill.teacher.session import ask, let_in, open_session

ASKED = [{"role": "user", "content": "Say yes."}]
PREFLIGHT_TOKENS = 16  # some models refuse less
LARGEST_PREFLIGHT = 1024
"""Bytes of its request, for the budget: the name of the model is the long part."""
LONGEST_CALL_S = 60.0
LARGEST_SKEW_S = 300.0  # Entra allows as much
SHAPES = (
    "https://NAME.REGION.models.ai.azure.com, https://RESOURCE.services.ai.azure.com/openai/v1, "
    "https://RESOURCE.openai.azure.com/openai/v1 or http(s)://HOST/v1"
)
UNKNOWN_MODEL = frozenset({"deploymentnotfound", "model_not_found", "modelnotfound", "unknown_model", "notfounderror"})
RETIRED = frozenset({"modeldeprecated", "model_deprecated", "modelretired", "model_retired"})
PASSES_BY_ITSELF = frozenset({408, 429})


@dataclass(frozen=True)
class Seen:
    """What came of the call: a reply, or `problem` in place of one. `sent` are the names of its parameters."""

    endpoint: Endpoint
    sent: tuple[str, ...]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    problem: Exception | None = None

    @property
    def content(self) -> dict[str, Any]:
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def error(self) -> dict[str, Any]:
        found = self.content.get("error")
        return found if isinstance(found, dict) else self.content

    @property
    def code(self) -> str:
        return str(self.error.get("code", "")).lower()

    @property
    def words(self) -> str:
        """The endpoint's own, for people."""
        return message(self.content, self.body)

    @property
    def is_page(self) -> bool:
        return self.body.lstrip()[:5].lower() in (b"<html", b"<!doc")

    def skew_s(self, now: float) -> float:
        """How far this machine's clock is ahead of the endpoint's."""
        date = email.utils.parsedate_tz(self.headers.get("Date", ""))
        return now - email.utils.mktime_tz(date) if date else 0.0


async def preflight(endpoint: Endpoint, config: TeacherConfig) -> Answer | None:
    """Ask one short question, whose answer is no row's. Raises EndpointError when no row would be answered."""
    seen = await call(endpoint, config)
    if wrong := what_is_wrong(seen):
        detail = f" (HTTP {seen.status}: {seen.words})" if seen.status else ""
        raise EndpointError(endpoint.access.redact(f"{endpoint}: {wrong}{detail}"))
    if notice := what_to_know(seen):
        print(f"{endpoint}: {notice}", flush=True)
    reply = read_reply(seen.status, seen.headers, seen.body) if seen.status else None
    return reply if isinstance(reply, Answer) else None


def short_request(endpoint: Endpoint, config: TeacherConfig) -> Request:
    """With the parameters of a row, and fewer tokens to answer in."""
    return keyed_request(
        {"model": endpoint.model, "messages": ASKED, **sampling_parameters(config, endpoint, PREFLIGHT_TOKENS)},
        endpoint,
    )


async def call(endpoint: Endpoint, config: TeacherConfig) -> Seen:
    """Ask the short question once."""
    parameters = sampling_parameters(config, endpoint, PREFLIGHT_TOKENS)
    body = short_request(endpoint, config).body
    headers = await let_in(endpoint.access)
    try:
        async with (
            open_session(endpoint, 1, min(config.timeout_s, LONGEST_CALL_S)) as session,
            ask(session, endpoint, body, headers) as response,
        ):
            return Seen(endpoint, tuple(parameters), response.status, response.headers, await response.read())
    except (aiohttp.ClientError, OSError) as problem:  # a timeout is an OSError
        return Seen(endpoint, tuple(parameters), problem=problem)


def what_is_wrong(seen: Seen, now: float | None = None) -> str | None:
    """The one sentence on what stops every row; None when nothing does."""
    if seen.problem:
        return _no_reply(seen.problem)
    if 300 <= seen.status < 400:
        return f"it redirects to {seen.headers.get('Location', '?')!r}; give that address as endpoint"
    if seen.status in PASSES_BY_ITSELF:
        return None
    if seen.code in RETIRED:
        return _retired(seen)
    if seen.is_page and seen.status in (200, 401, 403):
        return f"a web page came in place of an answer: a portal's address, or a proxy's; endpoint is like {SHAPES}"
    if seen.status == 401:
        return _unauthorized(seen, time.time() if now is None else now)
    judge = BY_STATUS.get(seen.status)
    return judge(seen) if judge else None


def what_to_know(seen: Seen, now: float | None = None) -> str | None:
    """What stops no row yet."""
    if seen.status == 424:
        reason = seen.headers.get("ms-azureml-model-error-reason", "model_not_ready")
        return f"its model can't answer yet ({reason}); rows are asked again until it does"
    skew_s = seen.skew_s(time.time() if now is None else now)
    if isinstance(seen.endpoint.access, EntraToken) and abs(skew_s) > LARGEST_SKEW_S:
        return _skewed(skew_s)
    return None


def _no_reply(problem: Exception) -> str | None:
    """The order counts: a certificate error is an SSL error, and both are errors of the connection."""
    if isinstance(problem, aiohttp.ClientHttpProxyError):
        return f"the proxy refused the connection (HTTP {problem.status}); let it through, or name the host in NO_PROXY"
    if isinstance(problem, aiohttp.ClientProxyConnectionError):
        return "the proxy can't be reached; correct HTTPS_PROXY, or name the host in NO_PROXY"
    if isinstance(problem, aiohttp.ClientConnectorCertificateError):
        return (
            f"its certificate is not trusted here ({problem.certificate_error}); correct the host's name, "
            "or set SSL_CERT_FILE to the authority of your proxy or server"
        )
    if isinstance(problem, aiohttp.ClientConnectorSSLError):
        return "it does not speak TLS there; correct the port, or write http:// for a server of your own"
    if isinstance(problem, aiohttp.ClientConnectorDNSError):
        return "there is no host of that name; correct endpoint, or the name resolution of a private endpoint"
    return None


def _unauthorized(seen: Seen, now: float) -> str:
    access = seen.endpoint.access
    if isinstance(access, EntraToken):
        return _token_refused(seen, access, seen.skew_s(now))
    if type(access) is Access:
        return "it asks who you are; set key_variable or entra_scope"
    return "it refused the key; check that the key belongs to this endpoint and was not rotated"


def _token_refused(seen: Seen, access: EntraToken, skew_s: float) -> str:
    if abs(skew_s) > LARGEST_SKEW_S:
        return _skewed(skew_s)
    wanted = _wanted_scope(seen)
    if wanted != access.scope:
        return f"it refused a token for entra_scope {access.scope!r}; set entra_scope to {wanted!r}"
    return f"it refused a token for entra_scope {access.scope!r}, the usual one; sign in to the tenant of the endpoint"


def _wanted_scope(seen: Seen) -> str:
    """Azure's refusal names its audience in brackets; a hint, and where it is missing the address has to do."""
    _, _, rest = seen.words.partition("audience is incorrect (")
    audience, closed, _ = rest.partition(")")
    return f"{audience}/.default" if closed and audience.startswith("https://") else usual_scope(seen.endpoint.url)


def _skewed(skew_s: float) -> str:
    side = "ahead of" if skew_s > 0 else "behind"
    return f"this machine's clock is {abs(skew_s) / 60:.0f} min {side} the endpoint's; set it: tokens expire by it"


def _forbidden(seen: Seen) -> str:
    if isinstance(seen.endpoint.access, EntraToken):
        return "the identity may not ask it; give it the role 'Cognitive Services User' (in a project 'Azure AI User')"
    return "access is denied; open the endpoint's network rules to this machine, or use a key with rights"


def _not_found(seen: Seen) -> str:
    if seen.code in UNKNOWN_MODEL:
        return f"it has no deployment {seen.endpoint.model!r}; model is the name of the deployment, not of the model"
    return f"nothing answers chat requests there; endpoint is like {SHAPES}"


def _retired(seen: Seen) -> str:
    return f"model {seen.endpoint.model!r} is retired; deploy its successor and name it as model"


def _bad_request(seen: Seen) -> str | None:
    """A parameter that is refused by name is refused in every row; of other refusals the question may be the cause."""
    named = seen.error.get("param")
    parameter = named if named in seen.sent else _first_named(seen)
    if parameter is None:
        return None
    advice = "leave reasoning out" if parameter == "max_completion_tokens" else "set reasoning to true"
    return f"it does not take {parameter!r} as it was sent; {advice} for this teacher"


def _first_named(seen: Seen) -> str | None:
    """Servers that have no field for it name the parameter in their words."""
    return next((name for name in seen.sent if re.search(rf"\b{name}\b", seen.words)), None)


def _no_completion(seen: Seen) -> str | None:
    reply = read_reply(seen.status, seen.headers, seen.body)
    return None if isinstance(reply, Answer) else f"its reply is no chat completion; endpoint is like {SHAPES}"


BY_STATUS: Mapping[int, Callable[[Seen], str | None]] = {
    200: _no_completion,
    400: _bad_request,
    403: _forbidden,
    404: _not_found,
    405: _not_found,
    407: lambda seen: "the proxy asks who you are; put user and password into HTTPS_PROXY",
    410: _retired,
    422: _bad_request,
}
