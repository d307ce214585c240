"""The preflight, as a table: what the endpoint does, and the sentence it is answered with. Each row is real HTTP."""

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

from azdistill.azure_rest.identity import PlainToken
from azdistill.contracts.errors import EndpointError, InputError
from azdistill.contracts.teacher import Teacher
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.preflight import Seen, preflight, what_is_wrong
from tests.teacher.azure_stand_in import jwt

RESOURCE, PROJECT = "https://cognitiveservices.azure.com/.default", "https://ai.azure.com/.default"
CANARY = "canary-s3cret"
YES = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": {}}
PAGE = "<!DOCTYPE html><html><title>Sign in</title></html>"


def says(message, **more):
    return {"error": {"message": message, **more}}


AUDIENCE = says("Access token is missing, invalid, audience is incorrect (https://ai.azure.com), or have expired.")
BUILT_IN = {"message": "Access denied due to invalid key", "statusCode": 401}
KEY, TOKEN, OPEN = {"key_variable": "KEY"}, {"entra_scope": RESOURCE}, {}

STOPS = [
    # how we come, what the endpoint replies, what we are told
    (OPEN, 401, BUILT_IN, "it asks who you are; set key_variable or entra_scope"),
    (KEY, 401, BUILT_IN, "it refused the key; check that the key belongs to this endpoint"),
    (TOKEN, 401, AUDIENCE, f"it refused a token for entra_scope '{RESOURCE}'; set entra_scope to '{PROJECT}'"),
    (TOKEN, 401, says("no"), "the usual one; sign in to the tenant of the endpoint"),
    (KEY, 403, says("Public access is disabled"), "access is denied; open the endpoint's network rules"),
    (TOKEN, 403, says("no data action"), "give it the role 'Cognitive Services User'"),
    (KEY, 404, says("no", code="DeploymentNotFound"), "it has no deployment 'm'; model is the name of the deployment"),
    (KEY, 404, says("no", code="404"), "nothing answers chat requests there; endpoint is like https://NAME.REGION"),
    (KEY, 405, "", "nothing answers chat requests there"),
    (KEY, 410, says("gone"), "model 'm' is retired; deploy its successor"),
    (KEY, 404, says("no", code="ModelDeprecated"), "model 'm' is retired; deploy its successor"),
    (KEY, 400, says("Unsupported", param="max_tokens"), "does not take 'max_tokens' as it was sent; set reasoning to"),
    (KEY, 400, says("Unsupported value: 'temperature'"), "does not take 'temperature' as it was sent; set reasoning"),
    (KEY, 400, says("Unrecognized request argument supplied: top_p"), "does not take 'top_p' as it was sent"),
    (KEY, 422, {"message": "extra: 'top_p'"}, "does not take 'top_p' as it was sent; set reasoning to true"),
    (KEY, 407, "", "the proxy asks who you are; put user and password into HTTPS_PROXY"),
    (KEY, 302, "", "it redirects to 'https://elsewhere/v1'; give that address as endpoint"),
    (KEY, 200, PAGE, "a web page came in place of an answer: a portal's address, or a proxy's"),
    (KEY, 403, PAGE, "a web page came in place of an answer"),
    (KEY, 200, {"object": "list"}, "its reply is no chat completion; endpoint is like"),
]
PASSES = [
    (200, YES),
    (400, says("too many words")),
    (400, says("filtered", code="content_filter")),
    (424, {"statusCode": 424, "message": "The model is not ready"}),
    (429, says("slow down")),
    (500, PAGE),
    (503, ""),
    (504, PAGE),
]


class Replies:
    """Replies to all alike, and counts."""

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
        return PlainToken(jwt(scope, expires_on), expires_on)


def check(configure, replies, url=None, **teacher):
    async def asked():
        async with replies.listening() as here:
            config = configure(url or here, teacher={"model": "m", **teacher})
            endpoint = resolve(config.teachers[0], "endpoint", {"KEY": CANARY}, credential=Identity())
            return await preflight(endpoint, config)

    return asyncio.run(asked())


@pytest.mark.parametrize(("way_in", "status", "content", "told"), STOPS)
def test_what_would_refuse_every_row_is_told_in_one_sentence(configure, way_in, status, content, told):
    replies = Replies(status, content, {"Location": "https://elsewhere/v1"})
    with pytest.raises(EndpointError) as stopped:
        check(configure, replies, **way_in)
    assert told in str(stopped.value)
    assert str(stopped.value).startswith("teacher 'm' at http://127.0.0.1:")
    assert "\n" not in str(stopped.value)
    assert len(replies.bodies) == 1


