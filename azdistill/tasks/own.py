"""A task of the user's own: one Python file, whose mistakes are told as its author's, with the line."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from azdistill.contracts.errors import InputError
from azdistill.tasks.source import read_source, task_problems
from azdistill.tasks.task import BadRow, Case, Task

MODULE = "own_task"


def load_task(path: Path) -> Task:
    """The task in a Python file, which is run. Raises InputError for a file that is none or fails."""
    if problems := task_problems(path):
        raise InputError(problems=problems)
    module = ModuleType(MODULE)
    module.__file__ = str(path)
    sys.modules[MODULE] = module  # a dataclass looks its module up there
    try:
        exec(compile(read_source(path), str(path), "exec"), module.__dict__)  # no bytecode is left beside the file
    except Exception as problem:
        raise InputError(f"{path}:{_line(path, problem)}: {_said(problem)} when the file was loaded; mend it") from None
    return OwnTask(path, module)


class OwnTask:
    """Calls the functions of a task file and holds them to what a task promises.

    A row that `case` fails on is a bad row; `answer` and `correct` may fail on nothing, as they are
    asked about text that models wrote.
    """

    def __init__(self, path: Path, module: ModuleType) -> None:
        self._path, self._module = path, module

    def case(self, record: Mapping[str, Any], /) -> Case:
        try:
            found = self._module.case(record)
        except BadRow:
            raise
        except Exception as problem:
            raise BadRow("task_failed", f"{self._path.name}:{_line(self._path, problem)}: {_said(problem)}") from None
        return found if isinstance(found, Case) else self._wrong("case", (record,), found, "a Case")

    def answer(self, text: str, /) -> str | None:
        found = self._call("answer", text)
        return found if isinstance(found, str | None) else self._wrong("answer", (text,), found, "str or None")

    def correct(self, answer: str, reference: str, /) -> bool:
        found = self._call("correct", answer, reference)
        return found if isinstance(found, bool) else self._wrong("correct", (answer, reference), found, "True or False")

    def _call(self, name: str, *given: str) -> Any:
        try:
            return getattr(self._module, name)(*given)
        except Exception as problem:
            told = f"{self._path}:{_line(self._path, problem)}: {_said(problem)} in {_shown(name, given)}"
            raise InputError(f"{told}; a model may write anything, so return None or False there") from None

    def _wrong(self, name: str, given: tuple[Any, ...], found: Any, wanted: str) -> NoReturn:
        raise InputError(f"{self._path}: {_shown(name, given)} returned {found!r:.80}; return {wanted}")


def _shown(name: str, given: tuple[Any, ...]) -> str:
    return f"{name}({', '.join(f'{value!r:.80}' for value in given)})"


def _said(problem: Exception) -> str:
    return " ".join(f"{type(problem).__name__}: {problem}".split())


def _line(path: Path, problem: Exception) -> int:
    """The deepest line of the user's file."""
    frames = traceback.extract_tb(problem.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)
