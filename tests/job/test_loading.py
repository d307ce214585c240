"""Job files: positions, paths, and every finding at once."""

from pathlib import Path

import pytest

from azdistill.contracts.errors import SpecError
from azdistill.job.loading import load_job

GOOD = """\
task: conversation
data:
  training_data: ./data/train.jsonl
teacher:
  teachers:
    - model: DeepSeek-V3.2
      connection: deepseek
student:
  model: ./student
train:
  learning_rate: 2e-5
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text("{}\n")
    (tmp_path / "student").mkdir()
    return tmp_path


def refused(folder: Path, text: str | bytes) -> list[str]:
    path = folder / "job.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SpecError) as problem:
        load_job(path)
    return [line.removeprefix(str(path)) for line in str(problem.value).splitlines()]


def test_paths_are_relative_to_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "job.yaml").write_text(GOOD)
    monkeypatch.chdir("/")
    job = load_job(folder / "job.yaml")
    assert Path(job.data.training_data) == folder / "data/train.jsonl"
    assert job.train.learning_rate == 2e-5


def test_every_finding_at_once_each_with_its_line(folder: Path) -> None:
    text = GOOD.replace("2e-5", "0.2").replace("task: conversation", "task: chat") + "tranning: {}\n"
    lines = refused(folder, text)
    assert [line.split(":")[1] for line in lines] == ["1", "11", "12"]
    assert "task='chat'" in lines[0]
    assert "train.learning_rate=0.2" in lines[1]
    assert "tranning: unknown field" in lines[2]


def test_a_finding_in_the_short_form_names_the_line_the_user_wrote(folder: Path) -> None:
    text = (
        "task_type: conversation\n"
        "teacher_model: deepseek-v3\n"
        "student_model: ./student\n"
        "training_data: ./data/train.jsonl\n"
        "hyperparameters:\n"
        "  batch_size: 2\n"
        "  learning_rate: -1\n"
    )
    assert refused(folder, text) == [":7: hyperparameters.learning_rate=-1: must be greater than 0; did you mean 2e-5?"]


def test_absent_files_are_named_with_their_lines(folder: Path) -> None:
    assert refused(folder, GOOD.replace("train.jsonl", "trian.jsonl").replace("./student", "phi-5")) == [
        ":3: data.training_data='./data/trian.jsonl': no such file; did you mean ./data/train.jsonl?",
        ":9: student.model='phi-5': no such folder, and no model of the catalog; did you mean phi-4?",
    ]


def test_a_key_pasted_into_a_spec_is_not_repeated(folder: Path) -> None:
    pasted = "endpoint: https://x.example\n      key_variable: sk-secret-1\n      api_key: sk-secret-2"
    text = GOOD.replace("connection: deepseek", pasted)
    text_of_errors = "\n".join(refused(folder, text))
    assert "key_variable" in text_of_errors
    assert "api_key" in text_of_errors
    assert "sk-secret" not in text_of_errors


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "not a YAML mapping"),
        ("- a\n", "not a YAML mapping"),
        ("task: [a\n", ":2: not valid YAML"),
        ("task: a\ntask: b\n", ":2: not valid YAML"),
        (b"task: \xff\n", "not UTF-8 (byte 6)"),
    ],
)
def test_what_is_no_job_file(folder: Path, text: str | bytes, expected: str) -> None:
    (line,) = refused(folder, text)
    assert expected in line


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="No such file"):
        load_job(tmp_path / "job.yaml")
