"""A secret that the teacher step is given comes back from nowhere: an endpoint that repeats it has no say in that."""

import asyncio
import threading

import pytest
from aiohttp import web

from azdistill.contracts.files import read_json
from tests.teacher.azure_stand_in import azure
from tests.teacher.test_engine import ANSWER

CANARY = "canary-s3cret-7f3a"
SCOPE = "https://cognitiveservices.azure.com/.default"


@pytest.fixture
def way_in():
    """The fields of a teacher and the environment of its step: a key, or the token of a managed identity."""
    with azure() as here:
        token = {**here.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        yield {
            "key": ({"key_variable": "TEACHER_KEY"}, {"TEACHER_KEY": CANARY}),
            "token": ({"entra_scope": SCOPE}, token),
        }


@pytest.fixture
def endpoint_of():
    """The base URL of a server that replies as told, from a thread of its own."""
    loop, runners = asyncio.new_event_loop(), []
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def listen(reply):
        app = web.Application()
        app.router.add_post("/v1/chat/completions", reply)
        runners.append(web.AppRunner(app, access_log=None, shutdown_timeout=0.1))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runners[-1].addresses[0][1]}"

    yield lambda reply: asyncio.run_coroutine_threadsafe(listen(reply), loop).result()
    for runner in runners:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def everything(step):
    """Every file that the step left, as one text."""
    return b"".join(path.read_bytes() for path in step.root.rglob("*") if path.is_file()).decode()


def serve(refuses):
    """An endpoint that lets all in, or repeats what it was sent and refuses: the rows, or whoever comes."""

    async def reply(request):
        told = {"error": {"message": f"not with {request.headers['Authorization']}", "code": "no"}}
        if refuses == "all":
            return web.json_response(told, status=401)
        row = (await request.json())["messages"][-1]["content"]
        return web.json_response(told, status=400) if row.startswith("row 0 ") else web.json_response(ANSWER)

    return reply


@pytest.mark.parametrize("kind", ["key", "token"])
@pytest.mark.parametrize("refuses", ["a row", "all"])
def test_a_secret_is_in_no_output_and_in_no_file(step, prompts, configure, way_in, endpoint_of, kind, refuses):
    fields, environ = way_in[kind]
    step.write_prompts(prompts(4))
    url = endpoint_of(serve(refuses))
    code, out, err = step.run(configure(url, teacher=fields, max_reject_ratio=0.5), **environ)
    assert code == (1 if refuses == "all" else 0), err
    assert "not with Bearer [key]" in (err if refuses == "all" else everything(step))
    assert "canary" not in out + err + everything(step)


def test_a_run_that_is_let_in_by_a_managed_identity_gets_its_answers(step, simulate, prompts, configure, way_in):
    fields, environ = way_in["token"]
    step.write_prompts(prompts(4))
    teacher, url = simulate(entra_scope=SCOPE)
    code, out, err = step.run(configure(url, teacher=fields), **environ)
    assert (code, err) == (0, ""), out
    assert teacher.calls["unauthorized"] == 0
    assert read_json(step.completions / "usage.json")["answered"] == 4


def test_a_token_for_another_audience_costs_one_call_and_names_the_right_one(
    step, simulate, prompts, configure, way_in
):
    _, environ = way_in["token"]
    step.write_prompts(prompts(100))
    teacher, url = simulate(entra_scope="https://ai.azure.com/.default")
    code, _, err = step.run(configure(url, teacher={"entra_scope": SCOPE}), **environ)
    assert code == 1
    assert f"it refused a token for entra_scope '{SCOPE}'; set entra_scope to 'https://ai.azure.com/.default'" in err
    assert err.count("\n") == 1
    assert teacher.calls == {"unauthorized": 1}


def test_tokens_are_renewed_while_rows_are_asked(step, simulate, prompts, configure):
    with azure() as here:
        here.life_s = 2
        environ = {**here.managed_identity(), "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
        step.write_prompts(prompts(60))
        teacher, url = simulate(entra_scope=SCOPE, latency_ms=100)
        config = configure(url, teacher={"entra_scope": SCOPE, "max_in_flight": 2}, max_attempts=1)
        code, out, err = step.run(config, **environ)
        assert (code, err) == (0, ""), out
        assert len(here.asked) > 1
        assert teacher.calls["unauthorized"] == 0


def test_no_identity_at_all_is_one_line_that_says_how_to_get_one(step, simulate, prompts, configure):
    step.write_prompts(prompts(4))
    teacher, url = simulate(entra_scope=SCOPE)
    nobody = {"IDENTITY_ENDPOINT": "http://127.0.0.1:9/identity", "IDENTITY_HEADER": CANARY}
    alone = {**nobody, "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential"}
    code, out, err = step.run(configure(url, teacher={"entra_scope": SCOPE}), **alone)
    assert code == 2
    assert "sign in with `az login`" in err
    assert err.count("\n") == 1
    assert "canary" not in out + err
    assert not teacher.calls
