"""Which workspace is meant."""

import json

import pytest

from azdistill.azure.workspace import FIELDS, WorkspaceAddress, find_address
from azdistill.contracts.errors import InputError

VALUES = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
OURS = WorkspaceAddress("s", "g", "w")


@pytest.mark.parametrize("place", ["config.json", ".azureml/config.json"])
def test_the_config_of_this_folder_or_one_above_counts(tmp_path, place):
    path = tmp_path / place
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(VALUES))
    below = tmp_path / "a/student"
    below.mkdir(parents=True)
    (below / "config.json").write_text('{"model_type": "llama"}')
    assert find_address(start=below, environ={}) == OURS
    assert find_address(path, below, {}) == find_address(tmp_path, below, {}) == OURS


def test_inside_a_job_its_own_workspace_counts(tmp_path):
    environ = {variable: VALUES[field] for field, variable in FIELDS.items()}
    assert find_address(start=tmp_path, environ=environ) == OURS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no config.json here or in a folder above; download it from the studio"),
        ('{"workspace_name": "w"}', "has no subscription_id, resource_group; download it again"),
        ('{"workspace_name": "w", "subscription_id": 7, "resource_group": "g"}', "has no subscription_id"),
    ],
)
def test_a_workspace_that_is_not_said_is_wrong_input(tmp_path, content, words):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError, match=words):
        find_address(start=tmp_path, environ={})


def test_a_file_that_is_none_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nor a folder with one; give the file"):
        find_address(tmp_path / "nowhere.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match=r"can't be read .*download it again"):
        find_address(tmp_path / "broken.json")
