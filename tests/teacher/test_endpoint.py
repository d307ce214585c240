"""Endpoint URLs that users paste, and where an endpoint can be reached from."""

from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from azdistill.contracts.chat_url import chat_url, default_scope, inference_role
from azdistill.contracts.errors import InputError
from azdistill.contracts.requests import SIMULATOR_VARIABLE, Teacher
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import TeacherConfig
from azdistill.teacher.endpoint import resolve, resolve_all, simulated_identity
from tests.job_variables import job_variables

RESOURCE, PROJECT, ONLINE = "cognitiveservices.azure", "ai.azure", "ml.azure"
ROLES = {RESOURCE: "Cognitive Services User", PROJECT: "Azure AI User", ONLINE: "AzureML Data Scientist"}
V1 = "/openai/v1/chat/completions"
OLD, DATED = "?api-version=2024-05-01-preview", "?api-version=2024-10-21"

# What users paste, the rest of the URL after the host, and the audience of the default scope.
PASTED = [
    # A Foundry or Azure OpenAI resource, by each of its hosts and paths
    ("https://r.services.ai.azure.com", V1, f"{RESOURCE}.com"),
    ("https://r.services.ai.azure.com/openai/v1/", V1, f"{RESOURCE}.com"),
    ("https://r.openai.azure.com/", V1, f"{RESOURCE}.com"),
    ("https://r.openai.azure.com/openai", V1, f"{RESOURCE}.com"),
    ("https://r.cognitiveservices.azure.com/", V1, f"{RESOURCE}.com"),
    ("https://R.CognitiveServices.azure.com/openai/v1/chat/completions", V1, f"{RESOURCE}.com"),
    ("https://r.openai.azure.com/openai/v1?api-version=preview", f"{V1}?api-version=preview", f"{RESOURCE}.com"),
    # A deployment of Azure OpenAI, and the older route of Foundry: both require an API version
    *(
        (f"https://r.{host}.azure.com{path}", f"/openai/deployments/d/chat/completions{version}", f"{RESOURCE}.com")
        for host in ("openai", "cognitiveservices", "services.ai")
        for path, version in (
            ("/openai/deployments/d", DATED),
            ("/openai/deployments/d/chat/completions", DATED),
            (
                "/openai/deployments/d/chat/completions?api-version=2025-01-01-preview",
                "?api-version=2025-01-01-preview",
            ),
        )
    ),
    ("https://r.services.ai.azure.com/models", f"/models/chat/completions{OLD}", f"{RESOURCE}.com"),
    (
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-08-01",
        "/models/chat/completions?api-version=2024-08-01",
        f"{RESOURCE}.com",
    ),
    # A Foundry project
    ("https://r.services.ai.azure.com/api/projects/p", f"/api/projects/p{V1}", f"{PROJECT}.com"),
    ("https://r.services.ai.azure.com/api/projects/p/openai/v1", f"/api/projects/p{V1}", f"{PROJECT}.com"),
    # Serverless
    ("https://t.eastus.models.ai.azure.com", "/v1/chat/completions", f"{RESOURCE}.com"),
    ("https://t.eastus.models.ai.azure.com/", "/v1/chat/completions", f"{RESOURCE}.com"),
    ("https://t.eastus.models.ai.azure.com/chat/completions", "/chat/completions", f"{RESOURCE}.com"),
    # A managed online endpoint
    ("https://e.eastus.inference.ml.azure.com", "/v1/chat/completions", f"{ONLINE}.com"),
    ("https://e.eastus.inference.ml.azure.com/v1", "/v1/chat/completions", f"{ONLINE}.com"),
    ("https://e.eastus.inference.ml.azure.com/v1/chat/completions", "/v1/chat/completions", f"{ONLINE}.com"),
    # Azure Government and Azure China
    ("https://r.openai.azure.us/", V1, f"{RESOURCE}.us"),
    ("https://r.cognitiveservices.azure.us/", V1, f"{RESOURCE}.us"),
    ("https://r.services.ai.azure.us/api/projects/p", f"/api/projects/p{V1}", f"{PROJECT}.us"),
    ("https://e.usgovvirginia.inference.ml.azure.us", "/v1/chat/completions", f"{ONLINE}.us"),
    ("https://r.cognitiveservices.azure.cn/", V1, f"{RESOURCE}.cn"),
    ("https://e.chinaeast2.inference.ml.azure.cn/v1", "/v1/chat/completions", f"{ONLINE}.cn"),
    # Any other server, also one whose name only looks like Azure's
    (" http://127.0.0.1:8000/v1\n", "/v1/chat/completions", f"{RESOURCE}.com"),
    ("http://[::1]:8000", "/v1/chat/completions", f"{RESOURCE}.com"),
    ("https://gateway.example/teams/a", "/teams/a/chat/completions", f"{RESOURCE}.com"),
    ("https://openai.azure.com.example", "/v1/chat/completions", f"{RESOURCE}.com"),
]


