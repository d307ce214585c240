"""Authentication by a key from the environment, an Entra token or a workspace connection.

Azure is simulated on loopback; azure-identity and azure-core are real.
"""

import asyncio
import pickle
import time
from dataclasses import replace

import pytest

from azdistill.azure_rest.cloud import cloud_of
from azdistill.azure_rest.identity import AzureMLOnBehalfOfCredential, BearerToken, ambient_credential
from azdistill.azure_rest.workspace import Workspace
from azdistill.contracts.errors import EndpointError, InputError
from azdistill.contracts.requests import Teacher
from azdistill.teacher.auth import Auth, ConnectionKey, EntraToken, EnvironmentKey
from azdistill.teacher.collect import collect
from azdistill.teacher.endpoint import resolve
from azdistill.teacher.store import ResponseStore
from tests.teacher.simulated_azure import WORKSPACE, simulated_azure
from tests.teacher.test_client import Endpoint, refused

SCOPE = "https://cognitiveservices.azure.com/.default"
CANARY = "canary-s3cret"


@pytest.fixture
def azure():
    with simulated_azure() as server:
        yield server


def environment_key(environ):
    return EnvironmentKey("teacher 'm'", "KEY", environ)


def test_a_key_is_sent_in_both_headers():
    headers = environment_key({"KEY": f" {CANARY}\n"}).headers()
    assert headers == {"Authorization": f"Bearer {CANARY}", "api-key": CANARY}


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}, {"KEY": "  "}])
def test_a_missing_key_is_reported_with_its_variable(environ):
    with pytest.raises(InputError) as raised:
        environment_key(environ).headers()
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject) == ("missing_variable", "teacher 'm'")
    assert (problem.field, problem.message) == (("key_variable",), "variable KEY is not set in the environment")


@pytest.mark.parametrize("value", ["line\nbreak", "schl\u00fcssel", "nul\0"])
def test_a_key_that_no_header_can_hold_is_rejected_and_not_repeated(value):
    with pytest.raises(InputError) as raised:
        environment_key({"KEY": value}).headers()
    assert raised.value.problems[0].code == "invalid_key"
    assert "$KEY" in str(raised.value)
    assert value not in str(raised.value)


class TestCredential:
    """Issues tokens by the clock of the test, which is wrong by `jump_s`; none while it is `down`."""

    __test__ = False

    def __init__(self):
        self.now, self.jump_s, self.life_s, self.issued, self.down = 1000.0, 0.0, 3600, 0, False

    def get_token(self, scope):
        if self.down:
            raise ConnectionError("no route to http://me:canary-proxy-password@proxy")
        self.issued += 1
        return BearerToken(f"{CANARY}-{self.issued}", int(self.now + self.jump_s) + self.life_s)


def entra_token(credential):
    return EntraToken(
        "teacher 'm'",
        SCOPE,
        lambda: credential,
        clock=lambda: credential.now,
        wall_clock=lambda: credential.now + credential.jump_s,
    )


def token_number(auth):
    return auth.headers()["Authorization"].removeprefix(f"Bearer {CANARY}-")


@pytest.mark.parametrize(
    ("life_s", "times", "tokens"),
    [
        (3600, (1000.0, 2000.0, 4299.0, 4301.0, 7000.0), ["1", "1", "1", "2", "2"]),
        (60, (1000.0, 1029.0, 1031.0), ["1", "1", "2"]),
    ],
    ids=["five minutes before it expires", "a short token at half its life"],
)
def test_a_token_is_renewed(life_s, times, tokens):
    credential = TestCredential()
    credential.life_s = life_s
    auth = entra_token(credential)
    sent = []
    for credential.now in times:
        sent.append(token_number(auth))
    assert sent == tokens


def test_the_token_of_a_request_in_flight_is_redacted_after_a_renewal():
    credential = TestCredential()
    auth = entra_token(credential)
    assert token_number(auth) == "1"
    credential.now = 4301.0
    assert token_number(auth) == "2"
    assert set(auth.secrets()) == {f"{CANARY}-1", f"{CANARY}-2"}


@pytest.mark.parametrize("jump_s", [-1e9, -7200, 7200, 1e9])
def test_a_clock_that_jumps_neither_renews_a_token_nor_keeps_one_too_long(jump_s):
    credential = TestCredential()
    auth, sent = entra_token(credential), list[str]()
    for credential.now, credential.jump_s in ((1000.0, 0), (1001.0, jump_s), (4299.0, jump_s), (4301.0, jump_s)):
        sent.append(token_number(auth))
    assert sent == ["1", "1", "1", "2"]


