"""Every `az` command of the scripts, workflows, pages and messages is one of the public reference, with its options."""

import re

import pytest

from tests.cd.az_reference import (
    REFERENCE,
    ROOT,
    command_of,
    commands,
    commands_in_page,
    commands_in_shell,
    commands_in_text,
    problem_of,
    reference,
)
from tests.cd.issued_commands import checked_commands, in_package, in_source, issued, pages


def test_every_command_that_a_verb_issues_is_documented():
    lines = issued()
    assert len(lines) > 20
    assert [problem for line in lines if (problem := problem_of(line))] == []


def test_the_dry_runs_issue_every_command_of_the_source():
    """A command that no dry run reaches would not be checked."""
    reached = {command_of(line).name for line in issued()}
    # setup removes another version of the extension only where there is one.
    assert in_source() - reached == {"extension remove"}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_of_a_page_is_documented(page):
    text = page.read_text()
    assert [problem for line in commands_in_page(text) if (problem := problem_of(line))] == []
    assert [problem for line in commands_in_text(text) if (problem := problem_of(line, complete=False))] == []


def test_every_command_of_a_workflow_is_documented():
    paths = [*(ROOT / ".github").rglob("*.yml"), *ROOT.glob(".azuredevops/*.yml"), ROOT / "azure-pipelines.yml"]
    lines = [line for path in paths for line in commands_in_shell(path.read_text())]
    assert [problem for line in lines if (problem := problem_of(line))] == []
    assert lines


def test_every_command_in_a_message_of_azdistill_is_documented():
    lines = in_package()
    assert len(lines) > 50
    assert [problem for line in lines if (problem := problem_of(line, complete=False))] == []


def test_each_documented_command_is_used_and_has_a_source():
    named = [line for page in pages() for line in commands_in_text(page.read_text())]
    lines = [*checked_commands(), *named, *in_package()]
    used = {command.name for line in lines if (command := command_of(line))} | in_source()
    assert set(commands()) - used == set()
    assert all(re.match("https://", command.source) for command in commands().values() if command.source)
    assert set(reference()["sources"]) >= {fields["source"] for fields in reference()["commands"].values()}


def test_no_command_is_listed_twice():
    """Of two entries with the same name, YAML would read the last."""
    names = re.findall(r"^  ([a-z].*):$", REFERENCE.read_text(), re.MULTILINE)
    assert sorted(names) == sorted(set(names))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("ml job create --file f --resource-group g --workspace-name w --verbos", "unrecognized arguments: --verbos"),
        ("ml job create --file f --resource-group g", "the following arguments are required: -w"),
        ("ml job creates --file f", "not a command of scripts/az_commands.yaml"),
        ("ml job show extra --name n --resource-group g --workspace-name w", "unrecognized arguments: extra"),
    ],
)
def test_a_wrong_command_is_reported(line, problem):
    assert problem in problem_of(line.split())


def test_a_command_in_a_command_is_checked_too():
    nested = "\"$(az storage account show \\\n  --name 'a)' --query id)\""
    text = f"id=$(az ad signed-in-user show --query id) && az role assignment create --scope {nested} --role r # az x"
    assert [" ".join(command) for command in commands_in_shell(text)] == [
        "ad signed-in-user show --query id",
        "storage account show --name QUOTED --query id",
        "role assignment create --scope VALUE --role r",
    ]
