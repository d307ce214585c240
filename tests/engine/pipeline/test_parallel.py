"""Parallel jobs and components as data, and how a job overrides its component."""

from pathlib import Path

import pytest

from azdistill.engine.pipeline.checks import require_runnable, validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.model import Parallel
from azdistill.engine.problems import Problem, dotted
from tests.engine.pipeline.examples import PARALLEL, PARALLEL_COMPONENT, PARALLEL_FILES, USE_PARALLEL
from tests.engine.pipeline.wrong import write_files


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path, PARALLEL_FILES)
    return tmp_path


def problems(root: Path, text: str) -> list[Problem]:
    (root / "pipeline.yml").write_text(text)
    return validate_file(root / "pipeline.yml")


def settings(root: Path, text: str) -> Parallel:
    """The parallel settings of a pipeline that can run locally."""
    (root / "pipeline.yml").write_text(text)
    pipeline = load_pipeline(root / "pipeline.yml")
    require_runnable(pipeline)
    parallel = pipeline.nodes["batch"].component.parallel
    assert parallel is not None
    return parallel


def test_every_field_of_a_job_is_read(root: Path) -> None:
    assert settings(root, PARALLEL) == Parallel(
        input="images",
        size=10,
        entry_script="score.py",
        arguments="--model ${{inputs.model}} --rate ${{inputs.rate}} --out ${{outputs.pictures}}",
        append_to="rows",
        item_errors=3,
        batch_errors=5,
        retries=4,
        timeout=30,
        concurrency=2,
        logging_level="WARNING",
    )
    assert problems(root, PARALLEL) == []


def test_code_and_environment_are_those_of_the_task(root: Path) -> None:
    settings(root, PARALLEL)
    component = load_pipeline(root / "pipeline.yml").nodes["batch"].component
    assert component.code == root / "src"
    assert component.environment.text == "azureml:sklearn-1.5:3"


def test_a_job_overrides_its_component(root: Path) -> None:
    assert problems(root, USE_PARALLEL) == []
    own = settings(root, USE_PARALLEL)
    assert (own.size, own.retries, own.timeout, own.append_to) == (3, 1, 60, "rows")
    component = root / "score" / "component.yml"
    component.write_text(PARALLEL_COMPONENT.replace("images: {type: uri_folder", "images: {type: mltable"))
    more = "    mini_batch_size: 10kb\n    retry_settings: {timeout: 5}\n    partition_keys: [store, brand]\n"
    text = (USE_PARALLEL + more).replace("type: uri_folder", "type: mltable").replace("./images", "./src")
    overridden = settings(root, text)
    assert (overridden.size, overridden.in_bytes, overridden.retries, overridden.timeout) == (10240, True, 2, 5)
    assert overridden.partition_keys == ("store", "brand")
    assert overridden.entry_script == "score.py"


def test_an_output_bound_to_a_pipeline_output_has_its_type(root: Path) -> None:
    text = PARALLEL.replace("rows: {type: uri_file, mode: rw_mount}", "rows: ${{parent.outputs.all}}")
    assert problems(root, text.replace("jobs:\n", "outputs: {all: {type: uri_file}}\njobs:\n")) == []
    (problem,) = problems(root, text.replace("jobs:\n", "outputs: {all: {type: uri_folder}}\njobs:\n"))
    assert (problem.code, dotted(problem.field)) == ("type_mismatch", "jobs.batch.task.append_row_to")


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("'7'", 7), ("1KB", 1 << 10), ("2mb", 2 << 20), ("1Gb", 1 << 30)])
def test_a_size_is_a_number_or_bytes_with_a_unit(root: Path, text: str, size: int) -> None:
    job = PARALLEL.replace('"10"', text).replace("images: {type: uri_folder", "images: {type: mltable")
    parallel = settings(root, job)
    assert (parallel.size, parallel.in_bytes) == (size, size > 7)


def test_an_optional_input_without_a_value_must_be_in_an_optional_expression(root: Path) -> None:
    component = PARALLEL_COMPONENT.replace("$[[--rate ${{inputs.rate}}]]", "--rate ${{inputs.rate}}")
    (root / "score" / "component.yml").write_text(component)
    (problem,) = problems(root, USE_PARALLEL)
    assert (problem.code, problem.fix) == ("optional_for_required", "put its flag into $[[ ]]")
    assert dotted(problem.field) == "jobs.batch.task.program_arguments"


def test_a_table_in_one_file_is_split_locally_only(root: Path) -> None:
    (root / "rows.csv").touch()
    text = PARALLEL.replace("images: {type: uri_folder, path: ./images", "images: {type: uri_file, path: ./rows.csv")
    (problem,) = problems(root, text)
    assert (problem.code, problem.severity, problem.scope, problem.line) == ("type_mismatch", "warning", "azure", 13)
    assert problem.value == "${{inputs.images}}"
    settings(root, text)
