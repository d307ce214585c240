"""Valid pipelines of sweeps, parallel and nested jobs, made wrong in one place. tests/corpus has more valid ones."""

from pathlib import Path

import pytest

from azdistill.engine.pipeline.checks import require_runnable, validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.problems import dotted
from tests.engine.pipeline.conftest import PipelineFolder
from tests.engine.pipeline.examples import HEAD, STYLE_FILES, STYLES
from tests.engine.pipeline.wrong import write_files


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    write_files(tmp_path, STYLE_FILES)
    return tmp_path / "pipeline.yml"


def test_a_valid_pipeline_can_run_locally(files: PipelineFolder) -> None:
    assert files.problems() == []
    require_runnable(load_pipeline(files.pipeline))


@pytest.mark.parametrize("optional", ["true", "'true'", "1", "'yes'"])
def test_an_optional_input_may_be_any_value_that_the_client_reads_as_true(files: PipelineFolder, optional: str) -> None:
    """Azure's client refuses a job without a value for the input otherwise."""
    files.edit("prepare.yml", "seed: {type: integer, default: 0}", f"seed: {{type: integer, optional: {optional}}}")
    files.edit("prepare.yml", "--seed ${{inputs.seed}}", "$[[--seed ${{inputs.seed}}]]")
    files.edit("pipeline.yml", "      seed: ${{parent.inputs.seed}}\n", "")
    assert [problem for problem in files.problems() if problem.severity == "error"] == []


@pytest.mark.parametrize("style", STYLES)
def test_sweep_parallel_and_nested_jobs_can_run_locally(pipeline: Path, style: str) -> None:
    pipeline.write_text(HEAD + STYLES[style])
    assert validate_file(pipeline) == []
    require_runnable(load_pipeline(pipeline))


def test_an_unknown_output_of_a_sweep_is_a_problem(pipeline: Path) -> None:
    pipeline.write_text(HEAD + STYLES["sweep"].replace("tune.outputs.scores", "tune.outputs.score"))
    (problem,) = validate_file(pipeline)
    assert (problem.code, problem.value) == ("unknown_output", "${{parent.jobs.tune.outputs.score}}")
    assert problem.fix == "did you mean 'scores'?"


def edit_inner(pipeline: Path, *changes: tuple[str, str]) -> Path:
    """Write the nested pipeline with changes in the inner file, and return that file."""
    pipeline.write_text(HEAD + STYLES["nested pipeline"])
    inner = pipeline.parent / "components" / "inner.yml"
    text = STYLE_FILES["components/inner.yml"]
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    inner.write_text(text)
    return inner


def test_a_problem_inside_a_nested_pipeline_is_in_its_file(pipeline: Path) -> None:
    inner = edit_inner(pipeline, ("parent.inputs.rows", "parent.inputs.row"))
    (problem,) = validate_file(pipeline)
    assert (problem.code, problem.file, problem.line) == ("unknown_input", inner, 13)
    assert problem.fix == "did you mean 'rows'?"


def test_a_declared_number_does_not_fit_a_string(pipeline: Path) -> None:
    edit_inner(
        pipeline,
        ("inputs:\n", "inputs:\n  n: {type: number, default: 1}\n"),
        ("inputs: {rows:", 'inputs: {title: "${{parent.inputs.n}}", rows:'),
    )
    (problem,) = validate_file(pipeline)
    assert (problem.code, dotted(problem.field)) == ("type_mismatch", "jobs.fit.inputs.title")


def test_a_pipeline_that_contains_itself_is_a_problem(pipeline: Path) -> None:
    edit_inner(
        pipeline, ("type: command", "type: pipeline"), ("./score", "./inner"), ("outputs: {scores:", "outputs: {model:")
    )
    (problem,) = validate_file(pipeline)
    assert (problem.code, dotted(problem.field)) == ("recursive_pipeline", "jobs.fit.component")
    assert problem.value == "./inner.yml"


def test_a_boolean_is_a_choice_of_text(files: PipelineFolder) -> None:
    files.edit("train.yml", "[fast, exact]", '["True", "False"]')
    files.edit("pipeline.yml", "epochs: 3", "epochs: 3\n      mode: true")
    assert [(problem.code, problem.severity) for problem in files.problems()] == [("unquoted_text", "warning")]
