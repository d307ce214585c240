"""The three ways to be let in: a key by name, an Entra token, a workspace connection. Azure is a stand-in on loopback,
azure-identity is the real one."""

import pickle
import time
from dataclasses import replace

import pytest

from azdistill.azure_rest.identity import OnBehalfOf, PlainToken, ambient_credential
from azdistill.contracts.errors import InputError
from azdistill.contracts.teacher import Teacher
from azdistill.teacher.auth import Access, EntraToken, HeldKey, VariableKey
from azdistill.teacher.endpoint import resolve
from tests.teacher.azure_stand_in import WORKSPACE, azure

SCOPE = "https://cognitiveservices.azure.com/.default"
CANARY = "canary-s3cret"


@pytest.fixture
def here():
    with azure() as stand_in:
        yield stand_in


def by_key(environ):
    return VariableKey("teacher 'm'", "KEY", environ)


def test_a_key_is_named_and_sent_in_both_headers():
    assert by_key({"KEY": f" {CANARY}\n"}).headers() == {"Authorization": f"Bearer {CANARY}", "api-key": CANARY}


@pytest.mark.parametrize("environ", [{}, {"KEY": ""}, {"KEY": "  "}])
def test_a_missing_key_names_its_variable(environ):
    with pytest.raises(InputError, match="teacher 'm': key_variable 'KEY' is not set"):
        by_key(environ).headers()


@pytest.mark.parametrize("value", ["line\nbreak", "schl\u00fcssel", "nul\0"])
def test_a_key_that_no_header_can_hold_is_refused_and_not_repeated(value):
    with pytest.raises(InputError, match="'KEY' holds characters") as refused:
        by_key({"KEY": value}).headers()
    assert value not in str(refused.value)


class Passing:
    """Tokens that live a while, by the clock of the test; none while it is `down`."""

    def __init__(self):
        self.now, self.life_s, self.given, self.down = 1000.0, 3600, 0, False

    def get_token(self, scope):
        if self.down:
            raise ConnectionError("no route to the identity")
        self.given += 1
        return PlainToken(f"{CANARY}-{self.given}", int(self.now) + self.life_s)


def by_token(source):
    return EntraToken("teacher 'm'", SCOPE, lambda: source, lambda: source.now)


def sent(access):
    return access.headers()["Authorization"].removeprefix(f"Bearer {CANARY}-")


def test_a_token_is_renewed_five_minutes_before_it_expires():
    source = Passing()
    access = by_token(source)
    seen = []
    for source.now in (1000.0, 2000.0, 4299.0, 4301.0, 7000.0):
        seen.append(sent(access))
    assert seen == ["1", "1", "1", "2", "2"]


def test_a_short_token_is_renewed_halfway():
    source = Passing()
    source.life_s = 60
    access = by_token(source)
    seen = []
    for source.now in (1000.0, 1029.0, 1031.0):
        seen.append(sent(access))
    assert seen == ["1", "1", "2"]


def test_a_token_that_still_opens_is_kept_while_the_identity_is_down():
    source = Passing()
    access = by_token(source)
    assert sent(access) == "1"
    source.now, source.down = 4400.0, True
    assert sent(access) == "1"
    assert not access.is_due()  # it does not ask again with every request
    source.now = 4600.0
    with pytest.raises(InputError, match=r"no Entra token for '.*'; sign in .* \(ConnectionError: no route"):
        access.headers()


def test_azure_identity_finds_the_managed_identity_of_this_process(here, monkeypatch):
    for name, value in here.managed_identity().items():
        monkeypatch.setenv(name, value)
    teacher = Teacher(model="m", endpoint="https://r.openai.azure.com", entra_scope=SCOPE)
    headers = resolve(teacher, "endpoint").access.headers()
    assert headers.keys() == {"Authorization"}
    assert headers["Authorization"].startswith("Bearer e30.")
    assert "resource=https://cognitiveservices.azure.com" in here.asked[0][1]


def test_a_job_on_behalf_of_a_user_asks_for_that_users_token(here):
    credential = ambient_credential(here.on_behalf_of())
    assert isinstance(credential, OnBehalfOf)
    found = credential.get_token(SCOPE)
    assert found.token.startswith("e30.")
    assert 3500 < found.expires_on - time.time() <= 3600


HELD = [
    ({"target": "https://r.openai.azure.com", "credentials": {"key": CANARY}}, CANARY),
    ({"target": "https://r.openai.azure.com", "credentials": {"keys": {"api-key": CANARY}}}, CANARY),
    ({"target": "https://r.openai.azure.com", "authType": "AAD"}, None),
]


