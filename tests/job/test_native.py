"""Azure's own `type: distillation` files: read by the real SDK and here, and every difference said in a line.

native_jobs/ holds files in the shape that Microsoft publishes. native_jobs.txt holds changes of SMALL, each with lines
that its author reads: a change is a line of SMALL replaced or added (several after "; "), or `without` a line.
"""

import json
import logging
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from azdistill.contracts.errors import SpecError
from azdistill.engine.pipeline.emit import to_yaml
from azdistill.engine.yaml_document import read_document
from azdistill.job.loading import check_job, load_job
from azdistill.job.model import DistillationJob
from azdistill.job.native.convert import converted, moved
from azdistill.job.native.job import SYNONYMS, EndpointRequestSettings, read_native
from azdistill.job.native.teacher import key_variable
from azdistill.job.scaffold.folder import HEADER
from tests.job.conftest import Check
from tests.job.test_wrong_specs import changed, spoiled

HERE = Path(__file__).parent
PUBLISHED = sorted((HERE / "native_jobs").glob("*.yaml"))
TABLE = (HERE / "native_jobs.txt").read_text(encoding="utf-8")
KEY = "EXAMPLE-KEY-0a1b2c3d"

SMALL = f"""\
type: distillation
name: small
data_generation_type: label_generation
data_generation_task_type: NLI
training_data: rows.jsonl
validation_data: test.jsonl
teacher_model_endpoint_connection: {{type: serverless, name: gpt-oss-120b, endpoint: 'https://x', api_key: {KEY}}}
student_model: {{path: ./student}}
teacher_model_settings: {{}}
prompt_settings: {{}}
hyperparameters: {{learning_rate: "0.00002", num_train_epochs: "3"}}
outputs: {{registered_model: {{name: taught}}}}
"""


def table(name: str) -> list[tuple[str, list[str]]]:
    """Changes, each with its lines."""
    changes: list[tuple[str, list[str]]] = []
    for line in TABLE.partition(f"== {name} ==\n")[2].partition("\n==")[0].splitlines():
        if line.startswith(" "):
            changes[-1][1].append(line.strip())
        else:
            changes.append((line, []))
    return changes


@pytest.fixture(params=PUBLISHED, ids=lambda path: path.stem)
def published(request: pytest.FixtureRequest, folder: Path) -> Path:
    """A native file in a folder with the data files that it names."""
    return Path(shutil.copy(request.param, folder))


def test_the_sdk_reads_what_is_published_here_as_its_own(published: Path) -> None:
    from azure.ai.ml import load_job as load_in_azure

    logging.getLogger("azure.ai.ml._utils._experimental").setLevel(logging.ERROR)
    assert load_in_azure(published).type == "distillation"


def test_a_published_file_is_a_job_without_an_edit_and_its_key_stays_in_it(published: Path) -> None:
    job, warnings = check_job(published)
    assert job is not None
    assert {finding.severity for finding in warnings} == {"warning"}
    assert KEY not in "".join(map(str, warnings)) + job.model_dump_json() + repr(job)
    assert [finding.line for finding in warnings] == sorted(finding.line for finding in warnings)
    assert all("\n" not in finding.text for finding in warnings)


@pytest.mark.parametrize("target", [".", "deep/er", "../sibling"])
def test_what_is_written_elsewhere_is_the_same_job(published: Path, folder: Path, target: str) -> None:
    native = converted(read_native(read_document(published, SpecError, "job").value))
    assert list(native.values) == [name for name in DistillationJob.model_fields if name in native.values]
    path = folder / target / "job.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(moved(native.values, folder, folder / target)))
    assert _resolved(load_job(path)) == _resolved(load_job(published))


def _resolved(job: DistillationJob) -> dict[str, object]:
    values = job.model_dump()
    for section, name in (("data", "training_data"), ("data", "validation_data"), ("student", "model")):
        path = values[section][name]
        values[section][name] = str(Path(path).resolve()) if path and Path(path).exists() else path
    return values


@pytest.mark.parametrize(("change", "lines"), table("what becomes of it"))
def test_a_difference_is_one_line(check: Check, change: str, lines: list[str]) -> None:
    job, warnings = check(changed(SMALL, change))
    assert job is not None, warnings
    printed = [line.partition(": ")[2] for line in warnings]
    assert [line for line in lines if line not in printed] == []


@pytest.mark.parametrize(("change", "lines"), table("wrong"))
def test_a_wrong_native_job_names_line_and_field(check: Check, change: str, lines: list[str]) -> None:
    assert check(changed(SMALL, change)) == (None, lines)


@pytest.mark.parametrize("form", ["custom_model", "MLFlow_model"])
def test_the_form_of_the_model_is_carried_over(check: Check, form: str) -> None:
    job, warnings = check(changed(SMALL, f"outputs: {{registered_model: {{name: taught, type: {form}}}}}"))
    assert job is not None, warnings
    assert job.outputs.model_type == form.casefold()
    assert [line for line in warnings if "registered_model" in line] == []


