"""What is read from YAML: the values another reader of YAML 1.2 finds, and the lines they stand in."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from azdistill.contracts.errors import SpecError
from azdistill.engine.yaml_document import read_document, read_scalar

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path for folder in ("pipelines", "components", "environments") for path in (ROOT / folder).rglob("*.y*ml")
)
SCALARS = [
    "1", "-7", "+3", "012", "0o17", "0x1F", "1_000", "1_", "1_0.5_0",
    "1.5", "1.", ".5", "1e5", "1e-5", "2.0E+3", "1.2.3", "1e", "--1",
    ".inf", "-.INF", "~", "null", "Null", "true", "FALSE", "yes", "no", "on", "off", "y", "N", "12:30:45", "12:30",
    "'1'", '"true"', "a b", "nULL", "tRUE", "0b1x", "1-2", "${{parent.inputs.x}}", "!!str 5",
]  # fmt: skip


def values(path: Path) -> object:
    return read_document(path, SpecError, "file").value


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_is_what_another_reader_makes_of_it(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.yml"
    page.write_text(f"key: {text}\n")
    found, expected = values(page), YAML(typ="safe", pure=True).load(page.read_text())
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_is_what_another_reader_makes_of_it(path: Path) -> None:
    assert values(path) == YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def test_dates_and_other_tags_stay_text(tmp_path: Path) -> None:
    page = tmp_path / "page.yml"
    page.write_text("day: 2026-11-24\nnever: 2026-13-45\nown: !mine 5\nempty:\n7: seven\n")
    assert values(page) == {"day": "2026-11-24", "never": "2026-13-45", "own": "5", "empty": None, "7": "seven"}


MERGED = """\
base: &base {a: 1, b: 2}
other: &other
  b: 3
  c: 4
both:
  <<: [*base, *other]
  c: 5
"""


def test_what_is_merged_gives_way_to_what_is_there_and_to_what_was_first(tmp_path: Path) -> None:
    page = tmp_path / "page.yml"
    page.write_text(MERGED)
    document = read_document(page, SpecError, "file")
    assert document.value == YAML(typ="safe", pure=True).load(MERGED)
    assert document.value["both"] == {"a": 1, "b": 2, "c": 5}
    assert [document.line(("both", key)) for key in "ac"] == [5, 7]


def test_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.yml"
    page.write_text("a:\n  - x\n  - y: 1\n    z: 2\nb: {c: 3}\n")
    document = read_document(page, SpecError, "file")
    places = [("a",), ("a", 0), ("a", 1, "z"), ("a", 7), ("b", "c", "d"), ("gone",)]
    assert [document.line(place) for place in places] == [1, 2, 4, 1, 5, 1]


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("a: b", "a: b"), ("[1]", "[1]"), ("'", "'"), ("*x", "*x")])
def test_a_scalar_alone(text: str, value: object) -> None:
    assert read_scalar(text) == value
