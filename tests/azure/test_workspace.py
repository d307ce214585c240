"""Find the address of the workspace."""

import gc
import importlib
import json
import logging
import sys
import warnings

import pytest

from azdistill.azure.submission import submit
from azdistill.azure.workspace import (
    FIELDS,
    WorkspaceAddress,
    fast_validation,
    fewer_requests,
    find_address,
    require_sdk,
)
from azdistill.cli.workspace import SDK_LOGGERS, quiet_sdk
from azdistill.contracts.errors import InputError

VALUES = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}
ADDRESS = WorkspaceAddress("s", "g", "w")


@pytest.mark.parametrize("name", ["config.json", ".azureml/config.json"])
def test_the_config_of_this_folder_or_one_above_is_found(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(VALUES))
    below = tmp_path / "a/student"
    below.mkdir(parents=True)
    (below / "config.json").write_text('{"model_type": "llama"}')
    assert find_address(start=below, environ={}) == ADDRESS
    assert find_address(path, below, {}) == find_address(tmp_path, below, {}) == ADDRESS


def test_inside_a_job_the_address_comes_from_its_variables(tmp_path):
    environ = {variable: VALUES[field] for field, variable in FIELDS.items()}
    assert find_address(start=tmp_path, environ=environ) == ADDRESS


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (None, "no_workspace", "no config.json of a workspace in this folder or one above"),
        ('{"workspace_name": "w"}', "missing_field", "has no subscription_id, resource_group"),
        ('{"workspace_name": "w", "subscription_id": 7, "resource_group": "g"}', "missing_field", "no subscription_id"),
    ],
)
def test_without_a_complete_address_the_problem_names_the_studio(tmp_path, content, code, message):
    if content:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as error:
        find_address(start=tmp_path, environ={})
    (problem,) = error.value.problems
    assert (problem.code, problem.file) == (code, tmp_path / "config.json" if content else None)
    assert message in problem.message
    assert "from the studio" in problem.fix


@pytest.mark.parametrize(("content", "code"), [(None, "no_such_file"), ("{", "unreadable")])
def test_a_wrong_config_file_is_named(tmp_path, content, code):
    path = tmp_path / "given.json"
    if content:
        path.write_text(content)
    with pytest.raises(InputError) as error:
        find_address(path)
    assert [(problem.code, problem.file) for problem in error.value.problems] == [(code, path)]


PRIVATE_NAMES = {
    "azure.ai.ml._utils._experimental": ["_should_skip_warning"],
    "azure.ai.ml._artifacts._artifact_utilities": ["get_datastore_info"],
    "azure.ai.ml.entities": ["PipelineJob._validate"],
    "azure.ai.ml": ["MLClient._kwargs", "MLClient._credential", "MLClient.jobs._runs_operations.get_run_details"],
}


@pytest.mark.parametrize(("module", "name"), [(m, name) for m, names in PRIVATE_NAMES.items() for name in names])
def test_private_names_of_azure_ai_ml_still_exist(module, name, client):
    """The package uses these. When one disappears, change its users and the upper bound in pyproject.toml."""
    value = importlib.import_module(module)
    for part in name.split("."):
        value = client if part == "MLClient" else getattr(value, part)
    assert value is not None


def test_fast_validation_restores_what_it_changes():
    from azure.ai.ml._utils import _experimental

    before = (gc.isenabled(), _experimental._should_skip_warning)
    with fast_validation():
        assert (gc.isenabled(), _experimental._should_skip_warning()) == (False, True)
    assert (gc.isenabled(), _experimental._should_skip_warning) == before


def test_equal_look_ups_are_sent_once_and_the_methods_of_the_client_are_restored(client, workspace):
    with fewer_requests(client):
        names = {client.datastores.get("workspaceblobstore").name for _ in range(3)}
    assert (names, len(workspace.requests.of("GET", "/datastores/"))) == ({"workspaceblobstore"}, 1)
    client.datastores.get("workspaceblobstore")
    assert len(workspace.requests.of("GET", "/datastores/")) == 2


def test_a_submission_changes_no_state_of_the_process(small, client):
    """Warning filters, log levels, standard streams and garbage collection are those of before."""

    def state():
        levels = {name: logging.getLogger(name).level for name in SDK_LOGGERS}
        return list(warnings.filters), levels, sys.stdout, sys.stderr, gc.isenabled()

    require_sdk()
    before = state()
    submit(client, small)
    assert state() == before


def test_the_command_line_restores_warning_filters_and_log_levels():
    require_sdk()
    logging.getLogger("azure.core").setLevel(logging.INFO)
    before = list(warnings.filters), logging.getLogger("azure.core").level
    with quiet_sdk():
        assert logging.getLogger("azure.core").level == logging.ERROR
    assert (list(warnings.filters), logging.getLogger("azure.core").level) == before
