"""Files of a deployment: the real SDK loads them, they depend on job and model only, and the script starts vLLM."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from azure.ai.ml import load_online_deployment, load_online_endpoint

from azdistill.azure.deployment.files import SERVER_SCRIPT, release_of, write_files
from azdistill.contracts.errors import InputError
from azdistill.job.deployment import DEFAULT_IMAGE
from tests.azure.deployments import job_with, release

IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/serving"


def test_the_sdk_loads_endpoint_and_deployments(tmp_path: Path) -> None:
    deployed = release(identity=IDENTITY, max_model_length=4096, instance_type="Standard_NC48ads_A100_v4")
    names = {path.relative_to(tmp_path).as_posix() for path in write_files(deployed, tmp_path)}
    assert names == {"endpoint.yml", "blue.yml", "green.yml", "server/Dockerfile", "server/serve.sh"}
    endpoint = load_online_endpoint(tmp_path / "endpoint.yml")
    assert (endpoint.name, endpoint.auth_mode, endpoint.traffic) == ("support", "aad_token", {})
    assert [identity.resource_id for identity in endpoint.identity.user_assigned_identities] == [IDENTITY]
    blue, green = (load_online_deployment(tmp_path / f"{color}.yml") for color in ("blue", "green"))
    assert (blue.name, green.name, blue.tags) == ("blue", "green", green.tags)
    assert blue.model == "support:1"
    assert blue.request_settings.request_timeout_ms == 180_000
    assert (blue.liveness_probe.initial_delay, blue.liveness_probe.failure_threshold) == (500, 30)
    assert blue.egress_public_network_access.lower() == "disabled"
    assert blue.environment_variables == {
        "SERVED_MODEL_NAME": "support",
        "VLLM_ARGS": "--max-model-len 4096 --tensor-parallel-size 2",
    }
    routes = blue.environment.inference_config
    assert (routes.liveness_route.path, routes.readiness_route.path, routes.scoring_route.path) == ("/health",) * 2 + (
        "/",
    )
    assert {routes.liveness_route.port, routes.readiness_route.port, routes.scoring_route.port} == {8000}
    assert f"FROM {DEFAULT_IMAGE}\n" in (tmp_path / "server/Dockerfile").read_text()


def test_the_same_release_gives_the_same_files(tmp_path: Path) -> None:
    first, second = ({p.name: p.read_bytes() for p in write_files(release(), tmp_path / n)} for n in ("a", "b"))
    assert first == second
    assert release("2").content != release("1").content == release("1", smoke_rows=7, traffic=[100]).content
    assert release(max_model_length=2048).content != release().content


def test_autoscale_is_a_setting_of_azure_monitor(tmp_path: Path) -> None:
    scaled = release(autoscale={"min_instances": 2, "max_instances": 5, "target_utilization": 60})
    write_files(scaled, tmp_path)
    assert load_online_deployment(tmp_path / "blue.yml").instance_count == 2
    (profile,) = json.loads((tmp_path / "autoscale.json").read_text())["properties"]["profiles"]
    assert profile["capacity"] == {"minimum": "2", "maximum": "5", "default": "2"}
    triggers = [rule["metricTrigger"] for rule in profile["rules"]]
    assert [(trigger["operator"], trigger["threshold"]) for trigger in triggers] == [
        ("GreaterThan", 60),
        ("LessThan", 30),
    ]


def test_the_short_name_of_an_identity_is_in_the_group_of_the_workspace() -> None:
    job = job_with(identity="serving")
    assert release_of(job, "azureml:support:1", "/subscriptions/s/resourceGroups/g").identity == IDENTITY
    with pytest.raises(InputError, match=r"deployment\.identity='serving'.*--config"):
        release_of(job, "azureml:support:1")


@pytest.mark.parametrize("model", ["support", "azureml:support", "azureml:support@latest", "./student"])
def test_a_model_has_a_version(model: str) -> None:
    with pytest.raises(InputError, match="azureml:NAME:VERSION"):
        release_of(job_with(), model)


LAYOUTS = {
    "folder": ("model/config.json", "model/tokenizer_config.json"),
    "mlflow": ("support/model/config.json", "support/components/tokenizer/tokenizer_config.json"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_script_finds_the_student_and_starts_vllm(tmp_path: Path, layout: str) -> None:
    """Bash runs the script of the image. A program named vllm prints its arguments."""
    config, tokenizer = (tmp_path / "mounted" / name for name in LAYOUTS[layout])
    for file in (config, tokenizer):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")
    done = _serve(tmp_path)
    assert done.returncode == 0, done.stderr
    served = ["--served-model-name", "support", "--host", "0.0.0.0", "--port", "8000"]
    served += ["--override-generation-config", '{"temperature": 0.0}']
    model = ["serve", str(config.parent), "--tokenizer", str(tokenizer.parent)]
    assert done.stdout.splitlines() == [*model, *served, "--max-model-len", "4096"]


def test_the_script_refuses_an_adapter(tmp_path: Path) -> None:
    (tmp_path / "mounted").mkdir()
    (tmp_path / "mounted/adapter_config.json").write_text("{}")
    done = _serve(tmp_path)
    assert (done.returncode, "an adapter has to be merged" in done.stderr) == (1, True)


def _serve(folder: Path) -> "subprocess.CompletedProcess[str]":
    program = folder / "bin/vllm"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    environ = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "AZUREML_MODEL_DIR": str(folder / "mounted"),
        "SERVED_MODEL_NAME": "support",
        "VLLM_ARGS": "--max-model-len 4096",
    }
    return subprocess.run(["bash", SERVER_SCRIPT], env=environ, capture_output=True, text=True, check=False)
