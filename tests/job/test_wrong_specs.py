"""wrong_specs.txt lists wrong jobs, each with its problem: `LINE CODE: FIELD=VALUE: MESSAGE; FIX`.

It is the golden for the wording of all problems of a job. A change replaces or adds a line of a valid job (several
after "; "), or removes it (`without`).
"""

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from azdistill.contracts.errors import SpecError
from azdistill.job.loading import check_job
from azdistill.job.messages import PATTERNS
from azdistill.job.model import DistillationJob

RIGHT = """\
task: qa
data: {training_data: rows.jsonl, test_data: test.jsonl}
teacher: {teachers: [{model: DeepSeek-V3.2, connection: deepseek}]}
student: {model: ./student}
"""

RIGHT_IN_SHORT = """\
task_type: qa
teacher_model: deepseek-v3
student_model: ./student
training_data: rows.jsonl
"""

TABLE = (Path(__file__).parent / "wrong_specs.txt").read_text(encoding="utf-8")


def table(name: str) -> list[list[str]]:
    """Pairs of a change and the line that it earns."""
    section = TABLE.partition(f"== {name} ==\n")[2].partition("\n==")[0].splitlines()
    return [[change, line.strip()] for change, line in zip(section[::2], section[1::2], strict=True)]


FULL, SHORT = table("the full form"), table("the short form")


def changed(text: str, change: str) -> str:
    """A right job with some of its lines replaced, added, or taken away."""
    lines = dict(line.split(":", 1) for line in text.splitlines())
    if change.startswith("without "):
        del lines[change.removeprefix("without ")]
    else:
        lines |= dict(field.split(":", 1) for field in change.split("; "))
    return "\n".join(f"{name}:{value}" for name, value in lines.items())


@pytest.mark.parametrize("right", [RIGHT, RIGHT_IN_SHORT])
def test_what_the_wrong_ones_are_made_from_is_right(check, right):
    assert check(right)[0] is not None


@pytest.mark.parametrize(("change", "line"), FULL)
def test_a_wrong_job_says_what_to_do(check, change, line):
    assert check(changed(RIGHT, change)) == (None, [line])


@pytest.mark.parametrize(("change", "line"), SHORT)
def test_a_wrong_job_in_the_short_form_names_what_was_written(check, change, line):
    assert check(changed(RIGHT_IN_SHORT, change)) == (None, [line])


def test_everything_wrong_is_said_at_once_in_the_order_of_the_file(check):
    text = """\
task: chat
sead: 7
data:
  training_data: row.jsonl
teacher:
  teachers:
    - {model: m, endpoint: x.azure.com, api_key: sk-live-1}
  temperature: 9
student: {model: ./studnet}
prepare: {test_fraction: 20}
train:
  learning_rate: 0.2
  seed: 3
  epochs: 3
evaluate: {gates: {min_retention: 95}}
catalog: {students: {house: {parameters: -1}}}
"""
    job, problems = check(text)
    assert job is None
    assert [int(line.partition(" ")[0]) for line in problems] == [1, 2, 4, 7, 7, 8, 9, 10, 12, 13, 14, 15, 16]
    assert all("\n" not in line for line in problems)


def test_python_users_read_the_same_sentences():
    with pytest.raises(SpecError) as problem:
        DistillationJob(task="qa", data={"training_data": "rows.jsonl"}, train={"learning_rate": 0.2}, student={})
    assert str(problem.value).splitlines() == [
        "teacher: required section is missing; add `teacher:` with at least one entry in `teachers:`",
        (
            "student.model: required field is missing; add `model:` (a folder, an azureml: address, or a model of the "
            "catalog such as phi-4-mini)"
        ),
        "train.learning_rate=0.2: must be at most 0.01; did you mean 2e-5?",
    ]
    assert [(entry.code, entry.field, entry.value) for entry in problem.value.problems] == [
        ("missing_field", ("teacher",), None),
        ("missing_field", ("student", "model"), None),
        ("out_of_range", ("train", "learning_rate"), 0.2),
    ]
    assert problem.value.__context__ is None


def test_what_may_be_a_key_is_never_repeated():
    teacher = {"model": "m", "endpoint": "https://x", "api_key": "sk-live-1", "key_variable": "sk-live-2"}
    with pytest.raises(SpecError) as problem:
        DistillationJob(task="qa", data={"training_data": "r"}, student={"model": "s"}, teacher={"teachers": [teacher]})
    assert "api_key" in str(problem.value)
    assert "sk-live" not in f"{problem.value!s}{problem.value!r}{problem.value.problems}"


def test_every_pattern_of_a_job_has_words():
    def patterns(node):
        if isinstance(node, dict):
            pattern = node.get("pattern")
            yield from [pattern] if isinstance(pattern, str) else []
            node = list(node.values())
        for child in node if isinstance(node, list) else []:
            yield from patterns(child)

    assert set(patterns(DistillationJob.model_json_schema())) <= PATTERNS.keys()


STRANGE = [None, True, 3, -1.5, "x", "", [], {}, [None], {"a": 1}, {1: 2}]


def spoiled(document):
    """The document with each of its parts replaced by each strange value, and its keys by numbers."""
    for key, value in document.items() if isinstance(document, dict) else enumerate(document):
        for strange in STRANGE:
            yield {**document, key: strange} if isinstance(document, dict) else [strange]
        if isinstance(value, (dict, list)):
            for part in spoiled(value):
                yield {**document, key: part} if isinstance(document, dict) else [part]
    if isinstance(document, dict):
        yield {**document, 7: "x"}


@pytest.mark.parametrize("right", [RIGHT, f"{RIGHT_IN_SHORT}hyperparameters: {{learning_rate: 2e-5}}\ncatalog: {{}}\n"])
def test_no_value_anywhere_makes_it_stumble(folder, right):
    rest = "train: {seed: 1}\ncatalog: {students: {house: {parameters: 1}}}\nlicences_acknowledged: [mit]\n"
    text = right + (rest if right == RIGHT else "")
    for number, document in enumerate(spoiled(YAML(typ="safe", pure=True).load(text))):
        path = folder / f"{number}.yaml"
        path.write_text(json.dumps(document))
        job, problems = check_job(path)
        assert (job is None) == any(problem.severity == "error" for problem in problems)
        assert all("\n" not in problem.text and problem.line >= 1 for problem in problems)
