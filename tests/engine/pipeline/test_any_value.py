"""Validation never raises, whatever value a field has."""

import copy
import json
import time
from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.checks import validate_file
from azdistill.engine.pipeline.yaml_node import MAX_PROBLEMS
from azdistill.engine.problems import FieldPath
from azdistill.engine.yaml_document import read_document
from tests.engine.pipeline.examples import HEAD, PARALLEL, PARALLEL_FILES, STYLE_FILES, STYLES, USE_PARALLEL
from tests.engine.pipeline.wrong import write_files

VALUES: list[Any] = [None, ["a"], {"a": {"b": 1}}, 1.5, "${{parent.inputs.x}}", "${{inputs.nothing}}"]
SWEEP_FILES = {**STYLE_FILES, "pipeline.yml": HEAD + STYLES["sweep"]}


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (SWEEP_FILES, "pipeline.yml"),
        (SWEEP_FILES, "components/score.yml"),
        ({**PARALLEL_FILES, "pipeline.yml": PARALLEL}, "pipeline.yml"),
        ({**PARALLEL_FILES, "pipeline.yml": USE_PARALLEL}, "score/component.yml"),
    ],
)
def test_validation_never_raises_whatever_value_a_field_has(tmp_path: Path, files: dict[str, str], name: str) -> None:
    """Each field of a pipeline or a component in turn, with values of every kind."""
    write_files(tmp_path, files)
    document = read_document(tmp_path / name, PipelineError, "file").value
    for field in fields_of(document):
        for value in VALUES:
            (tmp_path / name).write_text(json.dumps(with_value(document, field, value)))  # JSON is YAML
            assert all(str(problem) for problem in validate_file(tmp_path / "pipeline.yml"))


def fields_of(value: Any, field: FieldPath = ()) -> list[FieldPath]:
    entries = value.items() if isinstance(value, dict) else []
    inner = [path for key, entry in entries for path in fields_of(entry, (*field, key))]
    return [field, *inner] if field else inner


def with_value(document: dict[str, Any], field: FieldPath, value: Any) -> dict[str, Any]:
    """A copy of the document with another value at a field."""
    changed = copy.deepcopy(document)
    parent: Any = changed
    for key in field[:-1]:
        parent = parent[key]
    parent[field[-1]] = value
    return changed


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"key{number}: 1\n" for number in range(50_000)),
        "jobs:\n  a:\n    component: ./c.yml\n    inputs:\n" + "".join(f"      n{n}: 1\n" for n in range(4_000)),
        "jobs:\n  a: {command: 'echo ${{" + " " * 50_000 + "'}\n",
    ],
    ids=["unknown fields", "unknown inputs", "open expression"],
)
def test_a_file_of_one_megabyte_is_validated_in_seconds(tmp_path: Path, text: str) -> None:
    component = "type: command\nname: c\ninputs: {rows: {type: uri_file}}\ncommand: echo ${{inputs.rows}}\n"
    write_files(tmp_path, {"pipeline.yml": text, "c.yml": component})
    started = time.perf_counter()
    problems = validate_file(tmp_path / "pipeline.yml")
    assert time.perf_counter() - started < 30  # without the limits: minutes
    assert 0 < len(problems) <= MAX_PROBLEMS + 6  # one more for each severity and scope
