"""azdistill validate: a valid job, bundle or pipeline, or all problems at once, in three formats."""

import json
import shutil
from pathlib import Path

import pytest

from azdistill.cli import validate
from azdistill.cli.problems import as_annotation
from azdistill.engine.problems import Problem
from tests.cli.conftest import JOB, Command, Writer, command, folders

WRONG_JOB = JOB.replace("task: conversation", "task: talk") + "train:\n  learning_rate: 7\n"


def test_a_valid_job_and_its_rows(azdistill: Command, job: Path) -> None:
    done = azdistill("validate", job)
    assert (done.code, done.err) == (0, "")
    first, *files = done.out.splitlines()
    assert first == f"{job}: valid job small: DeepSeek-V3.2 -> {job.parent / 'student'} (conversation)"
    rows = "JSONL, 1 row (prompt + completion), 1 with a reference answer"
    assert files == [f"  training_data: rows.jsonl: {rows}", f"  test_data: test.jsonl: {rows}"]


def test_set_replaces_a_field_of_a_job_or_an_input_of_a_pipeline(
    azdistill: Command, job: Path, pipeline: Writer
) -> None:
    wrong = azdistill("validate", job, "--set", "train.learning_rate=7")
    assert (wrong.code, "train.learning_rate='7': must be at most" in wrong.err) == (2, True)
    assert "must be NAME=VALUE of a field" in azdistill("validate", job, "--set", "inputs.rows=7").err
    path = pipeline({"a": command("true")}, inputs={"n": 1})
    assert azdistill("validate", path, "--set", "inputs.n=3").code == 0
    assert "inputs.n='x': " in azdistill("validate", path, "--set", "inputs.n=x").err
    assert "must be inputs.NAME=VALUE" in azdistill("validate", path, "--set", "n=3").err


def test_a_folder_with_a_job_file_is_that_job(azdistill: Command, job: Path) -> None:
    assert azdistill("validate", job.parent).out == azdistill("validate", job).out


@pytest.mark.parametrize(
    ("rows", "severity", "code", "words"),
    [
        ("{broken\n", "error", "too_many_rejects", "1 of 1 rows"),
        ("Frage,Antwort\na,b\n", "error", "too_many_rejects", "1 of 1 rows"),
        ('{"prompt": "Hi", "completion": "a", "rejected": "b"}\n', "warning", "unused_fields", "rejected (1 rows)"),
        ('{"prompt": "Hi"}\n', "warning", "no_references", "no test row"),
        ('{"prompt": "Hi"}\n' * 99 + "{broken\n", "warning", "rejected_rows", "broken_json 1"),
    ],
)
def test_the_rows_of_a_job_are_checked(
    azdistill: Command, job: Path, rows: str, severity: str, code: str, words: str
) -> None:
    for name in ("rows.jsonl", "test.jsonl"):
        job.with_name(name).write_text(rows + "\n" * (name == "test.jsonl"))
    done = azdistill("validate", job, "--format", "json")
    assert done.code == (2 if severity == "error" else 0)
    problem = next(problem for problem in json.loads(done.out) if problem["code"] == code)
    assert (problem["severity"], problem["file"]) == (severity, str(job))
    assert words in problem["message"]


@pytest.mark.parametrize("name", ["test_data", "validation_data"])
def test_held_out_data_that_is_the_training_data_is_an_error(azdistill: Command, job: Path, name: str) -> None:
    job.with_name("other").mkdir()
    job.write_text(JOB.replace("test_data: ./test.jsonl", f"{name}: ./other/../rows.jsonl"))
    done = azdistill("validate", job)
    assert done.code == 2
    assert f"{job}:5: data.{name}='./other/../rows.jsonl': is also the training data" in done.err
    job.write_text(JOB.replace("test_data: ./test.jsonl", f"{name}: ./copy.jsonl"))
    shutil.copy(job.with_name("rows.jsonl"), job.with_name("copy.jsonl"))
    assert f"{job}:5: data.{name}='./copy.jsonl': is also the training data" in azdistill("validate", job).err


@pytest.mark.parametrize(
    ("columns", "test_rows", "errors"),
    [
        (
            "{prompt: q_text, completion: agent_repl}",
            None,
            ["completion='agent_repl': {}; did you mean 'agent_reply'?"],
        ),
        ("{prompt: nope, completion: agent_reply}", None, ["prompt='nope': {}; the rows have 'agent_reply', 'q_text'"]),
        ("{prompt: q_text, completion: reply}", '{"q_text": "Hi", "reply": "a"}\n', []),
        ("{prompt: q_text, completion: nope}", "{broken\n", ["completion='nope': {}; the rows have"]),
    ],
)
def test_columns_that_no_row_has_are_errors(
    azdistill: Command, job: Path, columns: str, test_rows: str | None, errors: list[str]
) -> None:
    """Rows to train on may lack the answers that the test rows have."""
    training_rows = '{"q_text": "Hi", "agent_reply": "a"}\n'
    job.with_name("rows.jsonl").write_text(training_rows)
    job.with_name("test.jsonl").write_text(test_rows or training_rows)
    job.write_text(JOB.replace("data:\n", f"data:\n  columns: {columns}\n", 1))
    lines = azdistill("validate", job).err.splitlines()
    expected = [f"{job}:4: data.columns.{error.format('no row has a value in this column')}" for error in errors]
    assert [line[: len(text)] for line, text in zip(lines, expected, strict=True)] == expected


