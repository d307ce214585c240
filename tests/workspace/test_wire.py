"""What the client sends, whole: `python -m tests.workspace.generated` writes the goldens anew."""

from pathlib import Path

import pytest
from azure.ai.ml import MLClient

from tests.workspace.generated import GOLDENS, README, conversation, readme
from tests.workspace.scenarios import IN_REGISTRY, SCENARIOS
from tests.workspace.stand_in import Workspace


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_conversation_is_its_golden(
    name: str, client: MLClient, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # the client writes the commit of a repository into a job
    SCENARIOS[name](client)
    assert conversation(workspace) == (GOLDENS / f"{name}.json").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", IN_REGISTRY)
def test_a_conversation_with_a_registry_is_its_golden(
    name: str, registry: MLClient, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    IN_REGISTRY[name](registry)
    assert conversation(workspace) == (GOLDENS / f"{name}.json").read_text(encoding="utf-8")


def test_every_golden_has_a_scenario() -> None:
    assert {path.stem for path in GOLDENS.glob("*.json")} == {*SCENARIOS, *IN_REGISTRY}


def test_the_readme_lists_the_requests_that_are_answered() -> None:
    assert README.read_text(encoding="utf-8") == readme()