def test_a_token_that_seems_expired_by_a_wrong_clock_is_not_fetched_for_every_request():
    credential = TestCredential()
    credential.life_s = -7200
    auth = entra_token(credential)
    assert [token_number(auth) for _ in range(3)] == ["1", "1", "1"]


def test_a_token_that_an_endpoint_refuses_is_renewed_once():
    credential = TestCredential()
    auth = entra_token(credential)
    old = auth.headers()
    assert not auth.expire(old), "it is new, so another reason is more likely"
    credential.now += 60
    assert auth.expire(old)
    assert token_number(auth) == "2"
    assert auth.expire(old), "a request that was sent with the old token may be sent again"
    assert not auth.expire(auth.headers())


@pytest.mark.parametrize("is_old", [True, False])
def test_a_run_continues_with_a_new_token_if_its_old_one_is_refused(tmp_path, prompts, configure, is_old):
    """As after a laptop has slept, or a clock was corrected. A new token that is refused ends the run."""
    credential, refusals = TestCredential(), iter([401])

    def reply(row, tries):
        if next(refusals, None):
            credential.now += 60 if is_old else 1
            return refused(401)
        return 0.0

    async def ask():
        endpoint = Endpoint(reply)
        async with endpoint.listening() as url:
            config = configure(url, teacher={"entra_scope": SCOPE, "max_in_flight": 1})
            address = replace(resolve(config.teachers[0], "endpoint", {}), auth=entra_token(credential))
            return await collect(prompts(5), config, [address], ResponseStore(tmp_path, "run"))

    if is_old:
        collected = asyncio.run(ask())
        assert (len(collected.completions), collected.usage["retries"]) == (5, {"http_401": 1})
    else:
        with pytest.raises(EndpointError, match="401"):
            asyncio.run(ask())
    assert credential.issued == 1 + is_old


def test_a_valid_token_is_used_while_the_identity_endpoint_is_down():
    credential = TestCredential()
    auth = entra_token(credential)
    assert token_number(auth) == "1"
    credential.now, credential.down = 4400.0, True
    assert token_number(auth) == "1"
    assert not auth.needs_refresh(), "it would try again with every request"
    credential.now = 4600.0
    with pytest.raises(InputError) as raised:
        auth.headers()
    assert raised.value.problems[0].code == "no_token"
    assert "(ConnectionError: no route to http://proxy); sign in with `az login`" in str(raised.value)


def test_the_managed_identity_of_this_process_is_used(azure, monkeypatch):
    for name, value in azure.managed_identity().items():
        monkeypatch.setenv(name, value)
    teacher = Teacher(model="m", endpoint="https://r.openai.azure.com", entra_scope=SCOPE)
    headers = resolve(teacher, "endpoint").auth.headers()
    assert headers.keys() == {"Authorization"}
    assert headers["Authorization"].startswith("Bearer e30.")
    assert "resource=https://cognitiveservices.azure.com" in azure.requests[0][1]


def test_a_job_on_behalf_of_a_user_uses_a_token_of_that_user(azure):
    credential = ambient_credential(azure.on_behalf_of())
    assert isinstance(credential, AzureMLOnBehalfOfCredential)
    token = credential.get_token(SCOPE)
    assert token.token.startswith("e30.")
    assert 3500 < token.expires_on - time.time() <= 3600


HOST, VLLM = "https://r.cognitiveservices.azure.com/", "http://vllm.example:8000"
KEY = {"key": CANARY}

# Properties of a connection as Azure returns them, its chat URL, and the authentication of a job.
UNDERSTOOD = [
    ({"category": "AIServices", "authType": "ApiKey", "target": HOST, "credentials": KEY}, "key"),
    ({"category": "AIServices", "authType": "AAD", "target": HOST, "metadata": {}}, "token"),
    ({"category": "AzureOpenAI", "authType": "ManagedIdentity", "target": HOST}, "token"),
    ({"category": "AzureOpenAI", "authType": "None", "target": HOST}, "token"),
    (
        {"category": "CustomKeys", "authType": "CustomKeys", "target": HOST, "credentials": {"keys": {"a": CANARY}}},
        "key",
    ),
    ({"category": "Serverless", "authType": "ApiKey", "target": VLLM, "credentials": KEY}, "key"),
    ({"category": "CustomKeys", "authType": "None", "target": VLLM}, "none"),
    ({"category": "OpenAI", "authType": "ApiKey", "target": None, "credentials": KEY}, "key"),
    ({"category": "aiservices", "authType": "apiKey", "target": HOST, "credentials": KEY}, "key"),
]
URLS = {HOST: f"{HOST}openai/v1/", VLLM: f"{VLLM}/v1/", None: "https://api.openai.com/v1/"}


