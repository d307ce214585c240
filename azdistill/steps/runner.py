"""What every step's `__main__` does: parse, run, and turn user errors into one line and an exit code."""

import sys
from collections.abc import Callable, Sequence

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.step import Arguments, Config, Step, parse


def run_step(step: Step[Config], body: Callable[[Arguments[Config]], None], argv: Sequence[str]) -> int:
    """Run one step. Returns its exit code; anything but an AzdistillError keeps its traceback."""
    try:
        body(parse(step, argv))
    except AzdistillError as problem:
        print(f"{step.name}: {problem}", file=sys.stderr)
        return problem.exit_code
    except KeyboardInterrupt:
        print(f"{step.name}: interrupted; run again to continue", file=sys.stderr)
        return 130
    return 0
