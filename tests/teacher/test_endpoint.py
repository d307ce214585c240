"""Endpoint URLs that users paste, and where an endpoint can be reached from."""

import pytest

from azdistill.contracts.errors import InputError
from azdistill.contracts.simulation import Simulation
from azdistill.contracts.teacher import SIMULATOR_VARIABLE, Teacher, TeacherConfig
from azdistill.teacher.endpoint import chat_url, resolve, resolve_all, simulated_identity

PASTED = [
    ("https://t.eastus.models.ai.azure.com", "https://t.eastus.models.ai.azure.com/v1/chat/completions"),
    ("https://t.eastus.models.ai.azure.com/", "https://t.eastus.models.ai.azure.com/v1/chat/completions"),
    ("https://t.eastus.models.ai.azure.com/chat/completions", "https://t.eastus.models.ai.azure.com/chat/completions"),
    (
        "https://r.services.ai.azure.com/models",
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-05-01-preview",
    ),
    (
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-08-01",
        "https://r.services.ai.azure.com/models/chat/completions?api-version=2024-08-01",
    ),
    ("https://r.services.ai.azure.com", "https://r.services.ai.azure.com/openai/v1/chat/completions"),
    ("https://r.services.ai.azure.com/openai/v1/", "https://r.services.ai.azure.com/openai/v1/chat/completions"),
    (
        "https://r.services.ai.azure.com/api/projects/p",
        "https://r.services.ai.azure.com/api/projects/p/openai/v1/chat/completions",
    ),
    (
        "https://r.services.ai.azure.com/api/projects/p/openai/v1",
        "https://r.services.ai.azure.com/api/projects/p/openai/v1/chat/completions",
    ),
    ("https://r.openai.azure.com", "https://r.openai.azure.com/openai/v1/chat/completions"),
    (" http://127.0.0.1:8000/v1\n", "http://127.0.0.1:8000/v1/chat/completions"),
    ("http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
]


@pytest.mark.parametrize(("pasted", "url"), PASTED)
def test_a_base_url_is_completed_and_a_complete_url_is_unchanged(pasted, url):
    assert chat_url(pasted) == url
    assert chat_url(url) == url


@pytest.mark.parametrize("pasted", ["", "teacher", "ftp://x/v1", "https:///v1", "http://[::1", "https://x:99999/v1"])
def test_other_text_is_rejected(pasted):
    with pytest.raises(InputError, match="endpoint"):
        chat_url(pasted)


def test_a_password_in_a_url_is_rejected_and_not_repeated():
    with pytest.raises(InputError) as refused:
        chat_url("https://me:hunter2@host/v1")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.8.8.8"])
def test_loopback_is_rejected_inside_azure_ml(host):
    teacher = Teacher(model="m", endpoint=f"http://{host}:1/v1")
    assert resolve(teacher, "endpoint", {}).url
    with pytest.raises(InputError, match="inside Azure ML"):
        resolve(teacher, "endpoint", {"AZUREML_RUN_ID": "r"})


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
