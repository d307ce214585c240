"""A user's own task: what a task file must define, and how its errors are reported."""

import re
from pathlib import Path

import pytest

from azdistill.contracts.errors import InputError
from azdistill.tasks.registry import task_of
from azdistill.tasks.source import ALLOWED_IMPORTS, task_problems
from azdistill.tasks.task import BadRow

ROOT = Path(__file__).parents[2]

RIGHT = """\
from azdistill.tasks.fields import ask, required
from azdistill.tasks.task import Case


def case(record):
    return Case(ask(required(record, "question")), record.get("label"))


def answer(text):
    return text.strip().upper() or None


def correct(answer, reference):
    return answer == reference
"""


@pytest.fixture
def file(tmp_path):
    """Write a task file: RIGHT, with some of its text replaced."""

    def write(old="", new="", text=RIGHT):
        assert old in text
        path = tmp_path / "my_task.py"
        path.write_text(text.replace(old, new) if old else text)
        return path

    return write


def test_a_file_with_three_functions_is_a_task(file):
    task = task_of("own", file())
    assert task.case({"question": "Ham or spam?", "label": "ham"}).gold == "ham"
    assert (task.answer(" ham"), task.answer(" "), task.correct("HAM", "SPAM")) == ("HAM", None, False)


PAGE = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
EXAMPLES = [
    next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "def case" in block),
    (ROOT / "azdistill/job/scaffold/my_task.py").read_text(encoding="utf-8"),
]


@pytest.mark.parametrize("text", EXAMPLES, ids=["page", "scaffold"])
def test_the_examples_are_tasks(file, text):
    task = task_of("own", file(text=text))
    assert task.case({"ticket": "I was charged twice.", "team": "billing"}).gold == "billing"
    assert task.correct(task.answer("Billing."), "billing")
    assert task.answer("billing or returns") is None


def test_a_task_file_may_import_functions_of_a_built_in_task(file):
    text = "from azdistill.tasks.math import answer, correct\nfrom azdistill.tasks.qa import case as case\n"
    assert task_of("own", file(text=text)).answer("it is 2/4") == "1/2"


def test_a_task_file_may_hold_dataclasses_and_leaves_no_bytecode(file):
    classes = "from dataclasses import dataclass\n\n@dataclass\nclass Label:\n    name: str\n\n\ndef case"
    path = file("def case", classes)
    assert task_of("own", path).answer("x") == "X"
    assert list(path.parent.iterdir()) == [path]


IMPORTS = f"such a file may import {ALLOWED_IMPORTS}: nothing else is sure to exist where steps run"
MISSING = "define answer(text), or import it from a module of azdistill.tasks"

WRONG = [
    ("def answer(text):", "def answer(text:", (9, "invalid_python", "not valid Python ('(' was never closed)", "")),
    ("def answer", "def reply", (1, "missing_function", "function answer is missing", MISSING)),
    ("(answer, reference)", "(answer)",
     (13, "wrong_function", "correct(answer) cannot be called with 2 arguments", "define correct(answer, reference)")),
    ("(text)", "(text, *, strict)",
     (9, "wrong_function", "answer(text, *, strict) cannot be called with 1 argument", "define answer(text)")),
    ("def answer", "async def answer",
     (9, "wrong_function", "answer is async", "define a plain function answer(text)")),
    ("def case(record)", "class case",
     (5, "wrong_function", "case is a class", "define a plain function case(record)")),
    ("from azdistill.tasks.task", "import re, numpy\nfrom azdistill.tasks.task",
     (2, "import_not_allowed", "import numpy is not allowed", IMPORTS)),
    ("    return text.strip", "    from azdistill.contracts.train import STEP\n    return text.strip",
     (10, "import_not_allowed", "from azdistill.contracts.train is not allowed", IMPORTS)),
    ("from azdistill.tasks.task", "from .labels import LABELS\nfrom azdistill.tasks.task",
     (2, "import_not_allowed", "from .labels is not allowed", IMPORTS)),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), WRONG)
def test_a_wrong_task_file_is_rejected_with_the_line(file, old, new, expected):
    path = file(old, new)
    (problem,) = task_problems(path)
    assert problem.file == path
    assert (problem.line, problem.code, problem.message, problem.fix) == expected
    with pytest.raises(InputError) as error:
        task_of("own", path)
    assert error.value.problems == (problem,)


@pytest.mark.parametrize("content", [b"name = '\xe9'\n", b"x = '\0'\n"])
def test_a_file_that_is_not_python_is_one_problem(tmp_path, content):
    (tmp_path / "t.py").write_bytes(content)
    (problem,) = task_problems(tmp_path / "t.py")
    assert problem.code == "invalid_python"
    (problem,) = task_problems(tmp_path / "absent.py")
    assert (problem.line, problem.code, problem.message) == (0, "unreadable_file", "No such file or directory")


def test_all_problems_of_a_file_are_reported_together(file):
    assert [problem.line for problem in task_problems(file(text="import numpy\n"))] == [1, 1, 1, 1]


def test_checking_a_file_does_not_run_it(file):
    assert task_problems(file("def case", "raise SystemExit\n\n\ndef case")) == []


def test_a_file_that_fails_when_it_is_loaded_says_where(file):
    path = file("def case", "1 / 0\n\n\ndef case")
    with pytest.raises(InputError) as raised:
        task_of("own", path)
    (problem,) = raised.value.problems
    assert (problem.code, problem.file, problem.line) == ("task_failed", path, 5)
    assert problem.message.startswith("ZeroDivisionError: division by zero")


def test_a_row_on_which_case_fails_is_a_bad_row(file):
    with pytest.raises(BadRow) as found:
        task_of("own", file('required(record, "question")', 'record["question"]')).case({"text": "x"})
    assert (found.value.reason, found.value.detail) == ("task_failed", "my_task.py:6: KeyError: 'question'")


CONTRACTS = [
    ("text.strip().upper() or None", "str(int(text))", "task_failed", 10, "ValueError", "return None or False"),
    ("text.strip().upper() or None", "len(text)", "wrong_result", 0, "answer('one') returned 3", "return str or None"),
    ("answer == reference", "None", "wrong_result", 0, "correct('one', 'two') returned None", "return True or False"),
    ("return Case(", "return (", "wrong_result", 0, "case({'question': 'one'}) returned", "return a Case"),
]


@pytest.mark.parametrize(("old", "new", "code", "line", "message", "fix"), CONTRACTS)
def test_a_function_that_fails_or_returns_another_type_is_reported_with_its_arguments(
    file, old, new, code, line, message, fix
):
    path = file(old, new)
    task = task_of("own", path)
    with pytest.raises(InputError) as raised:
        task.case({"question": "one"}), task.answer("one"), task.correct("one", "two")
    (problem,) = raised.value.problems
    assert (problem.code, problem.file, problem.line) == (code, path, line)
    assert problem.message.startswith(message)
    assert problem.fix.startswith(fix)


def test_an_own_task_needs_its_file():
    with pytest.raises(InputError) as raised:
        task_of("own")
    (problem,) = raised.value.problems
    assert (problem.code, problem.field, problem.value) == ("missing_file", ("task",), "own")
