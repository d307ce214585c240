"""What is wrong in a parallel job or component is told before it runs, with file, line and what to do."""

import json
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import PipelineError
from azdistill.engine.pipeline.documents import Parallel
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.engine.pipeline.validation import check, validate
from azdistill.engine.yaml_document import read_document

JOB = """\
type: pipeline
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    mini_batch_size: "10"
    mini_batch_error_threshold: 5
    error_threshold: 3
    logging_level: WARNING
    max_concurrency_per_instance: 2
    resources: {instance_count: 2}
    retry_settings: {max_retries: 4, timeout: 30}
    input_data: ${{inputs.images}}
    inputs:
      images: {type: uri_folder, path: ./images, mode: ro_mount}
      model: {type: uri_folder, path: ./images}
      rate: 0.5
    outputs:
      rows: {type: uri_file, mode: rw_mount}
      pictures: {type: uri_folder}
    task:
      type: run_function
      code: ./src
      entry_script: score.py
      environment: azureml:sklearn-1.5:3
      program_arguments: --model ${{inputs.model}} --rate ${{inputs.rate}} --out ${{outputs.pictures}}
      append_row_to: ${{outputs.rows}}
"""

USE = """\
type: pipeline
settings: {default_compute: "azureml:cpu"}
jobs:
  batch:
    type: parallel
    component: ./score/component.yml
    inputs: {images: {type: uri_folder, path: ./images}}
"""

COMPONENT = """\
type: parallel
name: score
inputs:
  images: {type: uri_folder}
  rate: {type: number, optional: true}
outputs:
  rows: {type: uri_file}
input_data: ${{inputs.images}}
mini_batch_size: "3"
retry_settings: {max_retries: 1}
task:
  type: run_function
  code: ../src
  entry_script: score.py
  environment: azureml:sklearn-1.5:3
  program_arguments: $[[--rate ${{inputs.rate}}]]
  append_row_to: ${{outputs.rows}}
"""