@pytest.mark.parametrize(("pasted", "rest", "audience"), PASTED)
def test_a_url_is_completed_once_and_has_a_scope(pasted, rest, audience):
    url = chat_url(pasted)
    host = urlsplit(pasted.strip()).netloc
    assert url.partition(host)[2] == rest
    assert chat_url(url) == url
    assert default_scope(url) == f"https://{audience}/.default"
    assert inference_role(url) == ROLES[audience.rpartition(".")[0]]


ONLINE_ENDPOINT = "https://e.eastus.inference.ml.azure.com"
NO_CHAT = [
    (f"{ONLINE_ENDPOINT}/score", "other_api", f"use {ONLINE_ENDPOINT}/v1, where a deployment with vLLM serves them"),
    ("https://r.openai.azure.com/openai/v1/responses", "other_api", "use https://r.openai.azure.com/openai/v1"),
    (
        "https://r.services.ai.azure.com/anthropic/v1/messages",
        "other_api",
        "use https://r.services.ai.azure.com/openai",
    ),
    ("https://r.openai.azure.com/chat/completions", "other_api", "use https://r.openai.azure.com/openai/v1"),
    ("http://host:8000/v1/completions", "other_api", "use http://host:8000/v1"),
    ("http://host:8000/generate", "other_api", "use http://host:8000/v1"),
    ("", "invalid_url", "Azure portal"),
    ("teacher", "invalid_url", "Azure portal"),
    ("ftp://x/v1", "invalid_url", "Azure portal"),
    ("https:///v1", "invalid_url", "Azure portal"),
    ("http://[::1", "invalid_url", "Azure portal"),
    ("https://x:99999/v1", "invalid_url", "Azure portal"),
    ("https://me:hunter2@host/v1", "secret_in_url", "key_variable"),
]


@pytest.mark.parametrize(("pasted", "code", "fix"), NO_CHAT)
def test_a_url_of_another_api_is_rejected_with_the_url_to_use(pasted, code, fix):
    with pytest.raises(InputError) as refused:
        chat_url(pasted)
    (problem,) = refused.value.problems
    assert (problem.code, fix in problem.fix) == (code, True)
    assert "hunter2" not in str(refused.value)
    if pasted.startswith("http"):
        with pytest.raises(ValidationError) as invalid:
            Teacher(model="m", endpoint=pasted)
        assert [(error["type"], error["loc"]) for error in invalid.value.errors()] == [(code, ("endpoint",))]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_loopback_is_rejected_inside_azure_ml(host):
    teacher = Teacher(model="m", endpoint=f"http://{host}:1/v1")
    assert resolve(teacher, "endpoint", {}).url
    with pytest.raises(InputError, match="inside Azure ML"):
        resolve(teacher, "endpoint", job_variables())


def test_transient_faults_do_not_change_the_identity_of_a_simulated_teacher():
    plain = Simulation().model_dump(mode="json")
    assert simulated_identity(plain) == simulated_identity({**plain, "latency_ms": 9, "throttle_rate": 0.5})
    for changed in ({"seed": 1}, {"wrong_rate": 0.5}, {"truncated_rate": 0.5}, {"examples": ("a", "b")}):
        assert simulated_identity({**plain, **changed}) != simulated_identity(plain)


def test_the_address_of_a_simulated_teacher_is_not_part_of_its_identity():
    teacher = Teacher(model="m")
    first, second = (resolve(teacher, "simulated", {SIMULATOR_VARIABLE: f"http://127.0.0.1:{n}"}) for n in (1, 2))
    assert first.url != second.url
    assert first.identity == second.identity


def test_the_settings_of_the_simulated_teachers_are_read_in_the_order_of_the_teachers(tmp_path):
    file = tmp_path / "simulation.json"
    file.write_text('[{"expert": "qa", "latency_ms": 9}]')
    config = TeacherConfig(teachers=(Teacher(model="m"), Teacher(model="n")), teacher_route="simulated")
    environ = {SIMULATOR_VARIABLE: "http://127.0.0.1:1 http://127.0.0.1:2"}
    endpoints = resolve_all(config, environ, file)
    assert [endpoint.identity for endpoint in endpoints] == ['simulated:{"expert": "qa"}', 'simulated:{"seed": 1}']
