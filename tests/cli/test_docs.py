"""azdistill docs: the pages that messages name are installed with azdistill."""

import re
from pathlib import Path

import azdistill as package
from tests.cli.conftest import Command

DOCS = Path(__file__).parents[2] / "docs"


def test_pages_are_listed_and_shown(azdistill: Command) -> None:
    listed = azdistill("docs")
    assert [line.split()[0] for line in listed.out.splitlines()[:-2]] == sorted(path.stem for path in DOCS.glob("*.md"))
    assert "data             Data" in listed.out
    for name in ("data", "data.md", "docs/data.md"):
        assert azdistill("docs", name).out.startswith("# Data\n")


def test_an_unknown_page_is_wrong_input(azdistill: Command) -> None:
    done = azdistill("docs", "dat")
    assert (done.code, done.err) == (2, "azdistill: page 'dat': no such page; did you mean 'data'?\n")


def test_messages_name_pages_that_exist() -> None:
    named = {
        name
        for path in Path(package.__file__).parent.rglob("*.py")
        for names in re.findall(r"azdistill docs (\w[\w-]*)|docs/([\w-]+)\.md", path.read_text(encoding="utf-8"))
        for name in names
        if name
    }
    assert {"reference", "deploy"} <= named
    assert named <= {path.stem for path in DOCS.glob("*.md")}
