"""Preflight: one short call that finds what would make every request fail, before any row is paid.

Transient failures (429, 5xx, a timeout, a reset connection, a cut reply) are left to the run, which retries them.
"""

import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import aiohttp
import orjson

from azdistill.contracts.chat_url import default_scope, inference_role
from azdistill.contracts.errors import EndpointError
from azdistill.contracts.requests import PROBE_QUESTION, RequestConfig
from azdistill.engine.problems import Problem
from azdistill.teacher.auth import Auth, EntraToken
from azdistill.teacher.endpoint import Endpoint
from azdistill.teacher.replies import Answer, Retry, http_date, message, read_reply
from azdistill.teacher.requests import Request, keyed_request, sampling_parameters
from azdistill.teacher.session import auth_headers, largest_reply, open_session, post, read_body

logger = logging.getLogger("azdistill.teacher")

PREFLIGHT_MESSAGES = [{"role": "user", "content": PROBE_QUESTION}]
# Some models reject a lower limit.
PREFLIGHT_TOKENS = 16
LONGEST_CALL_S = 60.0
# Entra ID accepts this difference of clocks.
LARGEST_SKEW_S = 300.0
URL_EXAMPLES = (
    "https://NAME.REGION.models.ai.azure.com, https://RESOURCE.services.ai.azure.com/openai/v1, "
    "https://RESOURCE.openai.azure.com/openai/v1 or http(s)://HOST/v1"
)
UNKNOWN_MODEL = frozenset({"deploymentnotfound", "model_not_found", "modelnotfound", "unknown_model", "notfounderror"})
RETIRED = frozenset({"modeldeprecated", "model_deprecated", "modelretired", "model_retired"})
TRANSIENT = frozenset({408, 429})


@dataclass(frozen=True)
class ProbeResult:
    """HTTP response to one short call, or the `error` of the connection.

    `parameters` are the names of the request's parameters, without model and messages.
    """

    endpoint: Endpoint
    parameters: tuple[str, ...]
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    error: Exception | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The JSON object of the body; empty if it is anything else."""
        try:
            content = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return content if isinstance(content, dict) else {}

    @property
    def error_content(self) -> dict[str, Any]:
        """The `error` object of the body, or the body itself if the endpoint has no such object."""
        error = self.content.get("error")
        return error if isinstance(error, dict) else self.content

    @property
    def error_code(self) -> str:
        return _text(self.error_content.get("code")).lower()

    @property
    def error_message(self) -> str:
        """The endpoint's error message. It may repeat the key."""
        return message(self.content, self.body)

    @property
    def summary(self) -> str:
        """Status and error message of the response, or the error of the connection, without secrets."""
        if self.status:
            return f"HTTP {self.status}: {self.quote(self.error_message)}"
        return f"{type(self.error).__name__}: {self.quote(str(self.error))}"

    @property
    def is_html(self) -> bool:
        return self.body.lstrip()[:5].lower() in (b"<html", b"<!doc")

    def header(self, name: str, default: str) -> str:
        """A header of the response, without secrets."""
        return self.quote(self.headers.get(name, default))

    def quote(self, text: str) -> str:
        return self.endpoint.auth.redact(text)

    @cached_property
    def skew_s(self) -> float:
        """Seconds by which this machine's clock is ahead of the endpoint's."""
        date = http_date(self.headers.get("Date", ""))
        return 0.0 if date is None else time.time() - date


async def preflight(endpoint: Endpoint, config: RequestConfig) -> Answer | None:
    """Make one short call, whose answer belongs to no row. Raises EndpointError when every request would fail."""
    result = await probe(endpoint, config)
    reply = read_reply(result.status, result.headers, result.body) if result.status else None
    is_cut = isinstance(reply, Retry) and result.status == 200
    if not is_cut and (problem := find_problem(result)):
        text = f"{problem.message} ({result.summary})" if result.status else problem.message
        raise EndpointError(problems=[replace(problem, subject=str(endpoint), message=text)])
    if warning := find_warning(result):
        logger.warning("%s", replace(warning, subject=str(endpoint)).text)
    return reply if isinstance(reply, Answer) else None


