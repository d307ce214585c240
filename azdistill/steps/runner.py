"""The entry point of every step: parse the command line, run, and report user errors in one line."""

import logging
import sys
from collections.abc import Callable, Sequence

from azdistill.contracts.errors import AzdistillError
from azdistill.contracts.step import Arguments, Config, Step, parse


def run_step(step: Step[Config], body: Callable[[Arguments[Config]], None], argv: Sequence[str]) -> int:
    """Run one step and return its exit code. Any exception but an AzdistillError keeps its traceback."""
    log_to_stdout()
    try:
        body(parse(step, argv))
    except AzdistillError as error:
        print(f"{step.name}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{step.name}: interrupted; run again to continue", file=sys.stderr)
        return 130
    return 0


def log_to_stdout() -> None:
    """Write what the libraries log to standard output as plain lines: a step owns its process."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("azdistill")
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    # azure-identity warns in ten lines about what our error says in one.
    logging.getLogger("azure.identity").setLevel(logging.CRITICAL)