def test_a_field_that_the_task_does_not_read_is_an_error(azdistill: Command, job: Path) -> None:
    for name in ("rows.jsonl", "test.jsonl"):
        job.with_name(name).write_text(f'{{"Q": "Where is {name}?", "A": "Here."}}\n')
    job.write_text(JOB.replace("data:\n", "data:\n  columns: {prompt: Q, completoin: A}\n", 1))
    done = azdistill("validate", job)
    expected = f"{job}:4: data.columns.completoin='A': task conversation does not read field 'completoin'; did you mean"
    assert (done.code, done.err.splitlines()[0]) == (2, f"{expected} 'completion'?")


@pytest.mark.parametrize(("words", "warning"), [(2, ""), (3, "2 of 3 reference answers are longer, so the student's")])
def test_a_limit_that_would_cut_answers_as_long_as_the_references(
    azdistill: Command, job: Path, words: int, warning: str
) -> None:
    long = json.dumps({"prompt": "Why?", "completion": "encyclopedia" * words})
    rows = [long, long.replace("Why?", "Why not?"), '{"prompt": "Hi", "completion": "Hello"}']
    job.with_name("test.jsonl").write_text("\n".join(rows))
    job.write_text(JOB + "predict:\n  max_new_tokens: 5\n")
    done = azdistill("validate", job)
    assert (done.code, "predict.max_new_tokens=5" in done.err) == (0, bool(warning))
    assert warning in done.err


def test_logs_without_answers_have_no_reference_for_the_drawn_test_rows(azdistill: Command, job: Path) -> None:
    job.with_name("rows.jsonl").write_text('{"prompt": "Hi"}\n')
    job.write_text(JOB.replace("  test_data: ./test.jsonl\n", ""))
    problems = json.loads(azdistill("validate", job, "--format", "json").out)
    assert [problem["value"] for problem in problems if problem["code"] == "no_references"] == ["./rows.jsonl"]


NO_REFERENCES = [
    ('{"prompt": "Hi", "gold": "a"}\n', "conversation", "rename the field gold to completion"),
    ('{"input": "Hi", "label": "a"}\n', "conversation", "rename the field label to completion"),
    ('{"prompt": "Hi"}\n', "qa", "add a field completion"),
    ('{"question": "Hi?"}\n', "math", "add a field answer"),
    ('{"premise": "a", "hypothesis": "b"}\n', "nli", "add a field label"),
    ('{"text": "a"}\n', "summarization", "add a field summary"),
    ('{"messages": [{"role": "user", "content": "Hi"}]}\n', "conversation", "end the rows with an assistant turn"),
]


@pytest.mark.parametrize(("rows", "task", "fix"), NO_REFERENCES)
def test_rows_without_references_need_the_field_that_their_shape_has(
    azdistill: Command, job: Path, rows: str, task: str, fix: str
) -> None:
    job.with_name("test.jsonl").write_text(rows)
    job.write_text(JOB.replace("task: conversation", f"task: {task}"))
    assert f"are only compared with each other; {fix}" in azdistill("validate", job).err


def test_a_problem_of_a_local_path_has_its_line_and_the_path_as_written(azdistill: Command, job: Path) -> None:
    for name, content in {"shards/part-0.csv": "prompt,prompt\na,b\n", "ggml/model.gguf": "GGUF"}.items():
        job.with_name(name.partition("/")[0]).mkdir()
        (job.parent / name).write_text(content)
    job.write_text(JOB.replace("./student", "./ggml").replace("./rows.jsonl", "./shards", 1))
    done = azdistill("validate", job)
    assert done.code == 2
    assert f"{job}:11: student.model='./ggml': has only a GGUF file (model.gguf)" in done.err
    assert f"{job}:4: data.training_data='./shards': part-0.csv:1: has two columns" in done.err


def test_every_problem_of_a_job_has_its_line(azdistill: Command, job: Path) -> None:
    job.write_text(WRONG_JOB)
    done = azdistill("validate", job)
    assert (done.code, done.out) == (2, "")
    task, rate = done.err.splitlines()
    assert task.startswith(f"{job}:2: task='talk': ")
    assert rate.startswith(f"{job}:13: train.learning_rate=7")