def probe_request(endpoint: Endpoint, config: RequestConfig) -> Request:
    """A request with the parameters of a row and a low token limit."""
    parameters = sampling_parameters(config, endpoint, PREFLIGHT_TOKENS)
    return keyed_request({"model": endpoint.model, "messages": PREFLIGHT_MESSAGES, **parameters}, endpoint)


async def probe(endpoint: Endpoint, config: RequestConfig) -> ProbeResult:
    """Send the short request once."""
    parameters = tuple(sampling_parameters(config, endpoint, PREFLIGHT_TOKENS))
    body = probe_request(endpoint, config).body
    headers = await auth_headers(endpoint.auth)
    try:
        async with (
            open_session(endpoint, 1, min(config.timeout_s, LONGEST_CALL_S)) as session,
            post(session, endpoint, body, headers) as response,
        ):
            content = await read_body(response, largest_reply(endpoint, PREFLIGHT_TOKENS))
            return ProbeResult(endpoint, parameters, response.status, response.headers, content)
    except Exception as error:  # aiohttp raises errors of many types for a reply that it cannot parse
        return ProbeResult(endpoint, parameters, error=error)


def find_problem(result: ProbeResult) -> Problem | None:
    """Find what makes every request fail. Returns None when nothing does, or when a retry may succeed."""
    if result.error:
        return _connection_problem(result.error, result.quote)
    if 300 <= result.status < 400:
        return Problem(
            code="redirect",
            message=f"it redirects to {result.header('Location', '?')!r}",
            fix="set endpoint to that address",
        )
    if result.status in TRANSIENT:
        return None
    if result.error_code in RETIRED:
        return _retired(result)
    if result.is_html and result.status in (200, 401, 403):
        return Problem(
            code="html_page",
            message="it returned a web page, like a portal or a proxy",
            fix=f"endpoint has the form {URL_EXAMPLES}",
        )
    if result.status == 401:
        return _unauthorized(result)
    check = CHECKS.get(result.status)
    return check(result) if check else None


def find_warning(result: ProbeResult) -> Problem | None:
    """Find what delays requests or may make them fail later."""
    if result.status == 424:
        reason = result.header("ms-azureml-model-error-reason", "model_not_ready")
        return Problem(
            code="model_not_ready",
            severity="warning",
            message=f"its model is not ready ({reason})",
            fix="rows are retried until it is",
        )
    if isinstance(result.endpoint.auth, EntraToken) and abs(result.skew_s) > LARGEST_SKEW_S:
        return replace(_wrong_clock(result.skew_s), severity="warning")
    return None


def _connection_problem(error: Exception, quote: Callable[[str], str]) -> Problem | None:
    """The order matters: a certificate error is an SSL error, and both are connection errors."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return Problem(
            code="proxy_refused",
            message=f"the proxy refused the connection (HTTP {error.status})",
            fix="allow the host in the proxy, correct user and password in HTTPS_PROXY, or add the host to NO_PROXY",
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return Problem(
            code="proxy_unreachable",
            message="the proxy cannot be reached",
            fix="correct HTTPS_PROXY, or add the host to NO_PROXY",
        )
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Problem(
            code="untrusted_certificate",
            message=f"its certificate is not trusted ({quote(str(error.certificate_error))})",
            fix="correct the host name, or set SSL_CERT_FILE to the certificate authority of your proxy or server",
        )
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return Problem(
            code="no_tls",
            message="it does not use TLS on this port",
            fix="correct the port, or write http:// for a server of your own",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Problem(
            code="unknown_host",
            message="its host name cannot be resolved",
            fix="correct endpoint, or the DNS of a private endpoint",
        )
    return None


def _unauthorized(result: ProbeResult) -> Problem:
    auth = result.endpoint.auth
    if isinstance(auth, EntraToken):
        return _token_rejected(result, auth)
    if type(auth) is Auth:
        return Problem(
            code="no_credentials", message="it requires authentication", fix="set key_variable or entra_scope"
        )
    return Problem(
        code="key_rejected",
        message="it rejected the key",
        fix="check that the key belongs to this endpoint and was not rotated",
    )


def _token_rejected(result: ProbeResult, auth: EntraToken) -> Problem:
    if abs(result.skew_s) > LARGEST_SKEW_S:
        return _wrong_clock(result.skew_s)
    scope = _required_scope(result)
    fix = f"set entra_scope to {scope!r}" if scope != auth.scope else "sign in to the tenant of the endpoint"
    return Problem(code="token_rejected", message=f"it rejected a token for entra_scope {auth.scope!r}", fix=fix)


def _required_scope(result: ProbeResult) -> str:
    """Azure's error message may name the required audience in brackets. Otherwise the URL decides."""
    _, _, rest = result.error_message.partition("audience is incorrect (")
    audience, bracket, _ = rest.partition(")")
    named = bracket and audience.startswith("https://")
    return f"{result.quote(audience)}/.default" if named else default_scope(result.endpoint.url)


