"""Problems of wrong pipeline files: code, location, field and value."""

from pathlib import Path

import pytest

from azdistill.engine.errors import PipelineError
from azdistill.engine.pipeline.checks import pipeline_problems, require_runnable, validate_file
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.problems import dotted
from tests.engine.pipeline.conftest import PipelineFolder
from tests.engine.pipeline.wrong import (
    AREAS,
    COMMAND_FILES,
    COMMAND_MISTAKES,
    A,
    B,
    P,
    as_case,
    find_problems,
    mistakes_found,
    write_files,
)

CASES = [(area, name) for area in AREAS for name in AREAS[area].cases]
COMMAND_CASES = AREAS["command jobs"].cases
RAW, ROWS = "${{parent.inputs.raw}}", "${{parent.jobs.prepare.outputs.rows}}"


def edit(files: PipelineFolder, *names: str) -> None:
    """Make the changes of several cases."""
    for name in names:
        case = COMMAND_CASES[name]
        files.edit(case.file, case.before, case.after)


@pytest.mark.parametrize(("area", "name"), CASES)
def test_a_wrong_pipeline_gives_its_problem(tmp_path: Path, area: str, name: str) -> None:
    case = AREAS[area].cases[name]
    problems = find_problems(tmp_path, AREAS[area], case)
    assert tuple(case)[3:] in [as_case(problem, tmp_path) for problem in problems]


def test_the_mistakes_that_the_client_does_not_find_are_found() -> None:
    assert len(COMMAND_MISTAKES) == 14
    assert mistakes_found() == list(COMMAND_MISTAKES)


@pytest.mark.parametrize("area", AREAS)
def test_the_files_that_are_made_wrong_are_valid(tmp_path: Path, area: str) -> None:
    write_files(tmp_path, AREAS[area].files)
    assert pipeline_problems(load_pipeline(tmp_path / P)) == []


LOCAL_CASES = [(area, name) for area, name in CASES if AREAS[area].cases[name].scope == "local"]


@pytest.mark.parametrize(("area", "name"), LOCAL_CASES)
def test_a_problem_of_a_local_run_is_none_of_azure(tmp_path: Path, area: str, name: str) -> None:
    find_problems(tmp_path, AREAS[area], AREAS[area].cases[name])
    assert validate_file(tmp_path / P) == []
    with pytest.raises(PipelineError):
        require_runnable(load_pipeline(tmp_path / P))


@pytest.mark.parametrize("name", [name for name, case in COMMAND_CASES.items() if case.severity == "warning"])
def test_a_warning_does_not_prevent_a_local_run(files: PipelineFolder, name: str) -> None:
    edit(files, name)
    assert [problem.severity for problem in files.problems()] == ["warning"]
    require_runnable(load_pipeline(files.pipeline))


def test_an_unquoted_number_for_a_string_is_a_warning(files: PipelineFolder) -> None:
    files.edit(B, "enum: [fast, exact], optional: true", "default: fast")
    files.edit(P, "epochs: 3", "epochs: 3\n      mode: 1")
    (problem,) = files.problems()
    assert (problem.code, problem.severity, problem.line, problem.value) == ("unquoted_text", "warning", 26, 1)
    assert problem.field == ("jobs", "train", "inputs", "mode")


def test_only_a_mounted_output_or_a_path_per_run_may_be_written_by_two_jobs(files: PipelineFolder) -> None:
    output = "{{type: uri_folder, mode: {}, path: 'azureml://datastores/blob/paths/{}'}}"
    lines = [f"    outputs: {{{name}: {output.format('MODE', 'FOLDER')}}}" for name in ("rows", "model")]
    files.edit(P, "    component: ./prepare.yml", f"    component: ./prepare.yml\n{lines[0]}")
    files.edit(P, "    outputs:\n      model: ${{parent.outputs.model}}", lines[1])
    files.edit(P, "outputs:\n  model: {type: uri_folder}\n", "")
    text = files.pipeline.read_text()
    files.write(P, text.replace("MODE", "upload").replace("FOLDER", "store"))
    (problem,) = files.problems()
    assert (problem.code, problem.line, dotted(problem.field)) == ("shared_output", 26, "jobs.train.outputs.model")
    assert "jobs.prepare.outputs.rows writes to azureml://datastores/blob/paths/store" in problem.message
    for mode, folder in (("rw_mount", "store"), ("upload", "${{name}}/store")):
        files.write(P, text.replace("MODE", mode).replace("FOLDER", folder))
        assert files.problems() == []


