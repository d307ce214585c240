"""docs/cd.md names verbs, options and variables that exist, and the report has the sections of the summary."""

import re
import subprocess
import sys

import pytest

from scripts.cd.__main__ import DESCRIPTION, parser
from scripts.cd.summary import COMMENT_SECTIONS, SECTIONS
from tests.cd.az_reference import ROOT

PAGE = (ROOT / "docs" / "cd.md").read_text()
VERBS = sorted(parser()._subparsers._group_actions[0].choices)


def test_the_page_describes_every_verb():
    table = PAGE.partition("| verb |")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines()[2:]))) == VERBS


def test_the_page_describes_every_workflow():
    rows = re.findall(r"^\| `(\w+)` \|.*\|.*\|.*\|$", PAGE.partition("## Set up")[0], re.MULTILINE)
    assert sorted(rows) == sorted(path.stem for path in (ROOT / ".github" / "workflows").glob("*.yml"))


def test_options_and_variables_of_the_page_exist():
    helps = "".join(parser()._subparsers._group_actions[0].choices[verb].format_help() for verb in VERBS) + DESCRIPTION
    options = set(re.findall(r"`(--[a-z-]+)", PAGE)) - {"--registry-name"}  # of az
    assert {option for option in options if option not in helps} == set()
    workflows = "".join(path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml"))
    set_up = PAGE.partition("## Set up")[2].partition("## The verbs")[0]
    variables = set(re.findall(r"`((?:AZURE|SOURCE|BASELINE)_[A-Z_]+)`", set_up))
    assert variables == set(re.findall(r"vars\.([A-Z_]+)", workflows))


def test_local_links_exist():
    links = re.findall(r"\]\(([^)#]+)", PAGE)
    assert [link for link in links if not link.startswith("http") and not (ROOT / "docs" / link).exists()] == []


def test_the_report_has_the_sections_of_summary_and_comment():
    template = (ROOT / "azdistill" / "reporting" / "report.md.jinja").read_text()
    headings = re.findall(r"^## (.+)$", template, re.MULTILINE)
    assert set(SECTIONS) | set(COMMENT_SECTIONS) <= set(headings)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_the_module_is_a_command(arguments):
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cd", *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")