# A connection; the model, connection and endpoint of the converted teacher; and the warning.
TEACHERS = [
    (
        f"{{type: serverless, name: Meta-Llama-3-1-405B-Instruct-vkn, endpoint: 'https://x/v1', api_key: {KEY}}}",
        ("Meta-Llama-3.1-405B-Instruct", "Meta-Llama-3-1-405B-Instruct-vkn", "https://x/v1"),
        "api_key: dropped, as a job holds no keys; export META_LLAMA_3_1_405B_INSTRUCT_VKN_KEY=... where you run",
    ),
    (
        f"{{type: Serverless, name: mine, endpoint: 'https://gpt-4-1-mini.west.models.ai.azure.com', api_key: {KEY}}}",
        ("gpt-4.1-mini", "mine", "https://gpt-4-1-mini.west.models.ai.azure.com"),
        "name='mine': becomes teacher.teachers.0.model='gpt-4.1-mini'; the file names no model, so it is derived from",
    ),
    (
        f"{{type: serverless, name: my teacher, endpoint: 'https://u:{KEY}@x/c?api-version=1&api-key={KEY}'}}",
        ("my teacher", None, "https://x/c?api-version=1"),
        "endpoint: user, password and key in the URL are dropped",
    ),
    (
        "{type: serverless, name: my teacher, endpoint: 'https://x'}",
        ("my teacher", None, "https://x"),
        "name='my teacher': not a valid name of a workspace connection, which has 3 to 33 letters, digits, '_' and '-'",
    ),
    (
        f"{{type: serverless, name: mine, endpoint: 'https://{KEY}@[', api_key: {KEY}}}",
        ("mine", "mine", None),
        "endpoint: dropped; it must be a URL that starts with https://",
    ),
    (
        f"{{type: custom, name: mine, target: None, credentials: {{type: api_key, key: {KEY}}}}}",
        ("mine", "mine", None),
        "credentials: dropped, as a job holds no keys; for Azure ML, create connection 'mine' in the workspace",
    ),
]


@pytest.mark.parametrize(("connection", "teacher", "line"), TEACHERS)
def test_a_teacher_is_found_and_its_key_is_not_carried_over(
    check: Check, connection: str, teacher: tuple[str | None, ...], line: str
) -> None:
    job, warnings = check(changed(SMALL, f"teacher_model_endpoint_connection: {connection}"))
    assert job is not None, warnings
    (parsed_teacher,) = job.teacher.teachers
    assert (parsed_teacher.model, parsed_teacher.connection, parsed_teacher.endpoint) == teacher
    assert bool(parsed_teacher.key_variable) == bool(parsed_teacher.endpoint)
    assert any(f"teacher_model_endpoint_connection.{line}" in warning for warning in warnings)
    assert KEY not in "".join(warnings) + job.model_dump_json()


@pytest.mark.parametrize(("name", "variable"), [("a-b.C", "A_B_C_KEY"), ("4o", "TEACHER_4O_KEY")])
def test_a_key_has_a_variable_of_its_connections_name(name: str, variable: str) -> None:
    assert key_variable(name) == variable


def test_a_wrong_value_of_any_field_is_reported(folder: Path) -> None:
    for number, document in enumerate(spoiled(YAML(typ="safe", pure=True).load(SMALL))):
        path = folder / f"{number}.yaml"
        path.write_text(json.dumps(document))
        job, problems = check_job(path)
        assert (job is None) == any(finding.severity == "error" for finding in problems)
        assert all("\n" not in finding.text and finding.line >= 1 for finding in problems)
        assert KEY not in "".join(map(str, problems))


def test_the_sdk_takes_the_connection_of_the_page_once_its_key_is_set(folder: Path) -> None:
    from azure.ai.ml import load_connection

    page = (HERE.parents[1] / "docs/native.md").read_text(encoding="utf-8")
    (folder / "connection.yml").write_text(page.split("```yaml\n")[3].partition("```")[0])
    connection = load_connection(folder / "connection.yml", params_override=[{"api_key": KEY}])
    assert (connection.type, connection.name) == ("serverless", "Llama-3-3-70B-Instruct-xyz")


def test_the_page_shows_what_is_written(folder: Path) -> None:
    page = (HERE.parents[1] / "docs/native.md").read_text(encoding="utf-8")
    native, written = (block.partition("```")[0] for block in page.split("```yaml\n")[1:3])
    (folder / "tickets.yaml").write_text(native)
    document = read_document(folder / "tickets.yaml", SpecError, "job")
    assert load_job(document.path).name == "tickets"
    assert HEADER + to_yaml(moved(converted(read_native(document.value)).values, folder, folder)) == written


def test_the_page_names_every_setting_that_a_native_file_has() -> None:
    page = (HERE.parents[1] / "docs/native.md").read_text(encoding="utf-8")
    settings = {*SYNONYMS["learning_rate"], *SYNONYMS["num_epochs"], *SYNONYMS["batch_size"]}
    settings |= {*EndpointRequestSettings.model_fields} | {"temperature", "top_p", "max_tokens", "stop"}
    assert [name for name in sorted(settings) if f"`{name}`" not in page] == []
