"""Is a Python file a task? Read, never run: a job is checked before anything of it may act."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

Finding = tuple[int, str]
"""Line, and a sentence that begins with what is there."""

FUNCTIONS = {
    "case": ("record",),
    "answer": ("text",),
    "correct": ("answer", "reference"),
}
"""What a task file defines or imports, and what each is called with."""

OURS = ("azdistill.tasks", "azdistill.contracts.rows")
MAY_IMPORT = "a task file may import the standard library, azdistill.tasks and azdistill.contracts.rows"


def task_source(path: Path) -> str:
    """The text of a task file. Raises OSError, or ValueError for what is no UTF-8."""
    return path.read_bytes().decode("utf-8-sig")


def findings(path: Path) -> list[Finding]:
    """Everything that keeps a file from being a task, in the order of its lines."""
    try:
        tree = ast.parse(task_source(path), filename=str(path))
    except OSError as problem:
        return [(1, f"{problem.strerror}; name the Python file of the task")]
    except SyntaxError as problem:
        return [(problem.lineno or 1, f"not Python ({problem.msg}); mend it")]
    except ValueError as problem:  # no UTF-8, or a null byte
        return [(1, f"not Python ({problem}); save it as UTF-8 text")]
    return sorted([*_imports(tree), *_functions(tree)])


def _imports(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in [alias.name for alias in node.names if not _may_import(alias.name)]:
                yield node.lineno, f"import {name}: {MAY_IMPORT}; nothing else is sure to be where its steps run"
        elif isinstance(node, ast.ImportFrom) and node.level:
            yield node.lineno, f"from {'.' * node.level}{node.module or ''}: a task file travels alone; {MAY_IMPORT}"
        elif isinstance(node, ast.ImportFrom) and not _may_import(node.module or ""):
            yield node.lineno, f"from {node.module}: {MAY_IMPORT}; nothing else is sure to be where its steps run"


def _may_import(name: str) -> bool:
    ours = any(name == package or name.startswith(f"{package}.") for package in OURS)
    return ours or name.partition(".")[0] in sys.stdlib_module_names


def _functions(tree: ast.Module) -> Iterator[Finding]:
    found = {name: node for node in tree.body for name in _names(node)}
    for name, arguments in FUNCTIONS.items():
        wanted, node = f"{name}({', '.join(arguments)})", found.get(name)
        if node is None:
            yield 1, f"no function {name}; define {wanted}, or import one from a module of azdistill.tasks"
        elif isinstance(node, ast.AsyncFunctionDef | ast.ClassDef):
            kind = "a class" if isinstance(node, ast.ClassDef) else "async"
            yield node.lineno, f"{name} is {kind}; make it a plain function {wanted}"
        elif isinstance(node, ast.FunctionDef) and not _takes(node.args, len(arguments)):
            yield node.lineno, f"{name}({ast.unparse(node.args)}): it is called with {len(arguments)}; make it {wanted}"


def _names(node: ast.stmt) -> Iterator[str]:
    """What a statement at the top of a module gives a name to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name for alias in node.names)
    elif isinstance(node, ast.Assign):
        yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def _takes(arguments: ast.arguments, given: int) -> bool:
    """Whether a call with so many arguments, by position, is right."""
    positional = len(arguments.posonlyargs) + len(arguments.args)
    enough = given >= positional - len(arguments.defaults) and None not in arguments.kw_defaults
    return enough and (given <= positional or arguments.vararg is not None)