KINDS = ("uri_file", "uri_folder")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("images/a.png", "src/score.py", "src/deep/other.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "score").mkdir()
    (tmp_path / "score" / "component.yml").write_text(COMPONENT)
    return tmp_path


def told(root: Path, text: str) -> list[str]:
    """Findings as they are printed, without the folder."""
    (root / "pipeline.yml").write_text(text)
    return [str(one).replace(f"{root}/", "") for one in validate(root / "pipeline.yml")]


def settings(root: Path, text: str) -> Parallel:
    (root / "pipeline.yml").write_text(text)
    pipeline = load_pipeline(root / "pipeline.yml")
    check(pipeline)
    found = pipeline.nodes["batch"].component.parallel
    assert found is not None
    return found


def test_a_job_is_read_with_all_that_it_says(root: Path) -> None:
    assert settings(root, JOB) == Parallel(
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
    assert told(root, JOB) == []


def test_code_and_environment_are_those_of_the_task(root: Path) -> None:
    settings(root, JOB)
    component = load_pipeline(root / "pipeline.yml").nodes["batch"].component
    assert component.code == root / "src"
    assert component.environment.text == "azureml:sklearn-1.5:3"


def test_what_a_job_says_goes_over_its_component(root: Path) -> None:
    assert told(root, USE) == []
    ours = settings(root, USE)
    assert (ours.size, ours.retries, ours.timeout, ours.append_to) == (3, 1, 60, "rows")
    component = root / "score" / "component.yml"
    component.write_text(COMPONENT.replace("images: {type: uri_folder", "images: {type: mltable"))
    more = "    mini_batch_size: 10kb\n    retry_settings: {timeout: 5}\n    partition_keys: [store, brand]\n"
    theirs = settings(root, (USE + more).replace("type: uri_folder", "type: mltable").replace("./images", "./src"))
    assert (theirs.size, theirs.in_bytes, theirs.retries, theirs.timeout) == (10240, True, 2, 5)
    assert theirs.partition_keys == ("store", "brand")
    assert theirs.entry_script == "score.py"


def test_an_output_that_goes_out_of_the_pipeline_is_of_the_type_that_it_has_there(root: Path) -> None:
    text = JOB.replace("rows: {type: uri_file, mode: rw_mount}", "rows: ${{parent.outputs.all}}")
    file, folder = (text.replace("jobs:\n", f"outputs: {{all: {{type: {kind}}}}}\njobs:\n") for kind in KINDS)
    assert told(root, file) == []
    (finding,) = told(root, folder)
    assert finding.endswith("the rows go into one file, and outputs.rows is a uri_folder; give it type: uri_file")


@pytest.mark.parametrize(("text", "size"), [("7", 7), ("'7'", 7), ("1KB", 1 << 10), ("2mb", 2 << 20), ("1Gb", 1 << 30)])
def test_a_size_is_a_number_or_bytes_with_a_unit(root: Path, text: str, size: int) -> None:
    job = JOB.replace('"10"', text).replace("images: {type: uri_folder", "images: {type: mltable")
    found = settings(root, job)
    assert (found.size, found.in_bytes) == (size, size > 7)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ('"10"', "ten",
         ("6: jobs.batch.mini_batch_size='ten': expected a number of files such as 10, or a size such as "
         "100kb, 10mb or 1gb for a part of a table")),
        ('"10"', "0",
         ("6: jobs.batch.mini_batch_size=0: expected a number of files such as 10, or a size such as 100kb, "
         "10mb or 1gb for a part of a table")),
        ('"10"', "10kb",
         "6: jobs.batch.mini_batch_size='10kb': the files of a uri_folder are counted; give a number such as 10"),
        ("threshold: 5", "threshold: -2",
         "7: jobs.batch.mini_batch_error_threshold=-2: expected a whole number of at least -1"),
        ("threshold: 3", "threshold: few",
         "8: jobs.batch.error_threshold='few': expected a whole number of at least -1"),
        ("WARNING", "LOUD", "9: jobs.batch.logging_level='LOUD': expected one of INFO, WARNING, DEBUG"),
        ("instance: 2", "instance: 0",
         "10: jobs.batch.max_concurrency_per_instance=0: expected a whole number of at least 1"),
        ("retries: 4", "retries: -1",
         "12: jobs.batch.retry_settings.max_retries=-1: expected a whole number of at least 0"),
        ("timeout: 30", "timeout: 0",
         "12: jobs.batch.retry_settings.timeout=0: expected a whole number of at least 1 and at most 259200"),
        ("    input_data: ${{inputs.images}}\n", "",
         "4: jobs.batch.input_data: required, ${{inputs.NAME}} of the input to split"),
        ("input_data: ${{inputs.images}}", "input_data: images",
         "13: jobs.batch.input_data='images': expected ${{inputs.NAME}}, one of the job's inputs"),
        ("${{inputs.images}}", "${{inputs.image}}",
         "13: jobs.batch.input_data='${{inputs.image}}': the job has no such input; did you mean 'images'?"),
        ("${{inputs.images}}", "${{inputs.rate}}",
         "13: jobs.batch.input_data='${{inputs.rate}}': inputs.rate is of type number; expected files or a table"),
        ("      type: run_function\n", "", "21: jobs.batch.task.type: required: run_function"),
        ("run_function", "command", "22: jobs.batch.task.type='command': expected run_function"),
        ("      code: ./src\n", "", "21: jobs.batch.task.code: required, the folder of the entry script"),
        ("./src", "./srcs", "23: jobs.batch.task.code='./srcs': no such folder beside this file"),
        ("      entry_script: score.py\n", "",
         "21: jobs.batch.task.entry_script: required, the Python file in code with init() and run(mini_batch)"),
        ("entry_script: score.py", "entry_script: scor.py",
         ("24: jobs.batch.task.entry_script='scor.py': no such file in 'src', the code of this task; did you mean "
         "'score.py'?")),
        ("      environment: azureml:sklearn-1.5:3\n", "",
         "21: jobs.batch.task.environment: required on Azure ML, and not given"),
        ("entry_script:", "entry_scrip:",
         ("24: warning: jobs.batch.task.entry_scrip: unknown field, Azure ML ignores it; did you "
         "mean 'entry_script'?")),
        ("    mini_batch_size:", "    minibatch_size:",
         ("6: warning: jobs.batch.minibatch_size: unknown field, Azure ML ignores "
         "it; did you mean 'mini_batch_size'?")),
        ("to: ${{outputs.rows}}", "to: ${{outputs.row}}",
         "27: jobs.batch.task.append_row_to='${{outputs.row}}': the job has no such output; did you mean 'rows'?"),
        ("to: ${{outputs.rows}}", "to: ${{outputs.pictures}}", ("27: jobs.batch.task.append_row_to="
         "'${{outputs.pictures}}': the rows go into one file, and outputs.pictures is a uri_folder; give it "
         "type: uri_file")),
        ("to: ${{outputs.rows}}", "to: rows.txt",
         "27: jobs.batch.task.append_row_to='rows.txt': expected ${{outputs.NAME}}, one of the job's outputs"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_job_is_told(root: Path, before: str, after: str, expected: str) -> None:
    assert before in JOB
    assert f"pipeline.yml:{expected}" in told(root, JOB.replace(before, after, 1))


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("${{inputs.images}}", "${{inputs.image}}",
         ("8: input_data: it asks for inputs.image, which isn't declared; did "
         "you mean 'inputs.images'?")),
        ("to: ${{outputs.rows}}", "to: ${{outputs.row}}",
         ("17: task.append_row_to: it asks for outputs.row, which isn't "
         "declared; did you mean 'outputs.rows'?")),
        ("--rate ${{inputs.rate}}", "--rate ${{inputs.rates}}",
         ("16: task.program_arguments: it asks for inputs.rates, "
         "which isn't declared; did you mean 'inputs.rate'?")),
        ("score.py", "../score.py",
         ("14: task.entry_script='../score.py': no such file in 'score/../src', the code of this task; did you mean "
         "'score.py'?")),
        ("task:\n", "tasks:\n", "1: task: required, a mapping with type, code, entry_script and environment"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_component_is_told_in_its_file(root: Path, before: str, after: str, expected: str) -> None:
    assert before in COMPONENT
    (root / "score" / "component.yml").write_text(COMPONENT.replace(before, after, 1))
    assert f"score/component.yml:{expected}" in told(root, USE)


def test_an_optional_input_without_a_value_leaves_no_hole_in_the_arguments(root: Path) -> None:
    bare = COMPONENT.replace("$[[--rate ${{inputs.rate}}]]", "--rate ${{inputs.rate}}")
    (root / "score" / "component.yml").write_text(bare)
    (finding,) = told(root, USE)
    assert finding.endswith("inputs.rate is optional and has no value; put its flag into $[[ ]]")


def test_a_table_in_one_file_is_for_this_machine_only(root: Path) -> None:
    (root / "rows.csv").touch()
    text = JOB.replace("images: {type: uri_folder, path: ./images", "images: {type: uri_file, path: ./rows.csv")
    (finding,) = told(root, text)
    assert finding == (
        "pipeline.yml:13: warning: jobs.batch.input_data='${{inputs.images}}': Azure ML splits a uri_folder or an "
        "mltable; make it one of them"
    )
    settings(root, text)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("run_function", "model", "task.type='model': runs on Azure ML only; the local engine runs run_function"),
        ('"10"', "${{parent.inputs.size}}",
         "mini_batch_size='${{parent.inputs.size}}': Azure ML fills it in; write the value itself for a run here"),
        ("./src", "azureml:code:1", "task.code='azureml:code:1': lies on Azure ML only; name a local folder"),
    ],
)  # fmt: skip
def test_what_only_azure_runs_is_refused_by_a_local_run(root: Path, before: str, after: str, expected: str) -> None:
    text = JOB.replace("jobs:\n", "inputs: {size: 3}\njobs:\n").replace(before, after, 1)
    assert told(root, text) == []
    with pytest.raises(PipelineError) as found:
        check(load_pipeline(root / "pipeline.yml"))
    assert str(found.value).endswith(f"jobs.batch.{expected}")


ODD: list[Any] = [None, ["a"], {"a": {"b": 1}}, 1.5, "${{parent.inputs.x}}", "${{inputs.nothing}}"]


@pytest.mark.parametrize("file", ["pipeline.yml", "score/component.yml"])
def test_validate_never_raises_whatever_stands_anywhere(root: Path, file: str) -> None:
    """Every value of a job and of a component, replaced by values of every kind."""
    (root / "pipeline.yml").write_text(JOB if file == "pipeline.yml" else USE)
    whole = read_document(root / file, PipelineError, "file").value
    for place in _places(whole):
        for odd in ODD:
            (root / file).write_text(json.dumps(_replaced(whole, place, odd)))
            assert all(str(finding) for finding in validate(root / "pipeline.yml"))


def _places(value: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else []
    return [place] * bool(place) + [found for key, part in inner for found in _places(part, (*place, key))]


def _replaced(value: Any, place: tuple[Any, ...], odd: Any) -> Any:
    return odd if not place else {**value, place[0]: _replaced(value[place[0]], place[1:], odd)}