@pytest.mark.parametrize(("connection", "authentication"), UNDERSTOOD)
def test_a_connection_has_a_chat_url_and_an_authentication(azure, connection, authentication):
    azure.connections["teacher-one"] = connection
    endpoint = resolve_connection(azure)
    assert endpoint.url == URLS[connection["target"]] + "chat/completions"
    authorization = endpoint.auth.headers().get("Authorization", "")
    expected = {"key": f"Bearer {CANARY}", "none": ""}
    assert authorization == expected.get(authentication, authorization)
    assert (type(endpoint.auth) is EntraToken) == (authentication == "token")


def resolve_connection(azure, identity=None, management=None, **fields):
    teacher = Teacher(model="m", connection="teacher-one", **fields)
    environ = {**WORKSPACE, **(identity or azure.on_behalf_of())}
    return resolve(teacher, "endpoint", environ, management=management or azure.url)


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://r.services.ai.azure.com", SCOPE),
        ("https://r.services.ai.azure.com/api/projects/p", "https://ai.azure.com/.default"),
    ],
)
def test_the_url_of_a_connection_without_a_key_decides_the_scope(azure, url, scope):
    azure.connections["teacher-one"] = {"target": url}
    assert resolve_connection(azure).auth.scope == scope
    assert resolve_connection(azure, entra_scope="https://mine/.default").auth.scope == "https://mine/.default"


def test_in_a_workspace_the_connection_is_used_and_elsewhere_the_endpoint(azure):
    azure.connections["teacher-one"] = {"target": "https://in-azure", "credentials": {"key": CANARY}}
    assert resolve_connection(azure, endpoint="https://at-home").url.startswith("https://in-azure/")
    teacher = Teacher(model="m", connection="teacher-one", endpoint="https://at-home")
    assert resolve(teacher, "endpoint", {}).url.startswith("https://at-home/")


SECRETS_READER = "'Azure Machine Learning Workspace Connection Secrets Reader'"
AI_SERVICES = {"category": "AIServices", "authType": "ApiKey", "target": HOST, "credentials": KEY}
TWO_KEYS = {"category": "CustomKeys", "authType": "CustomKeys", "credentials": {"keys": {"a": CANARY, "b": CANARY}}}

# Changes of a connection that works, or the cause outside of it; code of the problem, part of its message or fix.
REFUSED = [
    ("no role", "no_connection", SECRETS_READER),
    ("no connection", "no_connection", "`az ml connection list`"),
    ("no identity", "no_token", "`identity: {type: managed_identity}`"),
    ("unreachable", "unreachable", "open the network"),
    ({"target": None}, "no_target", "with the endpoint of the resource"),
    ({"target": "_"}, "invalid_url", "not an http(s) URL"),
    ({"target": "https://e.eastus.inference.ml.azure.com/score"}, "other_api", "/v1, where a deployment with vLLM"),
    ({"category": "Git", "authType": "PAT"}, "other_category", "its category is Git"),
    ({"category": "AzureBlob", "authType": "AccountKey"}, "other_category", "its category is AzureBlob"),
    ({"authType": "SAS"}, "other_authentication", "its authentication type is SAS"),
    ({"credentials": {}}, "invalid_connection", "it has no keys"),
    (TWO_KEYS, "invalid_connection", "it has 2 keys"),
]


@pytest.mark.parametrize(("cause", "code", "text"), REFUSED)
def test_a_connection_that_cannot_be_used_says_what_to_do(azure, cause, code, text):
    if cause != "no connection":
        azure.connections["teacher-one"] = {**AI_SERVICES, **(cause if isinstance(cause, dict) else {})}
    azure.role_is_missing = cause == "no role"
    identity = {"OBO_ENDPOINT": "http://127.0.0.1:9/obo"} if cause == "no identity" else None
    management = "http://127.0.0.1:9" if cause == "unreachable" else None
    with pytest.raises(InputError) as raised:
        resolve_connection(azure, identity, management)
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject) == (code, "connection 'teacher-one' of workspace 'space'")
    assert text in f"{problem.message} {problem.fix}"
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize(
    ("variables", "management"),
    [
        ({}, "https://management.azure.com"),
        ({"AZUREML_CURRENT_CLOUD": "AzureCloud"}, "https://management.azure.com"),
        ({"AZUREML_CURRENT_CLOUD": "AzureUSGovernment"}, "https://management.usgovcloudapi.net"),
        ({"AZUREML_SERVICE_ENDPOINT": "https://usgovarizona.api.ml.azure.us"}, "https://management.usgovcloudapi.net"),
        ({"MLFLOW_TRACKING_URI": "azureml://chinaeast2.api.ml.azure.cn/mlflow"}, "https://management.chinacloudapi.cn"),
        ({"AZUREML_SERVICE_ENDPOINT": "https://eastus.api.azureml.ms"}, "https://management.azure.com"),
    ],
)
def test_a_job_knows_the_addresses_of_its_cloud(variables, management):
    from azure.ai.ml import _azure_environments as sdk

    cloud = cloud_of(variables)
    assert (cloud.management, cloud.scope) == (management, f"{management}/.default")
    assert sdk._get_base_url_from_metadata(cloud.name) == cloud.management
    assert sdk._get_active_directory_url_from_metadata(cloud.name) == f"https://{cloud.authority}"


