"""A user's own task: one Python file. Its errors are reported with file and line, as errors of its author."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from azdistill.contracts.errors import InputError
from azdistill.tasks.source import read_source, task_problems
from azdistill.tasks.task import BadRow, Case, Task

MODULE = "own_task"


def load_task(path: Path) -> Task:
    """Run a Python file and return its task. Raises InputError for a file that defines no task or fails."""
    if problems := task_problems(path):
        raise InputError(problems=problems)
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module  # dataclasses look their module up there
    try:
        # Compiled here rather than imported, so that no bytecode is written next to the file.
        exec(compile(read_source(path), str(path), "exec"), module.__dict__)
    except Exception as error:
        raise InputError(
            f"{_summary(error)} while the file was loaded",
            code="task_failed",
            file=path,
            line=_line(path, error),
            fix="correct the file",
        ) from None
    return OwnTask(path, module)


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
            line = _line(self._path, error)
            raise BadRow("task_failed", f"{self._path.name}:{line}: {_summary(error)}") from None
        if isinstance(case, Case):
            return case
        raise self._wrong_result("case", (record,), case, "a Case")

    def answer(self, text: str, /) -> str | None:
        answer = self._call("answer", text)
        if isinstance(answer, str | None):
            return answer
        raise self._wrong_result("answer", (text,), answer, "str or None")

    def correct(self, answer: str, reference: str, /) -> bool:
        correct = self._call("correct", answer, reference)
        if isinstance(correct, bool):
            return correct
        raise self._wrong_result("correct", (answer, reference), correct, "True or False")

    def _call(self, function: str, *arguments: str) -> Any:
        try:
            return getattr(self._module, function)(*arguments)
        except Exception as error:
            raise InputError(
                f"{_summary(error)} in {_call_text(function, arguments)}",
                code="task_failed",
                file=self._path,
                line=_line(self._path, error),
                fix="return None or False for such text: a model may write anything",
            ) from None

    def _wrong_result(self, function: str, arguments: tuple[Any, ...], result: Any, expected: str) -> InputError:
        return InputError(
            f"{_call_text(function, arguments)} returned {result!r:.80}",
            code="wrong_result",
            file=self._path,
            fix=f"return {expected}",
        )


def _call_text(function: str, arguments: tuple[Any, ...]) -> str:
    return f"{function}({', '.join(f'{value!r:.80}' for value in arguments)})"


def _summary(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line(path: Path, error: Exception) -> int:
    """The innermost line of the user's file in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)
