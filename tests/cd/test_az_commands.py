"""Every `az` command of the scripts, workflows and pages is one of the public reference, with documented options."""

import re

import pytest

from tests.cd.az_reference import REFERENCE, ROOT, command_of, commands, commands_in_page, problem_of, reference
from tests.cd.issued_commands import checked_commands, in_source, issued, pages


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
    assert [problem for line in commands_in_page(page.read_text()) if (problem := problem_of(line))] == []


def test_each_documented_command_is_used_and_has_a_source():
    used = {command.name for line in checked_commands() if (command := command_of(line))} | in_source()
    page_only = {"account show"}  # azure-pipelines.yml
    assert set(commands()) - used - page_only == set()
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