def test_all_problems_are_reported_by_file_and_line(files: PipelineFolder) -> None:
    edit(files, "unknown input", "shm_size", "missing code", "missing data", "a cycle", "no choice of the enum")
    assert files.summary() == [
        ("missing_file", P, 5),
        ("cycle", P, 11),
        ("type_mismatch", P, 15),
        ("wrong_format", P, 21),
        ("invalid_choice", P, 26),
        ("unknown_input", P, 27),
        ("missing_file", A, 8),
    ]
    with pytest.raises(PipelineError) as error:
        require_runnable(load_pipeline(files.pipeline))
    errors = [problem for problem in files.problems() if problem.severity == "error"]
    assert list(error.value.problems) == errors
    assert str(error.value).splitlines() == [str(problem) for problem in errors]


def test_a_registered_component_without_a_version_is_a_warning(files: PipelineFolder) -> None:
    files.edit(P, "./train.yml", "azureml:train@latest")
    (problem,) = files.problems()
    assert (problem.code, problem.severity, problem.line) == ("unpinned_version", "warning", 19)
    assert problem.value == "azureml:train@latest"


def test_one_mistake_is_one_problem(files: PipelineFolder) -> None:
    """An unreadable component, an unknown reference or an unknown type of job causes no further problems."""
    files.edit(P, "./prepare.yml", "./nowhere.yml")
    assert files.summary() == [("unreadable_file", P, 13)]
    files.edit(P, "./nowhere.yml", "./prepare.yml")
    files.edit(P, ROWS, "${{rows}}")
    assert files.summary() == [("invalid_reference", P, 24)]
    files.edit(P, "${{rows}}", ROWS)
    files.edit(P, "type: command", "type: comand")
    assert files.summary() == [("invalid_choice", P, 12)]


def test_a_problem_of_a_component_that_two_jobs_use_is_reported_once(files: PipelineFolder) -> None:
    files.edit(A, "code: ./src", "code: ./source")
    files.edit(P, "jobs:\n", f'jobs:\n  again: {{component: ./prepare.yml, inputs: {{raw: "{RAW}"}}}}\n')
    assert files.summary() == [("missing_file", A, 8)]


def test_a_problem_of_azure_only_does_not_prevent_a_local_run(files: PipelineFolder) -> None:
    edit(files, "no compute", "rw_mount of an input", "mode of an output", "no environment")
    assert {problem.scope for problem in files.problems()} == {"azure"}
    require_runnable(load_pipeline(files.pipeline))


def test_as_many_processes_as_gpus_are_valid(files: PipelineFolder) -> None:
    files.edit(P, "Standard_NC24ads_A100_v4", "Standard_NC48ads_A100_v4")
    files.edit(P, "process_count_per_instance: 1", "process_count_per_instance: 2")
    assert files.problems() == []


@pytest.mark.parametrize(
    ("distribution", "reason"),
    [
        ("", "there is no distribution"),
        (
            "    distribution: {type: tensorflow, worker_count: 2}\n",
            "only Azure ML starts distribution.type='tensorflow'",
        ),
    ],
)
def test_instances_that_the_local_engine_does_not_start_are_a_warning(
    files: PipelineFolder, distribution: str, reason: str
) -> None:
    files.edit(P, "shm_size: 8g}", "shm_size: 8g, instance_count: 2}")
    files.edit(P, "    distribution: {type: pytorch, process_count_per_instance: 1}\n", distribution)
    assert files.problems() == []
    pipeline = load_pipeline(files.pipeline)
    (problem,) = pipeline_problems(pipeline)
    assert (problem.code, problem.severity, problem.scope, problem.line) == ("ignored_field", "warning", "local", 21)
    assert (dotted(problem.field), problem.value) == ("jobs.train.resources.instance_count", 2)
    assert reason in problem.message
    require_runnable(pipeline)


