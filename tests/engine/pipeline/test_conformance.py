"""The statements of docs/conformance.md are true: each field of the client's schemas has one, and code proves it."""

from pathlib import Path
from typing import Any

import pytest

from azdistill.engine.pipeline.checks import pipeline_problems
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.node_checks import LOCAL_TYPES
from tests.engine.pipeline import conformance
from tests.engine.pipeline.conformance import SECTIONS, Section, at, defined, effect, local
from tests.engine.pipeline.every_field import EXAMPLES, FILES
from tests.engine.pipeline.wrong import write_files

BY_TITLE = {section.title: section for section in SECTIONS}


@pytest.mark.parametrize("title", BY_TITLE)
def test_every_field_of_a_schema_of_the_client_is_described(title: str) -> None:
    section = BY_TITLE[title]
    missing = [
        field
        for field in section.fields()
        if field not in conformance.GENERAL and (title, field) not in conformance.SPECIAL
    ]
    assert missing == [], "describe the new fields in tests/engine/pipeline/conformance.py"


def test_no_field_is_described_that_no_schema_has() -> None:
    fields = {(section.title, field) for section in SECTIONS for field in section.fields()}
    assert conformance.SPECIAL.keys() <= fields
    assert conformance.GENERAL.keys() <= {field for _, field in fields}


@pytest.mark.parametrize("title", BY_TITLE)
def test_what_runs_has_a_test_that_names_the_field_or_changes_the_run(tmp_path: Path, title: str) -> None:
    section = BY_TITLE[title]
    write_files(tmp_path, FILES)
    complete = effect(tmp_path, section, section.document())
    for field in section.fields():
        status, _, test = local(section, field)
        assert bool(test) == (status in ("run", "simulated")), field
        source = defined(test) if test else field
        assert source is not None, f"{field}: no test {test}"
        if field not in source:
            assert effect(tmp_path, section, _changed(section, field)) != complete, f"{field}: not in {test}"


def test_the_types_of_nodes_that_run_have_a_test() -> None:
    assert conformance.NODES.keys() == LOCAL_TYPES
    assert all(defined(test) for test in conformance.NODES.values())
    assert set(conformance.node_types()) >= LOCAL_TYPES


@pytest.mark.parametrize("title", BY_TITLE)
def test_a_run_is_the_same_without_an_ignored_field(tmp_path: Path, title: str) -> None:
    section = BY_TITLE[title]
    write_files(tmp_path, FILES)
    complete = effect(tmp_path, section, section.document())
    ignored = [field for field in section.fields() if local(section, field).status == "ignored"]
    assert [field for field in ignored if effect(tmp_path, section, _changed(section, field)) != complete] == []


def _changed(section: Section, field: str) -> dict[str, Any]:
    """The file of a section without a field, or with it where it has none."""
    content = section.document()
    fields = at(content, section.path)
    if field in fields:
        del fields[field]
    else:
        fields[field] = "text"
    return content


def test_what_is_refused_is_an_error_of_a_local_run(tmp_path: Path) -> None:
    write_files(tmp_path, FILES)
    refused = [
        (section, field)
        for section in SECTIONS
        for field in section.fields()
        if local(section, field).status == "refused"
    ]
    assert [field for _, field in refused] == ["component"]
    path = tmp_path / "pipeline.yml"
    path.write_text(EXAMPLES["pipeline job"].text + "component: ./component.yml\n")
    problems = pipeline_problems(load_pipeline(path))
    assert [problem.code for problem in problems if problem.field == ("component",)].count("unsupported_locally") == 1
