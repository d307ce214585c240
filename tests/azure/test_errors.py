"""Exceptions of Azure's SDK become errors of one line; those of our own code stay bugs."""

import io
import logging

import pytest
from azure.ai.ml import load_job
from azure.ai.ml.entities import ServerlessConnection

from azdistill.azure.errors import translate_errors
from azdistill.contracts.errors import AzdistillError
from tests.workspace.first_day import FOUNDRY

SECRET = "canary-s3cret"


def wrong_json(client, workspace):
    """The SDK reads a connection without ResourceId."""
    workspace.connections.by_name["foundry"] = {**FOUNDRY, "credentials": {"key": SECRET}}
    client.connections.get("foundry")


def wrong_yaml(_client, _workspace):
    load_job(io.StringIO("type: pipeline\njobs: [1]\n"))


def wrong_type(_client, _workspace):
    load_job(io.StringIO("type: no-such-type\n"))


def wrong_entity(client, _workspace):
    client.connections.create_or_update(ServerlessConnection(name="c", endpoint=object(), api_key="k"))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (wrong_json, "sdk_failed"),
        (wrong_yaml, "sdk_failed"),
        (wrong_type, "refused_by_sdk"),
        (wrong_entity, "sdk_failed"),
    ],
)
def test_an_exception_inside_the_sdk_is_one_line_about_the_asset(client, workspace, caplog, call, code):
    caplog.set_level(logging.DEBUG, "azdistill.azure")
    with pytest.raises(AzdistillError) as raised, translate_errors("asset 'a'"):
        call(client, workspace)
    (problem,) = raised.value.problems
    assert (problem.code, problem.subject, str(problem).count("\n")) == (code, "asset 'a'", 0)
    assert "azure/ai/ml" in caplog.text, "the traceback can be shown"
    assert SECRET not in caplog.text + str(problem)


def wrong_key():
    return {}["no such key"]


def wrong_argument():
    return load_job(no_such_argument=1)


@pytest.mark.parametrize("bug", [wrong_key, wrong_argument])
def test_a_bug_of_our_own_code_keeps_its_type(bug):
    with pytest.raises((KeyError, TypeError)), translate_errors("asset 'a'"):
        bug()
