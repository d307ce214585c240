"""The JSON Schema that editors read."""

import jsonschema
import pytest
from ruamel.yaml import YAML

from azdistill.job.schema import job_schema
from tests.generated import ROOT, TUTORIAL
from tests.job.test_wrong_specs import RIGHT, RIGHT_IN_SHORT, changed

SCHEMA = job_schema()


def read(text: str) -> object:
    return YAML(typ="safe", pure=True).load(text)


def problems(document: object) -> list[str]:
    return [problem.message for problem in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]


def test_it_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", sorted((ROOT / "pipelines").rglob("job.yaml")), ids=lambda path: path.parent.name)
def test_the_ready_jobs_fit_it(path) -> None:
    assert problems(read(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("right", [RIGHT, RIGHT_IN_SHORT, f"{RIGHT}catalog: facts.yaml\n"])
def test_both_forms_fit_it(right: str) -> None:
    assert problems(read(right)) == []
    assert problems(TUTORIAL) == []


@pytest.mark.parametrize(
    ("right", "change", "message"),
    [
        (RIGHT, "without task", "not valid under any"),
        (RIGHT, "data: {test_data: t.jsonl}", "not valid under any"),
        (RIGHT, "train: {num_epochs: 2000}", "2000 is greater than the maximum of 1000"),
        (RIGHT, "train: {learning_rate: 0.2}", "0.2 is not valid under any"),
        (RIGHT, "train: {method: dora}", "'dora' is not one of"),
        (RIGHT, "tranning: {}", "'tranning' was unexpected"),
        (RIGHT, "task: chat", "'chat' is not valid under any"),
        (RIGHT_IN_SHORT, "without teacher_model", "not valid under any"),
        (RIGHT_IN_SHORT, "hyperparameters: {temperature: 9}", "9 is greater than the maximum of 2"),
        (RIGHT_IN_SHORT, "hyperparameters: {lr: 2e-5}", "'lr' was unexpected"),
    ],
)
def test_an_editor_marks_what_is_wrong(right: str, change: str, message: str) -> None:
    assert any(message in problem for problem in problems(read(changed(right, change))))


def test_every_field_explains_itself() -> None:
    fields = {
        name: field for section in SCHEMA["$defs"].values() for name, field in section.get("properties", {}).items()
    }
    assert [name for name, field in fields.items() if "description" not in field] == []