def test_an_unknown_cloud_is_rejected():
    with pytest.raises(InputError) as raised:
        cloud_of({"AZUREML_CURRENT_CLOUD": "AzureMoon"})
    assert raised.value.problems[0].code == "unknown_cloud"


CONNECTION = {"properties": {"target": "https://h", "credentials": {"key": CANARY}}}


@pytest.mark.parametrize("retry_after", ["0.01", "Thu, 01 Jan 99999 00:00:00 GMT", "soon"])
@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_busy_workspace_is_asked_again(azure, status, retry_after):
    azure.responses = [(status, {"Retry-After": retry_after}, {}), (200, {}, CONNECTION)]
    assert resolve_connection(azure).url == "https://h/v1/chat/completions"
    assert sum(method == "POST" for method, _ in azure.requests) == 2


def test_a_token_is_reused_by_the_requests_of_one_workspace(azure):
    azure.connections["teacher-one"] = CONNECTION["properties"]
    workspace = Workspace(WORKSPACE, ambient_credential(azure.on_behalf_of()), azure.url)
    for _ in range(3):
        assert workspace.request("POST", "connections/teacher-one/listsecrets", "test").status == 200
    assert [method for method, _ in azure.requests] == ["GET", "POST", "POST", "POST"]


def test_a_redirect_of_the_workspace_is_not_followed(azure):
    with simulated_azure() as other_host:
        azure.responses = [(307, {"Location": f"{other_host.url}/elsewhere"}, {})]
        with pytest.raises(InputError, match="HTTP 307"):
            resolve_connection(azure)
        assert other_host.requests == []


def test_an_error_of_the_workspace_that_repeats_the_token_is_redacted(azure):
    message = "x" * 250 + " not with {authorization}"
    azure.responses = [(400, {}, {"error": {"code": "Bad", "message": message}})]
    workspace = Workspace(WORKSPACE, ambient_credential(azure.on_behalf_of()), azure.url)
    response = workspace.request("POST", "connections/teacher-one/listsecrets", "test")
    assert (response.status, response.error) == (400, "x" * 250 + " not with Bearer [key]")


def every_auth():
    token = entra_token(TestCredential())
    token.headers()
    return [environment_key({"KEY": CANARY}), ConnectionKey(CANARY, "teacher-one"), token]


@pytest.mark.parametrize("auth", every_auth(), ids=lambda auth: type(auth).__name__)
def test_a_secret_is_sent_and_shown_nowhere(auth):
    endpoint = replace(resolve(Teacher(model="m", endpoint="https://host/v1"), "endpoint", {}), auth=auth)
    assert CANARY in auth.headers()["Authorization"]
    assert "canary" not in f"{endpoint} {endpoint!r} {auth} {auth!r}"
    assert auth.redact(f"Incorrect key: {auth.headers()['Authorization']}") == "Incorrect key: Bearer [key]"
    with pytest.raises(TypeError, match="cannot be pickled") as raised:
        pickle.dumps(endpoint)
    assert "canary" not in str(raised.value)


@pytest.mark.parametrize("auth", every_auth(), ids=lambda auth: type(auth).__name__)
def test_a_secret_is_removed_before_the_text_is_cut(auth):
    for start in range(285, 300):
        assert "canary"[:3] not in auth.redact("x" * start + auth.headers()["Authorization"].removeprefix("Bearer "))


def test_an_open_endpoint_needs_no_authentication():
    assert Auth().headers() == {}
    assert Auth().redact("unchanged") == "unchanged"


def test_a_key_and_a_token_for_one_teacher_are_rejected():
    with pytest.raises(ValueError, match="both key_variable and entra_scope"):
        Teacher(model="m", endpoint="https://h", key_variable="K", entra_scope=SCOPE)