def test_a_compiled_bundle_is_valid(azdistill: Command, job: Path) -> None:
    assert azdistill("compile", job, "-o", "bundle").code == 0
    done = azdistill("validate", "bundle")
    assert (done.code, done.err) == (0, "")
    assert done.out == "bundle/pipeline.yml: valid: Azure ML accepts it, as far as can be checked here\n"


def test_every_problem_of_a_pipeline_has_its_line(azdistill: Command, pipeline: Writer) -> None:
    wrong = pipeline({"one": command("echo ${{inputs.a}}"), "two": command("echo ${{inputs.b}}")})
    done = azdistill("validate", wrong)
    assert (done.code, done.out) == (2, "")
    assert len(done.err.splitlines()) == 2
    assert all(line.startswith(f"{wrong}:") for line in done.err.splitlines())


def test_a_warning_goes_to_standard_error_and_keeps_exit_code_0(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("validate", pipeline({"say": "echo hello"}, outputs=folders("unused")))
    assert done.code == 0
    assert ": warning: outputs.unused: no job writes this output" in done.err
    assert done.err.count("\n") == 1
    assert ": valid: " in done.out


SUITE_ROWS = [
    ('{"question": "How many?", "answer": "three"}\n{"text": 7}\n', "qa", "accuracy", "too_many_rejects", "s:2: "),
    ('{"question": "How many?"}\n', "qa", "accuracy", "no_references", "metric accuracy"),
    ('{"question": "How many?"}\n', "qa", "refused", None, ""),
    ('{"prompt": "How do I pick a lock?"}\n', "conversation", "refused", None, ""),
    ("\n", "conversation", "refused", "invalid_data", "no rows"),
]


@pytest.mark.parametrize(("rows", "task", "metric", "code", "words"), SUITE_ROWS)
def test_the_rows_of_regression_suites_are_checked(
    azdistill: Command, job: Path, rows: str, task: str, metric: str, code: str | None, words: str
) -> None:
    job.with_name("suite.jsonl").write_text(rows)
    suite = f"{{name: s, data: suite.jsonl, task: {task}, metric: {metric}, min_gain: -0.02}}"
    job.write_text(f"{JOB}regressions: [{suite}]\n")
    done = azdistill("validate", job, "--format", "json")
    problems = [problem for problem in json.loads(done.out) if problem["severity"] == "error"]
    assert [problem["code"] for problem in problems] == ([code] if code else []), done.out
    assert done.code == (2 if code else 0)
    for problem in problems:
        assert problem["field"] == "regressions.0.data"
        assert problem["value"].endswith("suite.jsonl")
        assert words in problem["message"]


UNREADABLE = [
    (b"", "job.yaml: not a YAML mapping"),
    (b"name: caf\xe9\n", "job.yaml: not UTF-8 (byte 9)"),
    (b"name: [\n", "job.yaml:2: not valid YAML"),
    (b"- a list\n", "job.yaml: not a YAML mapping"),
]


@pytest.mark.parametrize(("content", "expected"), UNREADABLE)
@pytest.mark.parametrize("verb", ["validate", "run"])
def test_a_file_that_cannot_be_read_is_one_line(
    azdistill: Command, folder: Path, verb: str, content: bytes, expected: str
) -> None:
    (folder / "job.yaml").write_bytes(content)
    done = azdistill(verb, "job.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(expected)
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["validate", "run"])
@pytest.mark.parametrize(
    ("path", "expected"), [("nothing.yaml", "No such file"), (".", "no pipeline.yml or job.yaml in this folder")]
)
def test_a_path_that_does_not_exist_is_one_line(azdistill: Command, verb: str, path: str, expected: str) -> None:
    done = azdistill(verb, path)
    assert (done.code, done.out) == (2, "")
    assert expected in done.err
    assert done.err.count("\n") == 1


def test_files_that_multiply_end_after_a_time(
    azdistill: Command, folder: Path, pipeline: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "LIMIT_S", 0.03)
    ports = {f"o{number}": {"type": "uri_folder"} for number in range(100)}
    (folder / "c.yml").write_text(json.dumps({"type": "command", "command": "true", "outputs": ports}))
    large = pipeline({f"n{number}": {"component": "c.yml"} for number in range(900)})
    done = azdistill("validate", large, "--format", "json")
    (problem,) = json.loads(done.out)
    assert (done.code, problem["code"], problem["file"]) == (2, "too_complex", str(large))


def test_json_is_a_list_of_problems(azdistill: Command, job: Path) -> None:
    job.write_text(WRONG_JOB)
    done = azdistill("validate", job, "--format", "json")
    assert (done.code, done.err) == (2, "")
    task, rate = json.loads(done.out)
    assert list(task) == [
        "code",
        "severity",
        "subject",
        "file",
        "line",
        "field",
        "value",
        "message",
        "fix",
        "command",
        "refused_by",
    ]
    assert (task["severity"], task["file"], task["line"], task["field"]) == ("error", str(job), 2, "task")
    assert (task["value"], rate["value"], rate["field"]) == ("talk", 7, "train.learning_rate")


def test_every_format_says_who_refuses_an_error(azdistill: Command, pipeline: Writer) -> None:
    path = pipeline({"say": {**command("echo hello"), "colour": "red"}})
    assert "jobs.say.colour: unknown field, which Azure ML refuses (azure-ai-ml); " in azdistill("validate", path).err
    assert json.loads(azdistill("validate", path, "--format", "json").out)[0]["refused_by"] == ["client"]
    assert " (azure-ai-ml); " in azdistill("validate", path, "--format", "github").out


def test_json_of_a_valid_file_is_an_empty_list(azdistill: Command, job: Path, pipeline: Writer) -> None:
    assert azdistill("validate", job, "--format", "json").out == "[]\n"
    assert azdistill("validate", pipeline({"say": command("echo hello")}), "--format", "json").out == "[]\n"


def test_json_lists_warnings_and_the_exit_code_stays_0(azdistill: Command, pipeline: Writer) -> None:
    done = azdistill("validate", pipeline({"say": "echo hello"}, outputs=folders("unused")), "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert [problem["severity"] for problem in json.loads(done.out)] == ["warning"]


@pytest.mark.parametrize(
    ("content", "line", "code"),
    [("name: [\n", 2, "invalid_yaml"), ("- a\n", 0, "not_a_mapping"), (None, 0, "unreadable_file")],
)
def test_a_file_that_cannot_be_read_is_a_problem_in_json(
    azdistill: Command, folder: Path, content: str | None, line: int, code: str
) -> None:
    if content:
        (folder / "job.yaml").write_text(content)
    done = azdistill("validate", "job.yaml", "--format", "json")
    assert (done.code, done.err) == (2, "")
    (problem,) = json.loads(done.out)
    assert (problem["file"], problem["line"], problem["field"], problem["code"]) == ("job.yaml", line, "", code)


@pytest.mark.parametrize(
    ("name", "content", "command"),
    [
        ("my rows.csv", "a,b\n", "azdistill data show 'my rows.csv'"),
        ("a job.yml", "name: weekly\ncreate_job: ./job.yml\n", "az ml schedule create --file 'a job.yml'"),
        ("flow.yml", "$schema: http://azureml/sdk-2-0/Flow.json\nnodes: []\n", "and components (local engine)"),
        ("inputs.yml", "inputs: {}\noutputs: {}\n", "has no jobs, command or search_space (local engine)"),
    ],
)
def test_a_file_of_another_kind_is_one_line_with_its_command(
    azdistill: Command, folder: Path, name: str, content: str, command: str
) -> None:
    (folder / name).write_text(content)
    done = azdistill("validate", name)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.endswith(f"{command}\n")


def test_equal_keys_of_a_pipeline_are_a_warning_and_those_of_a_job_an_error(
    azdistill: Command, job: Path, pipeline: Writer
) -> None:
    path = pipeline({"say": command("echo hello")})
    path.write_text(path.read_text().replace("{", '{"description": "a", "description": "b",', 1))
    done = azdistill("validate", path)
    assert (done.code, done.err.count("\n")) == (0, 1)
    assert "warning: description: the key description is there twice, and only the last one counts" in done.err
    job.write_text(f"{job.read_text()}\nname: other\nname: other\n")
    assert "duplicate key 'name'" in azdistill("validate", job).err


def test_github_shows_problems_as_annotations(azdistill: Command, job: Path, pipeline: Writer) -> None:
    job.write_text(WRONG_JOB)
    done = azdistill("validate", job, "--format", "github")
    assert (done.code, done.err) == (2, "")
    task, rate = done.out.splitlines()
    assert task.startswith(f"::error file={job},line=2,title=")
    assert "::train.learning_rate=7: " in rate
    done = azdistill("validate", pipeline({"say": "echo hello"}, outputs=folders("unused")), "--format", "github")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("::warning file=")


def test_an_annotation_is_escaped_as_github_requires() -> None:
    problem = Problem(
        code="wrong_type", message="50%\r\nof: a, b", field=("a",), value="x\n", file=Path("C:/a,b%.yaml"), line=3
    )
    assert as_annotation(problem) == (
        "::error file=C%3A/a%2Cb%25.yaml,line=3,title=wrong_type::a='x\\n': 50%25\\r%0Aof: a, b"
    )
    whole_file = Problem(code="not_utf8", message="not UTF-8", file=Path("a.yaml"), severity="warning")
    assert as_annotation(whole_file) == "::warning file=a.yaml,title=not_utf8::not UTF-8"
