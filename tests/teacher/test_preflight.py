"""The preflight as a table: responses of an endpoint over real HTTP, and the problem that is reported for each."""

import asyncio
import contextlib
import email.utils
import json
import ssl
import time
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest
from aiohttp import web

from azdistill.azure_rest.identity import BearerToken
from azdistill.contracts.errors import EndpointError, InputError
from azdistill.contracts.requests import Teacher
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.preflight import ProbeResult, find_problem, preflight
from tests.refusing_proxy import refusing_proxy
from tests.teacher.simulated_azure import jwt

RESOURCE, PROJECT = "https://cognitiveservices.azure.com/.default", "https://ai.azure.com/.default"
CANARY = "canary-s3cret"
YES = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": {}}
PAGE = "<!DOCTYPE html><html><title>Sign in</title></html>"


def says(message, **more):
    return {"error": {"message": message, **more}}


AUDIENCE = says("Access token is missing, invalid, audience is incorrect (https://ai.azure.com), or have expired.")
BUILT_IN = {"message": "Access denied due to invalid key", "statusCode": 401}
KEY, TOKEN, OPEN = {"key_variable": "KEY"}, {"entra_scope": RESOURCE}, {}

FATAL = [
    # fields of the teacher, status and body of the response, code of the problem, part of its message or fix
    (OPEN, 401, BUILT_IN, "no_credentials", "set key_variable or entra_scope"),
    (KEY, 401, BUILT_IN, "key_rejected", "check that the key belongs to this endpoint"),
    (TOKEN, 401, AUDIENCE, "token_rejected", f"entra_scope '{RESOURCE}' (HTTP 401: "),
    (TOKEN, 401, AUDIENCE, "token_rejected", f"set entra_scope to '{PROJECT}'"),
    (TOKEN, 401, says("no"), "token_rejected", "sign in to the tenant of the endpoint"),
    (KEY, 403, says("Public access is disabled"), "access_denied", "network rules"),
    (TOKEN, 403, says("no data action"), "no_role", "'Cognitive Services User'"),
    (KEY, 404, says("no", code="DeploymentNotFound"), "unknown_deployment", "'m'"),
    (KEY, 404, says("no", code="404"), "no_chat_path", "endpoint has the form https://NAME.REGION"),
    (KEY, 405, "", "no_chat_path", "endpoint has the form"),
    (KEY, 410, says("gone"), "model_retired", "model 'm'"),
    (KEY, 404, says("no", code="ModelDeprecated"), "model_retired", "deploy its successor"),
    (KEY, 400, says("Unsupported", param="max_tokens"), "rejected_parameter", "'max_tokens'"),
    (KEY, 400, says("Unsupported value: 'temperature'"), "rejected_parameter", "set reasoning to true"),
    (KEY, 400, says("Unrecognized request argument supplied: top_p"), "rejected_parameter", "'top_p'"),
    (KEY, 422, {"message": "extra: 'top_p'"}, "rejected_parameter", "set reasoning to true"),
    (KEY, 407, "", "proxy_login", "HTTPS_PROXY"),
    (KEY, 302, "", "redirect", "redirects to 'https://elsewhere/v1'"),
    (KEY, 200, PAGE, "html_page", "a web page"),
    (KEY, 403, PAGE, "html_page", "endpoint has the form"),
    (KEY, 200, {"object": "list"}, "no_completion", "endpoint has the form"),
]
NOT_FATAL = [
    (200, YES),
    (400, says("too many words")),
    (400, says("filtered", code="content_filter")),
    (424, {"statusCode": 424, "message": "The model is not ready"}),
    (429, says("slow down")),
    (500, PAGE),
    (503, ""),
    (504, PAGE),
    (200, '{"choices": [{"mess'),
    (200, ""),
    (400, says([["no"]], code=["x"], param={"a": 1})),
]


class Replies:
    """A server with one response for every request. `bodies` are the requests."""

    def __init__(self, status=200, content=YES, headers=None):
        text = content if isinstance(content, str) else json.dumps(content)
        self.reply = {"status": status, "text": text, "headers": headers or {}}
        self.bodies, self.context = [], None

    async def chat(self, request):
        self.bodies.append(await request.json())
        return web.Response(**self.reply)

    @contextlib.asynccontextmanager
    async def listening(self):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self.context).start()
        try:
            yield f"http{'s' if self.context else ''}://127.0.0.1:{runner.addresses[0][1]}"
        finally:
            await runner.cleanup()


class Identity:
    def get_token(self, scope):
        expires_on = int(time.time()) + 3600
        return BearerToken(jwt(scope, expires_on), expires_on)


def check(configure, replies, url=None, **teacher):
    async def run():
        async with replies.listening() as here:
            config = configure(url or here, teacher={"model": "m", **teacher})
            endpoint = resolve(config.teachers[0], "endpoint", {"KEY": CANARY}, credential=Identity())
            return await preflight(endpoint, config)

    return asyncio.run(run())


@pytest.mark.parametrize(("fields", "status", "content", "code", "text"), FATAL)
def test_what_makes_every_request_fail_is_one_problem(configure, fields, status, content, code, text):
    replies = Replies(status, content, {"Location": f"https://user:{CANARY}@elsewhere/v1"})
    with pytest.raises(EndpointError) as raised:
        check(configure, replies, **fields)
    (problem,) = raised.value.problems
    assert problem.code == code
    assert problem.subject.startswith("teacher 'm' at http://127.0.0.1:")
    assert text in problem.text
    assert "\n" not in str(raised.value)
    assert "canary" not in str(raised.value)
    assert len(replies.bodies) == 1


