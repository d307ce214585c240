"""No secret of the teacher step is in its output or files, even if an endpoint or a proxy repeats it."""

import asyncio
import ssl
import threading

import pytest
from aiohttp import web

from azdistill.contracts.files import read_json
from tests.refusing_proxy import refusing_proxy
from tests.teacher.simulated_azure import simulated_azure
from tests.teacher.test_client import ANSWER
from tests.workspace.certificate import write_certificate

CANARY = "canary-s3cret-7f3a"
SCOPE = "https://cognitiveservices.azure.com/.default"


@pytest.fixture
def credentials():
    """Fields of a teacher and environment of its step, for a key and for the token of a managed identity."""
    with simulated_azure() as azure:
        token = {**azure.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        yield {
            "key": ({"key_variable": "TEACHER_KEY"}, {"TEACHER_KEY": CANARY}),
            "token": ({"entra_scope": SCOPE}, token),
        }


@pytest.fixture
def serve():
    """Start a server that replies with a handler; returns its address ("127.0.0.1:port"). It runs in a thread."""
    loop, runners = asyncio.new_event_loop(), []
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen(handler, context):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", handler)
        runners.append(web.AppRunner(app, access_log=None, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0, ssl_context=context).start()
        return f"127.0.0.1:{runners[-1].addresses[0][1]}"

    yield lambda handler, context=None: asyncio.run_coroutine_threadsafe(listen(handler, context), loop).result()
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def written_files(step):
    """Content of all files that the step has written."""
    return b"".join(path.read_bytes() for path in step.root.rglob("*") if path.is_file()).decode()


def repeat_secret(rejects, padding=""):
    """Handler that repeats the authorization in its error for one row or for all, after some padding."""

    async def handler(request):
        message = f"{padding}not with {request.headers['Authorization']}"
        error = {"error": {"message": message, "code": "no"}}
        if rejects == "all":
            return web.json_response(error, status=401)
        row = (await request.json())["messages"][-1]["content"]
        return web.json_response(error, status=400) if row.startswith("row 0 ") else web.json_response(ANSWER)

    return handler


@pytest.mark.parametrize("kind", ["key", "token"])
@pytest.mark.parametrize("rejects", ["a row", "all"])
def test_a_secret_is_in_no_output_and_in_no_file(step, prompts, configure, credentials, serve, kind, rejects):
    fields, environ = credentials[kind]
    step.write_prompts(prompts(4))
    url = f"http://{serve(repeat_secret(rejects))}"
    code, out, err = step.run(configure(url, teacher=fields, max_reject_ratio=0.5), **environ)
    assert code == (1 if rejects == "all" else 0), err
    assert "not with Bearer [key]" in (err if rejects == "all" else written_files(step))
    assert "canary" not in out + err + written_files(step)


@pytest.mark.parametrize("rejects", ["a row", "all"])
def test_a_secret_is_redacted_before_a_long_message_is_cut(step, prompts, configure, credentials, serve, rejects):
    fields, environ = credentials["key"]
    step.write_prompts(prompts(4))
    url = f"http://{serve(repeat_secret(rejects, padding='x' * 265 + ' '))}"
    code, out, err = step.run(configure(url, teacher=fields, max_reject_ratio=0.5), **environ)
    assert code == (1 if rejects == "all" else 0), err
    assert "x" * 265 in err + written_files(step)
    assert "canary"[:3] not in out + err + written_files(step)


def test_the_names_in_an_answer_are_redacted(step, prompts, configure, credentials, serve):
    fields, environ = credentials["key"]

    async def answer(request):
        secret = request.headers["api-key"]
        named = {**ANSWER["choices"][0], "finish_reason": f"stop {secret}"}
        return web.json_response({**ANSWER, "choices": [named], "model": f"m-{secret}"})

    step.write_prompts(prompts(4))
    code, out, err = step.run(configure(f"http://{serve(answer)}", teacher=fields), **environ)
    assert (code, err) == (0, ""), out
    assert read_json(step.completions / "usage.json")["reported_models"] == {"m-[key]": 4}
    assert "canary" not in out + err + written_files(step)


@pytest.mark.parametrize("status", [407, 502])
def test_the_password_of_a_refusing_proxy_is_in_no_output(step, prompts, configure, status):
    step.write_prompts(prompts(4))
    with refusing_proxy(status, CANARY) as proxy:
        code, out, err = step.run(configure("https://teacher.example"), https_proxy=proxy, no_proxy="")
    assert code == 1
    assert f"the proxy refused the connection (HTTP {status})" in err
    assert "canary" not in out + err + written_files(step)


def test_the_password_of_a_proxy_that_fails_during_the_run_is_in_no_file(step, prompts, configure, serve, tmp_path):
    certificate, private_key = write_certificate(tmp_path, "teacher.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, private_key)

    async def answer_slowly(_):
        await asyncio.sleep(0.2)
        return web.json_response(ANSWER)

    step.write_prompts(prompts(4))
    config = configure("https://teacher.example", max_attempts=1, max_reject_ratio=1.0)
    with refusing_proxy(502, CANARY, serve(answer_slowly, context), accepted=2) as proxy:
        code, out, err = step.run(config, https_proxy=proxy, no_proxy="", SSL_CERT_FILE=str(certificate))
    assert (code, err) == (0, ""), out
    assert read_json(step.completions / "usage.json")["answered"] >= 1
    assert "ClientHttpProxyError: 502" in (step.completions / "rejects.jsonl").read_text()
    assert "canary" not in out + err + written_files(step)


def test_rows_are_answered_with_the_token_of_a_managed_identity(step, simulate, prompts, configure, credentials):
    fields, environ = credentials["token"]
    step.write_prompts(prompts(4))
    teacher, url = simulate(entra_scope=SCOPE)
    code, out, err = step.run(configure(url, teacher=fields), **environ)
    assert (code, err) == (0, ""), out
    assert teacher.calls["unauthorized"] == 0
    assert read_json(step.completions / "usage.json")["answered"] == 4


def test_a_token_for_another_audience_costs_one_call(step, simulate, prompts, configure, credentials):
    _, environ = credentials["token"]
    step.write_prompts(prompts(100))
    teacher, url = simulate(entra_scope="https://ai.azure.com/.default")
    code, _, err = step.run(configure(url, teacher={"entra_scope": SCOPE}), **environ)
    assert code == 1
    assert f"it rejected a token for entra_scope '{SCOPE}'" in err
    assert "; set entra_scope to 'https://ai.azure.com/.default'" in err
    assert err.count("\n") == 1
    assert teacher.calls == {"unauthorized": 1}


@pytest.mark.slow
def test_tokens_are_renewed_during_a_run(step, simulate, prompts, configure):
    with simulated_azure() as azure:
        azure.life_s = 2
        environ = {**azure.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        step.write_prompts(prompts(60))
        teacher, url = simulate(entra_scope=SCOPE, latency_ms=100)
        config = configure(url, teacher={"entra_scope": SCOPE, "max_in_flight": 2}, max_attempts=1)
        code, out, err = step.run(config, **environ)
        assert (code, err) == (0, ""), out
        assert len(azure.requests) > 1
        assert teacher.calls["unauthorized"] == 0


@pytest.mark.slow
def test_a_missing_identity_is_one_line_with_a_fix(step, simulate, prompts, configure):
    step.write_prompts(prompts(4))
    teacher, url = simulate(entra_scope=SCOPE)
    no_identity = {
        "IDENTITY_ENDPOINT": "http://127.0.0.1:9/identity",
        "IDENTITY_HEADER": CANARY,
        "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
    }
    code, out, err = step.run(configure(url, teacher={"entra_scope": SCOPE}), **no_identity)
    assert code == 2
    assert "sign in with `az login`" in err
    assert err.count("\n") == 1
    assert "canary" not in out + err
    assert not teacher.calls
