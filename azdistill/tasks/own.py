"""A user's own task: one Python file."""

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from azdistill.tasks.source import TASK_FUNCTIONS
from azdistill.tasks.task import BadRow, Case, Task
from azdistill.tasks.user_file import call, failing_line, load_module, summary, wrong_result

MODULE = "own_task"


def load_task(path: Path) -> Task:
    """Run a Python file and return its task. Raises InputError for a file that defines no task or fails."""
    return OwnTask(path, load_module(path, MODULE, TASK_FUNCTIONS))


class OwnTask:
    """Calls the functions of a task file and checks what they return.

    A row on which `case` fails is rejected. `answer` and `correct` must not fail, because they read text that
    models wrote.
    """

    def __init__(self, path: Path, module: ModuleType) -> None:
        self._path, self._module = path, module

    def case(self, record: Mapping[str, Any], /) -> Case:
        try:
            case = self._module.case(record)
        except BadRow:
            raise
        except Exception as error:
            line = failing_line(self._path, error)
            raise BadRow("task_failed", f"{self._path.name}:{line}: {summary(error)}") from None
        if isinstance(case, Case) and _is_gold(case.gold):
            return case
        raise wrong_result(self._path, "case", (record,), case, "a Case whose gold is text, a tuple of texts or None")

    def answer(self, text: str, /) -> str | None:
        answer = self._call("answer", text)
        if isinstance(answer, str | None):
            return answer
        raise wrong_result(self._path, "answer", (text,), answer, "str or None")

    def correct(self, answer: str, reference: str, /) -> bool:
        correct = self._call("correct", answer, reference)
        if isinstance(correct, bool):
            return correct
        raise wrong_result(self._path, "correct", (answer, reference), correct, "True or False")

    def _call(self, function: str, *arguments: str) -> Any:
        fix = "return None or False for such text: a model may write anything"
        return call(self._path, self._module, function, arguments, fix)


def _is_gold(gold: object) -> bool:
    if isinstance(gold, tuple):
        return bool(gold) and all(isinstance(text, str) for text in gold)
    return isinstance(gold, str | None)