@pytest.mark.parametrize(
    ("text", "code", "line", "reason"),
    [
        ("", "not_a_mapping", 0, ""),
        ("- a\n", "not_a_mapping", 0, ""),
        ("jobs: [\n", "invalid_yaml", 2, "did not find expected node content"),
        ("? [a]\n: 1\n", "invalid_yaml", 1, "a key must be text"),
        ("a: {<<: b}\n", "invalid_yaml", 1, "<< must merge a mapping"),
        ("a: *b\n", "invalid_yaml", 1, "found undefined alias"),
        ("a: &b [*b]\n", "invalid_yaml", 0, "an alias contains itself"),
        (f"a: {'[' * 5000}{']' * 5000}\n", "invalid_yaml", 0, "nested too deeply"),
        ("a: !!int x\n", "invalid_yaml", 1, "'x' is not of type int"),
        ("tags: !!set {me}\n", "invalid_yaml", 1, "a !!set is no value of a job"),
    ],
)
def test_a_file_that_is_not_a_yaml_mapping_is_a_problem(
    files: PipelineFolder, text: str, code: str, line: int, reason: str
) -> None:
    files.write(P, text)
    (problem,) = files.problems()
    assert (problem.code, problem.file, problem.line) == (code, files.pipeline, line)
    assert reason in problem.message


def test_a_missing_file_and_other_bytes_than_utf8_are_problems(files: PipelineFolder) -> None:
    files.pipeline.unlink()
    assert files.summary() == [("unreadable_file", P, 0)]
    files.pipeline.write_bytes(b"\xff")
    assert files.summary() == [("not_utf8", P, 0)]


def test_a_secret_in_a_wrong_field_is_not_shown(tmp_path: Path) -> None:
    token = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9"  # the beginning of every token of Entra ID
    text = COMMAND_FILES[P].replace("epochs: 3", f"epochs: {token}")
    write_files(tmp_path, {**COMMAND_FILES, P: text})
    (problem,) = pipeline_problems(load_pipeline(tmp_path / P))
    assert (problem.code, problem.value) == ("wrong_type", None)
    assert token not in str(problem)


def test_the_inputs_and_outputs_of_all_components_have_a_limit(tmp_path: Path) -> None:
    """A component file may be large, and every job may name it."""
    inputs = "".join(f"  a{number}: {{type: string, optional: true}}\n" for number in range(2000))
    component = f"type: command\nname: large\ninputs:\n{inputs}command: echo\nenvironment: azureml:x:1\n"
    jobs = "".join(f"  n{number}: {{type: command, component: ./large.yml}}\n" for number in range(60))
    write_files(
        tmp_path,
        {"large.yml": component, P: f"type: pipeline\nsettings: {{default_compute: azureml:a}}\njobs:\n{jobs}"},
    )
    pipeline = load_pipeline(tmp_path / P)
    assert [(problem.code, dotted(problem.field)) for problem in pipeline_problems(pipeline)] == [
        ("too_many_ports", "jobs")
    ]
    assert len(pipeline.nodes) == 51


def test_a_component_file_is_read_once_by_whatever_path_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "link").symlink_to(".")
    paths = ["./c.yml", "a/../c.yml", "link/c.yml", '"c.yml\\0"']
    jobs = "".join(f"  n{number}: {{component: {path}}}\n" for number, path in enumerate(paths))
    component = "type: command\nname: c\ncommand: echo\nenvironment: azureml:x:1\n"
    write_files(
        tmp_path, {"c.yml": component, P: f"type: pipeline\nsettings: {{default_compute: azureml:a}}\njobs:\n{jobs}"}
    )
    pipeline = load_pipeline(tmp_path / P)
    assert [(problem.code, dotted(problem.field)) for problem in pipeline.problems] == [
        ("invalid_yaml", "jobs.n3.component")
    ]
    assert len({id(node.component) for node in pipeline.nodes.values()}) == 2
