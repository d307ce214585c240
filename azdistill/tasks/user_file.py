"""Load a user's Python file and call its functions. Errors are reported with file and line, as errors of its author."""

import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from azdistill.contracts.errors import InputError
from azdistill.tasks.source import file_problems, read_source


def load_module(path: Path, name: str, functions: Mapping[str, Sequence[str]]) -> ModuleType:
    """Run a Python file that defines `functions`. Raises InputError for a file that does not, or that fails."""
    if problems := file_problems(path, functions):
        raise InputError(problems=problems)
    module = ModuleType(name)
    module.__file__ = str(path)
    sys.modules[name] = module  # dataclasses look their module up there
    try:
        # Compiled here rather than imported, so that no bytecode is written next to the file.
        exec(compile(read_source(path), str(path), "exec"), module.__dict__)
    except Exception as error:
        raise InputError(
            f"{summary(error)} while the file was loaded",
            code="task_failed",
            file=path,
            line=failing_line(path, error),
            fix="correct the file",
        ) from None
    return module


def call(path: Path, module: ModuleType, function: str, arguments: tuple[Any, ...], fix: str) -> Any:
    """The result of a function of the file. Raises InputError with the arguments when it fails."""
    try:
        return getattr(module, function)(*arguments)
    except Exception as error:
        raise InputError(
            f"{summary(error)} in {call_text(function, arguments)}",
            code="task_failed",
            file=path,
            line=failing_line(path, error),
            fix=fix,
        ) from None


def wrong_result(path: Path, function: str, arguments: tuple[Any, ...], result: Any, expected: str) -> InputError:
    """The error of a function that returned something else than `expected`."""
    message = f"{call_text(function, arguments)} returned {result!r:.80}"
    return InputError(message, code="wrong_result", file=path, fix=f"return {expected}")


def call_text(function: str, arguments: tuple[Any, ...]) -> str:
    return f"{function}({', '.join(f'{value!r:.80}' for value in arguments)})"


def summary(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())


def failing_line(path: Path, error: Exception) -> int:
    """The innermost line of the user's file in a traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 1 for frame in reversed(frames) if frame.filename == str(path)), 1)
