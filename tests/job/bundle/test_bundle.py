"""A bundle has the same bytes from any folder, is complete or absent, and contains no path of the user's disk."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from azdistill.contracts.errors import InputError, SpecError
from azdistill.engine.pipeline.checks import pipeline_problems
from azdistill.engine.pipeline.loading import load_pipeline
from azdistill.job import chat_template
from azdistill.job.bundle import LEAST_LINKED, compile_job
from azdistill.job.loading import check_job, load_job
from azdistill.job.model import DistillationJob

SPEC = """\
name: small
task: conversation
data:
  training_data: ./rows/train.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek
student:
  model: ./student
"""

# Nodes that load the student before it is trained.
READERS = {"train", "predict_baseline"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    (tmp_path / "project/rows").mkdir(parents=True)
    (tmp_path / "project/student").mkdir()
    (tmp_path / "project/student/config.json").write_text("{}")
    (tmp_path / "project/rows/train.jsonl").write_text('{"messages": []}\n')
    (tmp_path / "project/job.yaml").write_text(SPEC)
    return tmp_path / "project/job.yaml"


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_job_gives_the_same_bytes_from_any_directory(spec: Path, tmp_path: Path) -> None:
    program = "import sys; from pathlib import Path; from azdistill.job.bundle import compile_job; "
    program += "from azdistill.job.loading import load_job; compile_job(load_job(sys.argv[1]), Path(sys.argv[2]))"
    for number, (cwd, name) in enumerate(
        [(spec.parent, "job.yaml"), (tmp_path, "project/job.yaml"), (Path("/"), spec)]
    ):
        environment = {**os.environ, "PYTHONHASHSEED": str(number), "TZ": f"UTC{number}"}
        environment["PYTHONPATH"] = str(Path(__file__).parents[3])
        command = [sys.executable, "-c", program, str(name), str(tmp_path / f"bundle-{number}")]
        subprocess.run(command, cwd=cwd, env=environment, check=True)
    first, second, third = (content(tmp_path / f"bundle-{number}") for number in range(3))
    assert first == second == third
    assert "components/train/code/azdistill/steps/train.py" in first
    assert not [name for name, data in first.items() if str(tmp_path).encode() in data]


def test_a_flag_of_the_trainer_changes_one_line_of_the_pipeline_and_nothing_else(spec: Path, tmp_path: Path) -> None:
    compile_job(load_job(spec), tmp_path / "a")
    spec.write_text(SPEC + "train:\n  learning_rate: 1e-4\n")
    compile_job(load_job(spec), tmp_path / "b")
    before, after = content(tmp_path / "a"), content(tmp_path / "b")
    assert [name for name in before if before[name] != after[name]] == ["pipeline.yml"]
    pairs = zip(before["pipeline.yml"].splitlines(), after["pipeline.yml"].splitlines(), strict=True)
    assert [new.strip() for old, new in pairs if old != new] == [b"learning_rate: 0.0001"]


def test_predict_with_vllm_has_the_environment_with_vllm(spec: Path, tmp_path: Path) -> None:
    compile_job(load_job(spec), tmp_path / "a")
    spec.write_text(SPEC + "predict:\n  engine: vllm\n")
    compile_job(load_job(spec), tmp_path / "b")
    before, after = content(tmp_path / "a"), content(tmp_path / "b")
    assert after.keys() - before.keys() == {"environments/vllm/conda.yml", "environments/vllm/environment.yml"}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"pipeline.yml", "components/predict/component.yml"}
    for name in changed:
        pairs = zip(before[name].splitlines(), after[name].splitlines(), strict=True)
        lines = {new.strip() for old, new in pairs if old != new}
        assert lines == {
            b"engine: vllm" if name == "pipeline.yml" else b"environment: file:../../environments/vllm/environment.yml"
        }
    assert pipeline_problems(load_pipeline(tmp_path / "b/pipeline.yml")) == []


def test_compiling_again_leaves_unchanged_files_untouched(spec: Path, tmp_path: Path) -> None:
    compile_job(load_job(spec), tmp_path / "bundle")
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    compile_job(load_job(spec), tmp_path / "bundle")
    assert stamps == {path: path.stat().st_mtime_ns for path in (tmp_path / "bundle").rglob("*") if path.is_file()}


def test_bundles_of_runs_share_large_files_until_these_change(spec: Path, tmp_path: Path) -> None:
    weights = spec.parent / "student/model.safetensors"
    weights.write_bytes(b"a" * LEAST_LINKED)
    copies = [tmp_path / name / "inputs/student/model.safetensors" for name in ("compiled", "run", "next")]
    compile_job(load_job(spec), tmp_path / "compiled")
    compile_job(load_job(spec), tmp_path / "run", link=True)
    assert [copy.samefile(weights) for copy in copies[:2]] == [False, True]
    weights.unlink()
    weights.write_bytes(b"b" * LEAST_LINKED)
    compile_job(load_job(spec), tmp_path / "next", link=True)
    assert [copy.read_bytes()[:1] for copy in copies] == [b"a", b"a", b"b"]
    compile_job(load_job(spec), tmp_path / "run", link=True)
    assert copies[1].samefile(weights)


def test_what_is_no_longer_part_of_the_job_leaves_the_bundle(spec: Path, tmp_path: Path) -> None:
    (spec.parent / "rows/valid.jsonl").write_text("{}\n")
    with_validation = SPEC.replace("train.jsonl\n", "train.jsonl\n  validation_data: ./rows/valid.jsonl\n")
    spec.write_text(with_validation)
    compile_job(load_job(spec), tmp_path / "bundle")
    assert (tmp_path / "bundle/inputs/validation_data.jsonl").is_file()
    spec.write_text(SPEC)
    compile_job(load_job(spec), tmp_path / "bundle")
    assert not (tmp_path / "bundle/inputs/validation_data.jsonl").exists()
    assert "validation_data" not in (tmp_path / "bundle/pipeline.yml").read_text()


def test_a_file_replaces_a_folder_of_rows_in_a_bundle(spec: Path, tmp_path: Path) -> None:
    bundle, text = tmp_path / "bundle", SPEC + "prepare: {test_fraction: 0.2}\n"
    spec.write_text(text.replace("./rows/train.jsonl", "./rows"))
    compile_job(load_job(spec), bundle)
    rows = (spec.parent / "rows" / "train.jsonl").rename(spec.parent / "rows" / "train")
    spec.write_text(text.replace("train.jsonl", "train"))
    compile_job(load_job(spec), bundle)
    assert (bundle / "inputs/training_data").read_bytes() == rows.read_bytes()


def test_a_folder_that_is_no_bundle_is_left_alone(spec: Path) -> None:
    with pytest.raises(InputError, match=r"contains '\w+(\.yaml)?', so it is not a bundle"):
        compile_job(load_job(spec), spec.parent)
    assert spec.is_file()


def test_a_job_built_in_python_names_its_missing_files(tmp_path: Path) -> None:
    job: dict[str, Any] = {
        "task": "qa",
        "data": {"training_data": str(tmp_path / "no.jsonl")},
        "teacher": {"teachers": [{"model": "m", "connection": "abc"}]},
        "student": {"model": "phi-4-mini"},
    }
    with pytest.raises(SpecError, match=r"data\.training_data=.*no\.jsonl': no such file"):
        compile_job(DistillationJob.model_validate(job), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_remote_data_stays_remote(spec: Path, tmp_path: Path) -> None:
    spec.write_text(SPEC.replace("./rows/train.jsonl", "azureml://datastores/workspaceblobstore/paths/rows.jsonl"))
    text = compile_job(load_job(spec), tmp_path / "bundle").read_text()
    assert "path: azureml://datastores/workspaceblobstore/paths/rows.jsonl" in text


@pytest.mark.parametrize(("name", "file"), [("chatml", "chatml.jinja"), ("./own.j2", "own.j2")])
def test_a_chat_template_is_an_input_of_the_nodes_that_load_the_untrained_student(
    spec: Path, tmp_path: Path, name: str, file: str
) -> None:
    (spec.parent / "own.j2").write_text("{{ messages }}")
    spec.write_text(SPEC + f"  chat_template: {name}\n")
    pipeline = load_pipeline(compile_job(load_job(spec), tmp_path / "bundle"))
    assert {name for name, node in pipeline.nodes.items() if "chat_template" in node.inputs} == READERS
    (copied,) = (tmp_path / "bundle/inputs").glob("chat_template.*")
    source = spec.parent / file if name.startswith("./") else Path(chat_template.__file__).with_name(file)
    assert (copied.suffix, copied.read_text()) == (source.suffix, source.read_text())
    assert pipeline_problems(pipeline) == []


def test_a_chat_template_that_is_not_there_is_a_problem_of_the_job(spec: Path) -> None:
    spec.write_text(SPEC + "  chat_template: ./own.j2\n")
    job, problems = check_job(spec)
    assert job is None
    assert [(problem.code, problem.field) for problem in problems] == [("file_not_found", ("student", "chat_template"))]


def test_no_hidden_file_and_no_link_that_leads_outside_is_copied(spec: Path, tmp_path: Path) -> None:
    student = spec.parent / "student"
    for name in (".git/config", ".env", "sub/.cache/token", "sub/merges.txt", "vocab.json"):
        (student / name).parent.mkdir(parents=True, exist_ok=True)
        (student / name).write_text("x")
    (student / "inside.txt").symlink_to("vocab.json")
    compile_job(load_job(spec), tmp_path / "bundle")
    copied = {
        path.relative_to(tmp_path / "bundle/inputs/student").as_posix()
        for path in (tmp_path / "bundle/inputs/student").rglob("*")
    }
    assert {"inside.txt", "sub/merges.txt", "vocab.json"} <= copied
    assert not any(part.startswith(".") for name in copied for part in name.split("/"))

    (tmp_path / "id_rsa").write_text("secret")
    (student / "notes.txt").symlink_to(tmp_path / "id_rsa")
    with pytest.raises(SpecError) as refused:
        load_job(spec)
    assert [(problem.code, problem.field) for problem in refused.value.problems] == [
        ("link_outside", ("student", "model"))
    ]


def test_links_inside_a_hugging_face_cache_are_copied(spec: Path, tmp_path: Path) -> None:
    snapshot, blobs = tmp_path / "models--a--b/snapshots/1f", tmp_path / "models--a--b/blobs"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for path in (spec.parent / "student").iterdir():
        (blobs / path.name).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(f"../../blobs/{path.name}")
    job = load_job(spec, {"student.model": str(snapshot)})
    compile_job(job, tmp_path / "bundle")
    assert sorted(path.name for path in (tmp_path / "bundle/inputs/student").iterdir()) == sorted(
        path.name for path in snapshot.iterdir()
    )
    assert not any(path.is_symlink() for path in (tmp_path / "bundle").rglob("*"))


def test_a_folder_of_rows_makes_its_input_and_port_a_folder(spec: Path, tmp_path: Path) -> None:
    rows = spec.parent / "rows"
    (rows / "_SUCCESS").write_text("")
    spec.write_text(SPEC.replace("./rows/train.jsonl", "./rows") + "prepare: {test_fraction: 0.2}\n")
    path = compile_job(load_job(spec), tmp_path / "bundle")
    pipeline = load_pipeline(path)
    assert pipeline_problems(pipeline) == []
    port = pipeline.nodes["prepare"].component.inputs["training_data"]
    value = pipeline.inputs["training_data"]
    assert (port.type, value.type, value.path) == ("uri_folder", "uri_folder", "./inputs/training_data")
    assert (path.parent / "inputs/training_data/train.jsonl").is_file()
    assert pipeline.nodes["prepare"].component.inputs["test_data"].type == "uri_file"


@pytest.mark.parametrize(
    ("address", "types", "expected"),
    [
        ("azureml://datastores/lake/paths/rows/", "", "uri_folder"),
        ("azureml://datastores/lake/paths/rows.jsonl", "", "uri_file"),
        ("azureml:rows:3", "{training_data: mltable}", "mltable"),
    ],
)
def test_the_type_of_remote_rows(spec: Path, tmp_path: Path, address: str, types: str, expected: str) -> None:
    data = f"training_data: {address}\n  types: {types or '{}'}"
    spec.write_text(SPEC.replace("training_data: ./rows/train.jsonl", data))
    pipeline = load_pipeline(compile_job(load_job(spec), tmp_path / "bundle"))
    assert pipeline_problems(pipeline) == []
    assert pipeline.inputs["training_data"].type == expected
    assert pipeline.nodes["prepare"].component.inputs["training_data"].type == expected


def test_answers_may_be_a_folder(spec: Path, tmp_path: Path) -> None:
    spec.write_text(SPEC.replace("teacher:\n", "teacher:\n  completions: ./rows\n"))
    pipeline = load_pipeline(compile_job(load_job(spec), tmp_path / "bundle"))
    assert pipeline_problems(pipeline) == []
    assert pipeline.inputs["completions"].type == "uri_folder"
    assert pipeline.nodes["teacher"].component.inputs["answers"].type == "uri_folder"


def test_a_link_in_a_folder_of_rows_that_leads_outside_is_a_problem(spec: Path, tmp_path: Path) -> None:
    (spec.parent / "rows/more.jsonl").symlink_to(spec)
    spec.write_text(SPEC.replace("./rows/train.jsonl", "./rows"))
    with pytest.raises(SpecError, match=r"data\.training_data='\S+': more\.jsonl is a link to a file outside"):
        compile_job(load_job(spec), tmp_path / "bundle")