@pytest.mark.parametrize(("held", "key"), HELD)
def test_a_connection_gives_endpoint_and_key_or_else_the_identity_asks_for_a_token(here, held, key):
    here.connections["teacher-one"] = held
    endpoint = by_connection(here)
    assert endpoint.url == "https://r.openai.azure.com/openai/v1/chat/completions"
    authorization = endpoint.access.headers()["Authorization"]
    assert authorization == f"Bearer {key}" if key else authorization.startswith("Bearer e30.")


def by_connection(here, identity=None, **fields):
    teacher = Teacher(model="m", connection="teacher-one", **fields)
    environ = {**WORKSPACE, **(identity or here.on_behalf_of())}
    return resolve(teacher, "endpoint", environ, management=here.url)


@pytest.mark.parametrize(
    ("url", "scope"),
    [
        ("https://r.services.ai.azure.com", SCOPE),
        ("https://r.services.ai.azure.com/api/projects/p", "https://ai.azure.com/.default"),
    ],
)
def test_a_connection_without_a_key_asks_for_the_scope_of_its_address(here, url, scope):
    here.connections["teacher-one"] = {"target": url}
    assert by_connection(here).access.scope == scope
    assert by_connection(here, entra_scope="https://mine/.default").access.scope == "https://mine/.default"


def test_a_connection_counts_in_its_workspace_and_the_endpoint_elsewhere(here):
    here.connections["teacher-one"] = {"target": "https://in-azure", "credentials": {"key": CANARY}}
    assert by_connection(here, endpoint="https://at-home").url.startswith("https://in-azure/")
    teacher = Teacher(model="m", connection="teacher-one", endpoint="https://at-home")
    assert resolve(teacher, "endpoint", {}).url.startswith("https://at-home/")


WRONG = [
    ("the role is missing", "give it the role 'Azure Machine Learning Workspace Connection Secrets Reader'"),
    ("the connection is missing", r"no such connection; `az ml connection list`"),
    ("the connection has no target", "it has no target; create it again with the endpoint's address"),
    ("the connection has two keys", "it has 2 keys; create it again with one"),
    ("the identity is missing", r"give the pipeline `identity: \{type: managed_identity\}`"),
    ("the management API is out of reach", "can't be asked .* open the network"),
]


@pytest.mark.parametrize(("cause", "advice"), WRONG)
def test_a_connection_that_cannot_be_read_says_what_to_do(here, cause, advice):
    two = {"target": "https://h", "credentials": {"keys": {"a": CANARY, "b": CANARY}}}
    held = {"the connection has no target": {"credentials": {"key": CANARY}}, "the connection has two keys": two}
    if cause != "the connection is missing":
        here.connections["teacher-one"] = held.get(cause, {"target": "https://h", "credentials": {"key": CANARY}})
    here.role_is_missing = cause == "the role is missing"
    identity = {"OBO_ENDPOINT": "http://127.0.0.1:9/obo"} if cause == "the identity is missing" else here.on_behalf_of()
    management = "http://127.0.0.1:9" if "out of reach" in cause else here.url
    teacher = Teacher(model="m", connection="teacher-one")
    with pytest.raises(InputError, match=f"connection 'teacher-one' of workspace 'space': .*{advice}") as refused:
        resolve(teacher, "endpoint", {**WORKSPACE, **identity}, management=management)
    assert "canary" not in str(refused.value)


def ways_in():
    token = by_token(Passing())
    token.headers()
    return [by_key({"KEY": CANARY}), HeldKey(CANARY, "teacher-one"), token]


@pytest.mark.parametrize("access", ways_in(), ids=lambda access: type(access).__name__)
def test_a_secret_is_sent_and_shown_nowhere(access):
    endpoint = replace(resolve(Teacher(model="m", endpoint="https://host/v1"), "endpoint", {}), access=access)
    assert CANARY in access.headers()["Authorization"]
    assert "canary" not in f"{endpoint} {endpoint!r} {access} {access!r}"
    assert access.redact(f"Incorrect key: {access.headers()['Authorization']}") == "Incorrect key: Bearer [key]"
    with pytest.raises(TypeError, match="isn't pickled") as refused:
        pickle.dumps(endpoint)
    assert "canary" not in str(refused.value)


def test_an_open_endpoint_needs_nothing():
    assert Access().headers() == {}
    assert Access().redact("as it is") == "as it is"


def test_a_key_and_a_token_for_one_teacher_are_refused():
    with pytest.raises(ValueError, match="has both key_variable 'K' and entra_scope"):
        Teacher(model="m", endpoint="https://h", key_variable="K", entra_scope=SCOPE)