def _wrong_clock(skew_s: float) -> Problem:
    side = "ahead of" if skew_s > 0 else "behind"
    return Problem(
        code="wrong_clock",
        message=f"the clock of this machine is {abs(skew_s) / 60:.0f} min {side} the endpoint's",
        fix="set the clock, because tokens expire by it",
    )


def _forbidden(result: ProbeResult) -> Problem:
    if isinstance(result.endpoint.auth, EntraToken):
        return Problem(
            code="no_role",
            message="the identity may not use it",
            fix=f"assign it the role {inference_role(result.endpoint.url)!r}",
        )
    return Problem(
        code="access_denied",
        message="access is denied",
        fix="allow this machine in the network rules of the endpoint, or use a key with access",
    )


def _not_found(result: ProbeResult) -> Problem:
    if result.error_code in UNKNOWN_MODEL:
        return Problem(
            code="unknown_deployment",
            message=f"it has no deployment {result.endpoint.model!r}",
            fix="set model to the name of the deployment, not of the model",
        )
    return Problem(
        code="no_chat_path",
        message="it has no chat completions at this path",
        fix=f"endpoint has the form {URL_EXAMPLES}",
    )


def _retired(result: ProbeResult) -> Problem:
    return Problem(
        code="model_retired",
        message=f"model {result.endpoint.model!r} is retired",
        fix="deploy its successor and set model to it",
    )


def _rejected_parameter(result: ProbeResult) -> Problem | None:
    """An error that names a parameter affects every row. The cause of others may be this request."""
    named = re.split(r"[.\[]", _text(result.error_content.get("param")))[0]
    parameter = named if named in result.parameters else _mentioned_parameter(result)
    if parameter is None:
        return None
    configured = result.endpoint.teacher.parameters
    fix = "remove reasoning" if parameter == "max_completion_tokens" else "set reasoning to true"
    return Problem(
        code="rejected_parameter",
        message=f"it does not accept the parameter {parameter!r}",
        field=("parameters", parameter) if parameter in configured else (),
        value=configured.get(parameter),
        fix=f"{f'correct or remove parameters.{parameter}' if parameter in configured else fix} for this teacher",
    )


def _mentioned_parameter(result: ProbeResult) -> str | None:
    """Servers without a field for it name the parameter in their message."""
    text = result.error_message
    return next((name for name in result.parameters if re.search(rf"\b{name}\b", text)), None)


def _no_completion(result: ProbeResult) -> Problem | None:
    if isinstance(read_reply(result.status, result.headers, result.body), Answer):
        return None
    return Problem(
        code="no_completion",
        message="its response is no chat completion",
        fix=f"endpoint has the form {URL_EXAMPLES}",
    )


def _text(value: object) -> str:
    """A code or name of the endpoint; empty for what is no text."""
    return value if isinstance(value, str) else ""


def _proxy_login(_: ProbeResult) -> Problem:
    return Problem(
        code="proxy_login", message="the proxy requires a login", fix="put user and password into HTTPS_PROXY"
    )


CHECKS: Mapping[int, Callable[[ProbeResult], Problem | None]] = {
    200: _no_completion,
    400: _rejected_parameter,
    403: _forbidden,
    404: _not_found,
    405: _not_found,
    407: _proxy_login,
    410: _retired,
    422: _rejected_parameter,
}
