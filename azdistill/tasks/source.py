"""Check a user's task file or metric file by reading its source.

The file is parsed and not run, because a job is checked before any of its code may act.
"""

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from azdistill.contracts.files import read_limited
from azdistill.contracts.problems import Problem

# Functions that a file defines or imports, with their positional arguments.
Functions = Mapping[str, Sequence[str]]
TASK_FUNCTIONS: Functions = {
    "case": ("record",),
    "answer": ("text",),
    "correct": ("answer", "reference"),
}
METRIC_FUNCTIONS: Functions = {"score": ("answer", "references")}

# Packages that such a file may import next to the standard library: every step has them.
ALLOWED_PACKAGES = ("azdistill.tasks", "azdistill.contracts.rows")
ALLOWED_IMPORTS = "the standard library, azdistill.tasks and azdistill.contracts.rows"


# To parse a file takes a second for each megabyte.
MAX_BYTES = 200_000


def read_source(path: Path) -> str:
    """Text of a file. Raises OSError, or ValueError where it is not UTF-8."""
    return read_limited(path, MAX_BYTES).decode("utf-8-sig")


def task_problems(path: Path) -> list[Problem]:
    """Find all problems that keep a Python file from being a task, ordered by line."""
    return file_problems(path, TASK_FUNCTIONS)


def metric_problems(path: Path) -> list[Problem]:
    """Find all problems that keep a Python file from being a metric, ordered by line."""
    return file_problems(path, METRIC_FUNCTIONS)


def file_problems(path: Path, functions: Functions) -> list[Problem]:
    """Find all problems that keep a Python file from being loaded and from defining `functions`, ordered by line."""
    try:
        tree = ast.parse(read_source(path), filename=str(path))
    except OSError as error:
        message = error.strerror or "cannot be read"
        return [Problem(code="unreadable_file", message=message, fix="name a Python file", file=path)]
    except SyntaxError as error:
        return [Problem(code="invalid_python", message=f"not valid Python ({error.msg})").at(path, error.lineno or 1)]
    except ValueError as error:  # not UTF-8, or a null byte
        return [
            Problem(code="invalid_python", message=f"not valid Python ({error})", fix="save it as UTF-8", file=path)
        ]
    except (RecursionError, MemoryError):
        return [Problem(code="invalid_python", message="not valid Python (nested too deeply)", file=path)]
    problems = [problem.at(path, line) for line, problem in (*_check_imports(tree), *_check_functions(tree, functions))]
    return sorted(problems, key=lambda problem: (problem.line, problem.message))


def _check_imports(tree: ast.Module) -> Iterator[tuple[int, Problem]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            statements = [f"import {alias.name}" for alias in node.names if not _is_allowed(alias.name)]
        elif isinstance(node, ast.ImportFrom) and (node.level or not _is_allowed(node.module or "")):
            statements = [f"from {'.' * node.level}{node.module or ''}"]
        else:
            continue
        for statement in statements:
            message = f"{statement} is not allowed"
            fix = f"such a file may import {ALLOWED_IMPORTS}: nothing else is sure to exist where steps run"
            yield node.lineno, Problem(code="import_not_allowed", message=message, fix=fix)


def _is_allowed(module: str) -> bool:
    is_ours = any(module == package or module.startswith(f"{package}.") for package in ALLOWED_PACKAGES)
    return is_ours or module.partition(".")[0] in sys.stdlib_module_names


def _check_functions(tree: ast.Module, functions: Functions) -> Iterator[tuple[int, Problem]]:
    definitions = {name: node for node in tree.body for name in _defined_names(node)}
    for name, arguments in functions.items():
        signature, node = f"{name}({', '.join(arguments)})", definitions.get(name)
        if node is None:
            fix = f"define {signature}, or import it from a module of azdistill.tasks"
            yield 1, Problem(code="missing_function", message=f"function {name} is missing", fix=fix)
        elif isinstance(node, ast.AsyncFunctionDef | ast.ClassDef):
            kind = "a class" if isinstance(node, ast.ClassDef) else "async"
            fix = f"define a plain function {signature}"
            yield node.lineno, Problem(code="wrong_function", message=f"{name} is {kind}", fix=fix)
        elif isinstance(node, ast.FunctionDef) and not _accepts(node.args, len(arguments)):
            count = f"{len(arguments)} argument{'s' if len(arguments) > 1 else ''}"
            message = f"{name}({ast.unparse(node.args)}) cannot be called with {count}"
            yield node.lineno, Problem(code="wrong_function", message=message, fix=f"define {signature}")


def _defined_names(node: ast.stmt) -> Iterator[str]:
    """Names that a statement at the top of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _accepts(arguments: ast.arguments, count: int) -> bool:
    """True if a function can be called with `count` positional arguments."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    enough = count >= positional - len(arguments.defaults) and None not in arguments.kw_defaults
    return enough and (count <= positional or arguments.vararg is not None)
