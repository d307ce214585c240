"""All requests of the client in each scenario. `python -m tests.workspace.generated` writes the goldens."""

from pathlib import Path

import pytest
from azure.ai.ml import MLClient

from tests.workspace.generated import GOLDENS, README, readme, recorded_requests
from tests.workspace.scenarios import REGISTRY_SCENARIOS, SCENARIOS
from tests.workspace.simulated import SimulatedWorkspace


@pytest.mark.parametrize("name", SCENARIOS)
def test_requests_of_a_scenario_equal_its_golden(
    name: str, client: MLClient, workspace: SimulatedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace.registries.create("house")
    monkeypatch.chdir(tmp_path)  # in a repository the client writes its commit into a job
    SCENARIOS[name](client)
    assert recorded_requests(workspace) == (GOLDENS / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", REGISTRY_SCENARIOS)
def test_requests_to_a_registry_equal_the_golden(
    name: str, registry: MLClient, workspace: SimulatedWorkspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    REGISTRY_SCENARIOS[name](registry)
    assert recorded_requests(workspace) == (GOLDENS / f"{name}.json").read_text(encoding="utf-8")


def test_every_golden_has_a_scenario() -> None:
    assert {path.stem for path in GOLDENS.glob("*.json")} == {*SCENARIOS, *REGISTRY_SCENARIOS}


def test_the_readme_lists_the_routes() -> None:
    assert README.read_text(encoding="utf-8") == readme()
