"""YAML is read as other YAML 1.2 readers read it, with lines, and within limits of size and depth."""

import datetime
import time
from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from azdistill.contracts.errors import SpecError
from azdistill.engine.yaml_document import AZURE_YAML, read_document, read_scalar

ROOT = Path(__file__).parents[2]
FILES = sorted(
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
def test_a_scalar_has_the_value_of_another_reader(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(f"key: {text}\n")
    assert repr(values(file)) == repr(YAML(typ="safe", pure=True).load(file.read_text()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_the_values_of_another_reader(path: Path) -> None:
    assert values(path) == YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", SCALARS)
def test_a_scalar_of_azure_ml_has_the_value_of_pyyaml(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(f"key: {text}\n")
    assert repr(read_document(file, SpecError, "file", AZURE_YAML).value) == repr(yaml.safe_load(file.read_text()))


def test_values_of_azure_ml_that_a_person_reads_otherwise_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text("a: no\nb: [012, 10, 0]\nc: {d: 1:30, d: 2024-01-31}\ne: true\nf: 1e5\ng: 'yes'\nh: 0.5\n")
    document = read_document(file, SpecError, "file", AZURE_YAML)
    assert document.value == {
        "a": False, "b": [10, 10, 0], "c": {"d": "2024-01-31"}, "e": True, "f": "1e5", "g": "yes", "h": 0.5
    }  # fmt: skip
    assert document.readings == (
        (("a",), "yaml_1_1", "no", False),
        (("b", 0), "yaml_1_1", "012", 10),
        (("c", "d"), "duplicate_key", "d", None),
        (("c", "d"), "yaml_1_1", "2024-01-31", datetime.date(2024, 1, 31)),
    )


@pytest.mark.parametrize(
    "text", ["2026-13-45", "!!timestamp x", "!!bool maybe", "!!int x", "0b_", "1" + ":59" * 190 + ".5"]
)
def test_a_value_that_pyyaml_cannot_read_is_an_error_at_its_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(f"a: 1\nb: {text}\n")
    with pytest.raises(SpecError, match=r"file\.yml:2: not valid YAML"):
        read_document(file, SpecError, "file", AZURE_YAML)


def test_dates_and_other_tags_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text("day: 2026-11-24\nnever: 2026-13-45\nown: !mine 5\nempty:\n7: seven\n")
    assert values(file) == {"day": "2026-11-24", "never": "2026-13-45", "own": "5", "empty": None, "7": "seven"}


MERGED = """\
base: &base {a: 1, b: 2}
other: &other
  b: 3
  c: 4
both:
  <<: [*base, *other]
  c: 5
"""


def test_own_keys_win_over_merged_ones_and_the_first_merged_mapping_wins(tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(MERGED)
    document = read_document(file, SpecError, "file")
    assert document.value == YAML(typ="safe", pure=True).load(MERGED)
    assert document.value["both"] == {"a": 1, "b": 2, "c": 5}
    assert [document.line(("both", key)) for key in "ac"] == [5, 7]


def test_lines(tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text("a:\n  - x\n  - y: 1\n    z: 2\nb: {c: 3}\n")
    document = read_document(file, SpecError, "file")
    fields = [("a",), ("a", 0), ("a", 1, "z"), ("a", 7), ("b", "c", "d"), ("gone",)]
    assert [document.line(field) for field in fields] == [1, 2, 4, 1, 5, 1]


@pytest.mark.parametrize(("text", "value"), [("5", 5), ("a: b", "a: b"), ("[1]", "[1]"), ("'", "'"), ("*x", "*x")])
def test_a_scalar_alone(text: str, value: object) -> None:
    assert read_scalar(text) == value


def bomb(levels: int) -> str:
    """Aliases of aliases: 9 ** levels values in a few lines."""
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (bomb(12), "more than 10,000 values, with aliases expanded"),
        ("a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 12)),
         "more than 10,000 values, with aliases expanded"),
        ("a: " + "[" * 100_000, "nested too deeply"),
        ("a: " + "[" * 5_000 + "]" * 5_000, "nested too deeply"),
        ("- " * 100_000, "nested too deeply"),
        ("".join(f"key{n}: 1\n" for n in range(20_000)), "more than 10,000 values"),
        ("[" + "*a, " * 100_000, "more than 10,000 values"),
        ("a: &a {<<: *a}", "nested too deeply"),
        (f"? {'k' * 2000}\n: 1", "a key must have at most 1,024 characters"),
        (f"a: {'9' * 300}", "a number has at most 200 digits"),
        ("%TAG !a! x\n" * 50_000 + "---\na: 1", "more than 10 directives"),
        ("a: \0", "control characters are not allowed"),
        ("#" * 1_000_001, "larger than 1,000,000 bytes"),
    ],
)  # fmt: skip
def test_a_file_beyond_the_limits_is_rejected_quickly(text: str, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "file.yml"
    file.write_text(text)
    started = time.perf_counter()
    with pytest.raises(SpecError) as error:
        read_document(file, SpecError, "job file")
    assert time.perf_counter() - started < 5  # without the limits: minutes, or the end of the process
    (problem,) = error.value.problems
    assert problem.file == file
    assert reason in problem.message