@pytest.mark.parametrize(("status", "content"), NOT_FATAL)
def test_a_transient_failure_and_an_error_of_one_row_are_not_fatal(configure, log, status, content):
    replies = Replies(status, content)
    check(configure, replies)
    assert len(replies.bodies) == 1
    assert ("rows are retried until it is" in log.text) == (status == 424)


def test_the_request_has_the_parameters_of_a_row_and_a_low_token_limit(configure):
    replies = Replies()
    check(configure, replies)
    check(configure, replies, reasoning=True)
    plain, reasoning = ({name: body.get(name) for name in body if name != "messages"} for body in replies.bodies)
    assert plain == {"model": "m", "temperature": 0.0, "top_p": 1.0, "max_tokens": 16}
    assert reasoning == {"model": "m", "max_completion_tokens": 16}


def test_a_rejected_reasoning_parameter_has_the_opposite_fix(configure):
    with pytest.raises(EndpointError, match=r"'max_completion_tokens'.*; remove reasoning for this teacher"):
        check(configure, Replies(400, says("no", param="max_completion_tokens")), reasoning=True)


PARAMETERS = {"reasoning_effort": "maximal", "chat_template_kwargs": {"enable_thinking": False}}


@pytest.mark.parametrize(
    ("status", "content", "parameter"),
    [
        (400, says("Unsupported value", param="reasoning_effort"), "reasoning_effort"),
        (400, says("Unrecognized request argument supplied: reasoning_effort"), "reasoning_effort"),
        (400, says("no", param="chat_template_kwargs.enable_thinking"), "chat_template_kwargs"),
        (422, {"message": "extra fields not permitted: 'chat_template_kwargs'"}, "chat_template_kwargs"),
    ],
)
def test_a_rejected_parameter_of_the_teacher_is_named(configure, status, content, parameter):
    replies = Replies(status, content)
    with pytest.raises(EndpointError) as raised:
        check(configure, replies, parameters=PARAMETERS)
    (problem,) = raised.value.problems
    assert (problem.code, problem.field) == ("rejected_parameter", ("parameters", parameter))
    assert problem.value == ("maximal" if parameter == "reasoning_effort" else None)
    assert replies.bodies[0].items() >= PARAMETERS.items()


@pytest.mark.parametrize(("ahead_s", "text"), [(1200, "20 min ahead of the endpoint's"), (-900, "15 min behind")])
@pytest.mark.parametrize("status", [200, 401])
def test_a_wrong_clock_is_reported_where_tokens_expire_by_it(configure, log, ahead_s, text, status):
    date = email.utils.formatdate(time.time() - ahead_s, usegmt=True)
    replies = Replies(status, YES if status == 200 else BUILT_IN, {"Date": date})
    with pytest.raises(EndpointError, match=text) if status == 401 else contextlib.nullcontext():
        check(configure, replies, **TOKEN)
    assert status == 401 or text in log.text


def test_a_certificate_that_is_not_trusted_here(configure, tmp_path):
    replies = Replies()
    replies.context = self_signed(tmp_path)
    with pytest.raises(EndpointError, match=r"its certificate is not trusted .*SSL_CERT_FILE"):
        check(configure, replies)


def test_a_port_without_tls(configure):
    async def asked():
        async with Replies().listening() as here:
            config = configure(here.replace("http:", "https:"))
            await preflight(resolve(config.teachers[0], "endpoint", {}), config)

    with pytest.raises(EndpointError, match="it does not use TLS on this port; correct the port"):
        asyncio.run(asked())


@pytest.mark.parametrize("status", [403, 407, 502])
def test_a_proxy_that_refuses(configure, monkeypatch, status):
    with refusing_proxy(status, CANARY) as proxy:
        monkeypatch.setenv("https_proxy", proxy)
        with pytest.raises(EndpointError) as raised:
            check(configure, Replies(), "https://teacher.invalid/v1")
    assert raised.value.problems[0].code == "proxy_refused"
    assert f"(HTTP {status})" in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_proxy_that_cannot_be_reached(configure, monkeypatch):
    monkeypatch.setenv("https_proxy", f"http://me:{CANARY}@127.0.0.1:9")
    with pytest.raises(EndpointError) as raised:
        check(configure, Replies(), "https://teacher.invalid/v1")
    assert raised.value.problems[0].code == "proxy_unreachable"
    assert "canary" not in str(raised.value)


def test_an_unknown_host():
    key = aiohttp.client_reqrep.ConnectionKey("teacher.invalid", 443, True, True, None, None, None)
    endpoint = resolve(Teacher(model="m", endpoint="https://teacher.invalid"), "endpoint", {})
    error = aiohttp.ClientConnectorDNSError(key, OSError("Name or service not known"))
    assert find_problem(ProbeResult(endpoint, (), error=error)).code == "unknown_host"


def test_a_refused_connection_is_left_to_the_run(configure):
    assert check(configure, Replies(), "http://127.0.0.1:9/v1") is None


def test_a_missing_key_is_reported_without_a_call(configure):
    replies = Replies()
    with pytest.raises(InputError, match="key_variable: variable OTHER is not set"):
        check(configure, replies, key_variable="OTHER")
    assert not replies.bodies


def test_a_key_that_the_endpoint_repeats_is_redacted(configure):
    with pytest.raises(EndpointError) as stopped:
        check(configure, Replies(401, says(f"Incorrect API key provided: {CANARY}")), **KEY)
    assert "[key]" in str(stopped.value)
    assert "canary" not in str(stopped.value)


def self_signed(folder):
    """TLS context of a server with a self-signed certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(secret + certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context