@pytest.mark.parametrize(("status", "content"), PASSES)
def test_what_passes_by_itself_or_is_one_rows_fault_stops_nothing(configure, capsys, status, content):
    replies = Replies(status, content)
    check(configure, replies)
    assert len(replies.bodies) == 1
    assert ("rows are asked again until it does" in capsys.readouterr().out) == (status == 424)


def test_it_asks_as_the_rows_are_asked_but_for_few_tokens(configure):
    replies = Replies()
    check(configure, replies)
    check(configure, replies, reasoning=True)
    plain, reasoning = ({name: body.get(name) for name in body if name != "messages"} for body in replies.bodies)
    assert plain == {"model": "m", "temperature": 0.0, "top_p": 1.0, "max_tokens": 16}
    assert reasoning == {"model": "m", "max_completion_tokens": 16}


def test_the_advice_for_a_model_that_does_not_reason_is_the_other_way_round(configure):
    with pytest.raises(EndpointError, match="'max_completion_tokens' as it was sent; leave reasoning out"):
        check(configure, Replies(400, says("no", param="max_completion_tokens")), reasoning=True)


@pytest.mark.parametrize(("ahead_s", "told"), [(1200, "20 min ahead of the endpoint's"), (-900, "15 min behind")])
@pytest.mark.parametrize("status", [200, 401])
def test_a_wrong_clock_is_told_where_tokens_expire_by_it(configure, capsys, ahead_s, told, status):
    date = email.utils.formatdate(time.time() - ahead_s, usegmt=True)
    replies = Replies(status, YES if status == 200 else BUILT_IN, {"Date": date})
    with pytest.raises(EndpointError, match=told) if status == 401 else contextlib.nullcontext():
        check(configure, replies, **TOKEN)
    assert status == 401 or told in capsys.readouterr().out


def test_a_certificate_that_is_not_trusted_here(configure, tmp_path):
    replies = Replies()
    replies.context = self_signed(tmp_path)
    with pytest.raises(EndpointError, match=r"its certificate is not trusted here .*SSL_CERT_FILE"):
        check(configure, replies)


def test_a_port_without_tls(configure):
    async def asked():
        async with Replies().listening() as here:
            config = configure(here.replace("http:", "https:"))
            await preflight(resolve(config.teachers[0], "endpoint", {}), config)

    with pytest.raises(EndpointError, match="it does not speak TLS there; correct the port"):
        asyncio.run(asked())


def test_a_proxy_that_refuses_and_one_that_is_not_there(configure, monkeypatch):
    async def asked():
        async with Replies().listening() as proxy:
            monkeypatch.setenv("https_proxy", proxy)
            config = configure("https://teacher.invalid/v1")
            await preflight(resolve(config.teachers[0], "endpoint", {}), config)

    with pytest.raises(EndpointError, match=r"the proxy refused the connection \(HTTP 40\d\); let it through"):
        asyncio.run(asked())
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(EndpointError, match="the proxy can't be reached; correct HTTPS_PROXY"):
        check(configure, Replies(), "https://teacher.invalid/v1")


def test_a_host_that_nobody_knows():
    key = aiohttp.client_reqrep.ConnectionKey("teacher.invalid", 443, True, True, None, None, None)
    endpoint = resolve(Teacher(model="m", endpoint="https://teacher.invalid"), "endpoint", {})
    seen = Seen(endpoint, (), problem=aiohttp.ClientConnectorDNSError(key, OSError("Name or service not known")))
    assert "there is no host of that name; correct endpoint" in what_is_wrong(seen)


def test_a_server_that_is_not_up_yet_is_left_to_the_run(configure):
    assert check(configure, Replies(), "http://127.0.0.1:9/v1") is None


def test_a_key_that_is_not_set_needs_no_call(configure):
    replies = Replies()
    with pytest.raises(InputError, match="'OTHER' is not set"):
        check(configure, replies, key_variable="OTHER")
    assert not replies.bodies


def test_an_endpoint_that_repeats_the_key_does_not_make_us_repeat_it(configure):
    with pytest.raises(EndpointError) as stopped:
        check(configure, Replies(401, says(f"Incorrect API key provided: {CANARY}")), **KEY)
    assert "[key]" in str(stopped.value)
    assert "canary" not in str(stopped.value)


def self_signed(folder):
    """A server's TLS context with a certificate that nobody vouches for."""
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
